"""What senders and receivers ask of their connection: its engine, its codecs and its codec threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from icelane.aio.media_threads import ThreadLease
from icelane.aio.media_worker import MediaLane
from icelane.aio.peer_driver import PeerDriver
from icelane.aio.transports import RTCDtlsTransport, Transports
from icelane.core.clock import Duration, Instant
from icelane.errors import OperationError
from icelane.media.codec import MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.codecs.registry import CodecRegistry
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_stream import InboundStream
from icelane.media.outbound_stream import OutboundStream
from icelane.media.playout import Playout
from icelane.peer.connection import PeerConnection
from icelane.peer.stats import StatsReport
from icelane.peer.transceiver import Transceiver
from icelane.rtp.packet import RtpPacket

T = TypeVar("T")


class MediaPort:
    """One connection's. `registry` is made when it is first asked for."""

    def __init__(
        self,
        engine: PeerConnection,
        driver: PeerDriver,
        transports: Transports,
        registry: Callable[[], CodecRegistry],
        stats: Callable[[Transceiver, bool], StatsReport],
    ) -> None:
        self.engine = engine
        self._driver = driver
        self._transports = transports
        self._make_registry = registry
        self._stats = stats
        self._lease = ThreadLease()
        self.is_closed = False

    @property
    def registry(self) -> CodecRegistry:
        """The codecs of the connection."""
        return self._make_registry()

    @property
    def is_ready(self) -> bool:
        """Whether packets can go out."""
        return self.engine.media.transport.is_ready

    @property
    def dtls(self) -> RTCDtlsTransport | None:
        """The transport of everything, None before there is one."""
        return self._transports.dtls

    def codecs(self, kind: MediaKind) -> tuple[RtpCodec, ...]:
        """What can be negotiated."""
        capabilities = self.engine.negotiation.media.transceivers.capabilities
        return capabilities.codecs(kind) if capabilities is not None else ()

    def stats_of(self, transceiver: Transceiver, *, sends: bool) -> StatsReport:
        """The records about one direction."""
        return self._stats(transceiver, sends)

    def lane(self) -> MediaLane:
        """Where a codec works. Raises OperationError after `close`."""
        if self.is_closed:
            raise OperationError("the peer connection is closed")
        return self._lease.lane()

    async def close(self) -> None:
        """Give the threads back; lanes are closed by then. Idempotent."""
        self.is_closed = True
        await self._lease.release()

    def run(self, verb: Callable[[Instant], T]) -> T:
        """A verb of the engine, and what follows from it."""
        return self._driver.run(verb)

    # What is sent

    def outbound(self, transceiver: Transceiver) -> OutboundStream | None:
        """The stream that it sends, None before it was negotiated."""
        return self.engine.media.outbound(transceiver)

    def sent_codec(self, transceiver: Transceiver) -> NegotiatedCodec | None:
        """The codec in use, None before it was negotiated."""
        stream = self.outbound(transceiver)
        return stream.codec if stream is not None else None

    def send_frame(self, transceiver: Transceiver, frame: EncodedFrame, captured_at: Instant) -> bool:
        """See `MediaPlane.send_frame`."""
        return self.run(lambda now: self.engine.send_frame(transceiver, frame, now, captured_at=captured_at))

    def send_packet(self, transceiver: Transceiver, packet: RtpPacket, codec: NegotiatedCodec | None) -> bool:
        """See `MediaPlane.send_packet`; with a codec that one is chosen first."""
        if codec is not None:
            self.engine.media.select_codec(transceiver, codec.payload_type)
        return self.run(lambda now: self.engine.send_packet(transceiver, packet, now))

    # What is received

    def inbound(self, transceiver: Transceiver) -> InboundStream | None:
        """The stream that it receives, None before it was negotiated."""
        return self.engine.media.inbound(transceiver)

    def poll_frame(self, transceiver: Transceiver) -> EncodedFrame | None:
        """The next picture."""
        return self.engine.media.poll_frame(transceiver)

    def poll_playout(self, transceiver: Transceiver) -> Playout | None:
        """What a decoder of sound is to do next."""
        return self.engine.media.poll_playout(transceiver)

    def poll_packet(self, transceiver: Transceiver) -> RtpPacket | None:
        """The next packet, where they are kept."""
        return self.engine.media.poll_packet(transceiver)

    def request_key_frame(self, transceiver: Transceiver) -> None:
        """Nothing can be done with pictures before the next key frame."""
        self.run(lambda now: self.engine.request_key_frame(transceiver, now))

    def set_minimum_delay(self, transceiver: Transceiver, delay: Duration) -> None:
        """W3C jitterBufferTarget, in seconds."""
        self.run(lambda _: self.engine.media.set_minimum_delay(transceiver, delay))
