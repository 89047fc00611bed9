"""The media of a connection: the streams of all transceivers over one transport, and the RTCP about them.

    protected packets -> MediaTransport -> RtpRouter -> InboundStream of a transceiver -> frames, playout, packets
                                        -> RTCP      -> every stream that it is about
    frames, packets   -> OutboundStream of a transceiver -> MediaTransport -> protected packets
    streams           -> reports and feedback            -> MediaTransport -> protected packets

Descriptions decide which streams there are: `follow` reads them off the transceivers. What goes out is collected until
`take_datagrams`, so that what one wake of the driver brings leaves as one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from icelane.core.clock import NEVER, Duration, Instant, WallClock
from icelane.core.entropy import Entropy
from icelane.errors import InvalidStateError
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.event import BitrateLimited as StreamLimited
from icelane.media.event import KeyFrameRequested as StreamKeyFrameRequested
from icelane.media.event import SourceEnded, SourceSilent
from icelane.media.event import ToneReceived as StreamToneReceived
from icelane.media.event import ToneStarted as StreamToneStarted
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_stream import InboundStream
from icelane.media.lip_sync import StreamSynchronizer
from icelane.media.outbound_stream import OutboundStream
from icelane.media.playout import Playout
from icelane.media.reporter import Reporter
from icelane.media.transport_sequence import TransportSequence
from icelane.peer.bitrate_share import BitrateShares
from icelane.peer.media_event import (
    BitrateLimited,
    FramesReceived,
    KeyFrameRequested,
    MediaEvent,
    ToneReceived,
    ToneStarted,
    TrackMuted,
    TrackUnmuted,
)
from icelane.peer.media_transport import MediaTransport, SrtpKeys
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.rtp_router import RtpRouter
from icelane.peer.rtp_stream import open_inbound, open_outbound, preferred_codec, tones_for
from icelane.peer.transceiver import Transceiver
from icelane.rtp.header_extension import TRANSPORT_SEQUENCE_NUMBER, ExtensionMap
from icelane.rtp.packet import RtpPacket

Stream: TypeAlias = OutboundStream | InboundStream

# What is due so soon after another thing is done together with it: streams of one sender play at nearly the same time,
# and each wake of the driver costs more than what it does.
TOGETHER: Final[Duration] = 0.002


class MediaPlane:
    """Nothing happens here before a transceiver was negotiated. `wall` gives sender reports their time."""

    def __init__(self, *, entropy: Entropy, wall: WallClock, cname: Callable[[], str]) -> None:
        self.transport = MediaTransport()
        self.router = RtpRouter()
        self._entropy = entropy
        self._wall = wall
        self._cname = cname
        self._outbound: dict[Transceiver, OutboundStream] = {}
        self._inbound: dict[Transceiver, InboundStream] = {}
        self._parameters: dict[InboundStream, RtpParameters] = {}
        # What the last exchange prefers: the application may send by another of its codecs.
        self._preferred: dict[Transceiver, NegotiatedCodec] = {}
        self._shares = BitrateShares()
        self._keeps_packets: set[Transceiver] = set()
        self._sequence = TransportSequence()
        self._sequence_identifiers: dict[Transceiver, int] = {}
        self._reporter: Reporter | None = None
        self._synchronizers: list[StreamSynchronizer] = []
        self._plainly_repeated: frozenset[int] = frozenset()
        self._audible: set[Transceiver] = set()
        self._announced: set[Transceiver] = set()
        self._datagrams: list[bytes] = []
        self._events: deque[MediaEvent] = deque()

    # Inputs

    def handle_packets(self, packets: list[bytes], now: Instant) -> bool:
        """Protected packets came on the checked path. Returns whether one of them was authentic."""
        rtp, rtcp = self.transport.unprotect(packets)
        if rtp:
            self._handle_rtp(rtp, now)
        if rtcp and self._reporter is not None:
            self._reporter.handle_rtcp(rtcp, now)
        if rtp or rtcp:
            self._settle(now)
        return bool(rtp or rtcp)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        if not self._outbound and not self._inbound:
            return
        for stream in self._streams():
            if (at := stream.next_timeout()) is not None and at <= now:
                stream.handle_timeout(now)
        for synchronizer in self._synchronizers:
            synchronizer.handle_timeout(now)
        self._settle(now)

    # Commands

    def follow(self, transceivers: Iterable[Transceiver], now: Instant) -> None:
        """An exchange, or the application, has changed what transceivers send and receive."""
        known = list(transceivers)
        for transceiver in [one for one in (*self._outbound, *self._inbound) if one not in known or one.is_stopping]:
            self._end(transceiver, now)
        for transceiver in known:
            if transceiver.negotiated is not None and not transceiver.is_stopping:
                self._follow(transceiver, transceiver.negotiated, now)
        self.router.set_transceivers(known)
        self._audible &= {one for one in known if one.receives}
        self._read_transport_parameters(known)
        self._pair_streams(now)
        self._tell_shares()
        self._settle(now)

    def set_keys(self, keys: SrtpKeys, now: Instant) -> None:
        """DTLS is up: what the peer has sent since is read now."""
        if held := self.transport.set_keys(keys):
            self.handle_packets(held, now)

    def reset(self) -> None:
        """The DTLS association is over."""
        self.transport.reset()
        self._datagrams.clear()

    def close(self, now: Instant) -> None:
        """Say goodbye for all that was sent."""
        for transceiver in tuple(self._outbound):
            self._end(transceiver, now)
        self._send_rtcp()
        self._inbound.clear()
        self._parameters.clear()
        self._synchronizers.clear()

    def send_frame(
        self, transceiver: Transceiver, frame: EncodedFrame, now: Instant, *, captured_at: Instant | None = None
    ) -> bool:
        """Send a frame; False when it is discarded, because the transceiver may not send, or not yet.

        A frame that names a payload type is of that codec; InvalidStateError when it was not negotiated. Raises
        what `OutboundStream.send_frame` does.
        """
        stream = self._sending(transceiver)
        if stream is None:
            return False
        if frame.payload_type >= 0:
            self._select_codec(transceiver, stream, frame.payload_type)
        is_sent = stream.send_frame(frame, now, captured_at=captured_at)
        self._send_rtp()
        return is_sent

    def send_packet(
        self, transceiver: Transceiver, packet: RtpPacket, now: Instant, *, extensions: ExtensionMap | None = None
    ) -> bool:
        """Pass a packet on; see `OutboundStream.send_packet`. False as for frames."""
        stream = self._sending(transceiver)
        if stream is None:
            return False
        is_sent = stream.send_packet(packet, now, extensions=extensions)
        self._send_rtp()
        return is_sent

    def insert_tones(
        self, transceiver: Transceiver, tones: str, now: Instant, *, duration: Duration, gap: Duration
    ) -> None:
        """W3C `insertDTMF`, in seconds. Raises InvalidStateError when nothing may be sent, and as the stream does."""
        stream = self._sending(transceiver)
        if stream is None:
            raise InvalidStateError("the transceiver may not send, or not yet")
        stream.insert_tones(tones, now, duration=duration, gap=gap)
        self._settle(now)

    def select_codec(self, transceiver: Transceiver, payload_type: int) -> None:
        """Send by this codec from now on. Raises InvalidStateError when it was not negotiated, or nothing is sent."""
        stream = self._outbound.get(transceiver)
        if stream is None:
            raise InvalidStateError("nothing was negotiated yet")
        self._select_codec(transceiver, stream, payload_type)

    def request_key_frame(self, transceiver: Transceiver, now: Instant) -> None:
        """A decoder cannot go on."""
        if (stream := self._inbound.get(transceiver)) is not None:
            stream.request_key_frame(now)
            self._settle(now)

    def set_minimum_delay(self, transceiver: Transceiver, delay: Duration) -> None:
        """By how much frames are held back at least, in seconds (W3C jitterBufferTarget)."""
        if (stream := self._inbound.get(transceiver)) is not None:
            stream.set_minimum_delay(delay)

    def keep_packets(self, transceiver: Transceiver, *, is_wanted: bool = True) -> None:
        """Whether packets can be fetched as they come, besides frames, from now on."""
        if is_wanted:
            self._keeps_packets.add(transceiver)
        else:
            self._keeps_packets.discard(transceiver)
        if (stream := self._inbound.get(transceiver)) is not None:
            stream.keep_packets(is_wanted)

    def learn_round_trip(self, seconds: Duration) -> None:
        """How long ICE's checks take to the peer and back."""
        for stream in self._inbound.values():
            stream.learn_round_trip(seconds)

    # Outputs

    def poll_frame(self, transceiver: Transceiver) -> EncodedFrame | None:
        """The next frame that came, in decoding order, or None."""
        self._announced.discard(transceiver)
        stream = self._inbound.get(transceiver)
        return stream.poll_frame() if stream is not None else None

    def poll_playout(self, transceiver: Transceiver) -> Playout | None:
        """What a decoder of audio is to do next, or None."""
        self._announced.discard(transceiver)
        stream = self._inbound.get(transceiver)
        return stream.poll_playout() if stream is not None else None

    def poll_packet(self, transceiver: Transceiver) -> RtpPacket | None:
        """The next packet as it came, or None; see `keep_packets`."""
        self._announced.discard(transceiver)
        stream = self._inbound.get(transceiver)
        return stream.poll_packet() if stream is not None else None

    def poll_event(self) -> MediaEvent | None:
        """What happened, or None."""
        return self._events.popleft() if self._events else None

    def take_datagrams(self) -> list[bytes]:
        """Everything to send, protected."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None; by TOGETHER later than what is due first."""
        if not self._outbound and not self._inbound:
            return None
        deadlines = [at for stream in self._streams() if (at := stream.next_timeout()) is not None]
        deadlines += [one.next_timeout() for one in self._synchronizers]
        if self.transport.is_ready and self._reporter is not None and (at := self._reporter.next_timeout()) is not None:
            deadlines.append(at)
        at = min(deadlines, default=NEVER)
        return None if at == NEVER else max([one for one in deadlines if one <= at + TOGETHER])

    # Properties and privates

    def outbound(self, transceiver: Transceiver) -> OutboundStream | None:
        """The stream that it sends, None before it was negotiated."""
        return self._outbound.get(transceiver)

    def inbound(self, transceiver: Transceiver) -> InboundStream | None:
        """The stream that it receives, None before it was negotiated."""
        return self._inbound.get(transceiver)

    def _streams(self) -> tuple[Stream, ...]:
        return (*self._outbound.values(), *self._inbound.values())

    def _sending(self, transceiver: Transceiver) -> OutboundStream | None:
        if not transceiver.sends or not self.transport.is_ready:
            return None
        return self._outbound.get(transceiver)

    def _select_codec(self, transceiver: Transceiver, stream: OutboundStream, payload_type: int) -> None:
        if transceiver.negotiated is None:
            raise InvalidStateError("nothing was negotiated yet")
        if payload_type == stream.codec.payload_type:
            return  # `follow` sees to it that the codec in use is one that was negotiated
        codec = _codec_of(transceiver.negotiated, payload_type)
        if codec is None:
            raise InvalidStateError(f"no codec was negotiated with the payload type {payload_type}")
        stream.set_codec(codec)
        stream.set_telephone_event(tones_for(codec, transceiver.negotiated.send_codecs))

    # What was negotiated

    def _follow(self, transceiver: Transceiver, parameters: RtpParameters, now: Instant) -> None:
        if transceiver.sends:
            self._follow_outbound(transceiver, parameters, now)
        if transceiver.receives:
            stream = self._inbound.get(transceiver)
            if stream is not None and _receives_otherwise(self._parameters[stream], parameters):
                self._close_inbound(transceiver, now)
            if transceiver not in self._inbound:
                self._open_inbound(transceiver, parameters, now)

    def _follow_outbound(self, transceiver: Transceiver, parameters: RtpParameters, now: Instant) -> None:
        stream = self._outbound.get(transceiver)
        if stream is None:
            opened = open_outbound(
                transceiver, parameters, entropy=self._entropy, wall=self._wall, sequence=self._sequence
            )
            self._outbound[transceiver] = opened
            self._begin_reports(now).add_outbound(opened, now)
        elif preferred_codec(parameters) != self._preferred.get(transceiver):
            stream.set_codec(preferred_codec(parameters))  # this exchange prefers another than the one before
        elif _codec_of(parameters, stream.codec.payload_type) != stream.codec:
            stream.set_codec(preferred_codec(parameters))  # the application chose another, which is gone
        self._preferred[transceiver] = preferred_codec(parameters)
        if stream is not None:
            stream.set_telephone_event(tones_for(stream.codec, parameters.send_codecs))

    def _open_inbound(self, transceiver: Transceiver, parameters: RtpParameters, now: Instant) -> None:
        stream = open_inbound(transceiver, parameters, keeps_packets=transceiver in self._keeps_packets)
        self._inbound[transceiver] = stream
        self._parameters[stream] = parameters
        self._begin_reports(now).add_inbound(stream, now)

    def _close_inbound(self, transceiver: Transceiver, now: Instant) -> RtpParameters:
        """Returns what it was opened by."""
        stream = self._inbound.pop(transceiver)
        self._begin_reports(now).remove_inbound(stream, now)
        return self._parameters.pop(stream)

    def _begin_reports(self, now: Instant) -> Reporter:
        if self._reporter is None:
            self._reporter = Reporter(self._cname(), self._entropy, now)
        return self._reporter

    def _read_transport_parameters(self, transceivers: list[Transceiver]) -> None:
        negotiated = [(one, one.negotiated) for one in transceivers if one.negotiated is not None]
        if self._reporter is not None:
            self._reporter.reduced_size = all(parameters.reduced_size for _, parameters in negotiated)
        self._sequence_identifiers = {
            one: number
            for one, parameters in negotiated
            for number, uri in parameters.receive_extensions
            if uri == TRANSPORT_SEQUENCE_NUMBER
        }
        self._plainly_repeated = frozenset(
            stream.options.ssrc
            for stream in self._outbound.values()
            if "nack" in stream.codec.codec.feedback and stream.codec.rtx_payload_type is None
        )

    def _pair_streams(self, now: Instant) -> None:
        """Sound and picture of one stream of the peer's are played together."""
        by_stream: dict[str, dict[MediaKind, InboundStream]] = {}
        for transceiver, stream in self._inbound.items():
            for stream_id in transceiver.receiver.stream_ids[:1]:
                by_stream.setdefault(stream_id, {}).setdefault(transceiver.kind, stream)
        self._synchronizers = [
            StreamSynchronizer(kinds[MediaKind.AUDIO], kinds[MediaKind.VIDEO], now)
            for kinds in by_stream.values()
            if len(kinds) == len(MediaKind)
        ]

    def _end(self, transceiver: Transceiver, now: Instant) -> None:
        stream = self._outbound.pop(transceiver, None)
        self._preferred.pop(transceiver, None)
        self._shares.forget(transceiver)
        if stream is not None:
            self._begin_reports(now).remove_outbound(stream, now)
        if transceiver in self._inbound:
            self._close_inbound(transceiver, now)
        for some in (self._audible, self._announced, self._keeps_packets):
            some.discard(transceiver)

    # Packets

    def _handle_rtp(self, packets: list[RtpPacket], now: Instant) -> None:
        identifiers, reporter = self._sequence_identifiers, self._reporter
        for transceiver, batch in self.router.sort(packets).items():
            identifier = identifiers.get(transceiver)
            if identifier is not None and reporter is not None:
                reporter.record_arrivals(batch, identifier, now)
            stream = self._inbound.get(transceiver)
            if stream is None:
                continue
            stream.handle_packets(batch, now)
            if transceiver not in self._audible and stream.ssrc is not None:
                self._audible.add(transceiver)
                self._events.append(TrackUnmuted(transceiver))

    def _settle(self, now: Instant) -> None:
        """Pass on what streams have to say."""
        for transceiver, received in self._inbound.items():
            self._drain_inbound(transceiver, received)
        for transceiver, stream in self._outbound.items():
            self._drain_outbound(transceiver, stream)
        self._send_rtp()
        if self._reporter is not None and self.transport.is_ready:
            self._reporter.collect(now)
        self._send_rtcp()

    def _drain_inbound(self, transceiver: Transceiver, stream: InboundStream) -> None:
        while (event := stream.poll_event()) is not None:
            if isinstance(event, SourceEnded | SourceSilent):
                if transceiver in self._audible:
                    self._audible.discard(transceiver)
                    self._events.append(TrackMuted(transceiver))
            elif isinstance(event, StreamToneReceived):
                self._events.append(ToneReceived(transceiver, event.tone, event.duration))
        if stream.has_output and transceiver not in self._announced:
            self._announced.add(transceiver)
            self._events.append(FramesReceived(transceiver))

    def _drain_outbound(self, transceiver: Transceiver, stream: OutboundStream) -> None:
        while (event := stream.poll_event()) is not None:
            if isinstance(event, StreamKeyFrameRequested):
                self._events.append(KeyFrameRequested(transceiver))
            elif isinstance(event, StreamLimited):
                self._shares.learn(transceiver, event)
                self._tell_shares()
            elif isinstance(event, StreamToneStarted):
                self._events.append(ToneStarted(transceiver, event.tone))

    def _tell_shares(self) -> None:
        for transceiver, share in self._shares.changes(self._outbound):
            self._events.append(BitrateLimited(transceiver, share))

    def _send_rtp(self) -> None:
        packets: list[RtpPacket] = []
        for stream in self._outbound.values():
            packets += stream.poll_packets()
        if packets:
            self._datagrams += self.transport.protect(packets, self._plainly_repeated)

    def _send_rtcp(self) -> None:
        while self._reporter is not None and (packets := self._reporter.poll_rtcp()) is not None:
            self._datagrams += self.transport.protect_rtcp(packets)


def _codec_of(parameters: RtpParameters, payload_type: int) -> NegotiatedCodec | None:
    return next(
        (one for one in parameters.send_codecs if one.payload_type == payload_type and one.codec.is_media), None
    )


def _receives_otherwise(before: RtpParameters, after: RtpParameters) -> bool:
    """Of codecs the order alone is a matter of what is sent."""
    return (set(before.receive_codecs), before.receive_extensions) != (
        set(after.receive_codecs),
        after.receive_extensions,
    )
