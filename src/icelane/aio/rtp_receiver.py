"""RTCRtpReceiver: what comes in through one transceiver (W3C webrtc-pc section 5.3).

    @pc.on("track")
    async def received(track):
        frame = await track.recv()                            # decoded, PyAV's

Ours, where frames are wanted as they are; nothing is decoded then, unless the track is read as well:

    async for frame in transceiver.receiver.encoded_frames(): ...       # EncodedFrame
    async for packet in transceiver.receiver.rtp_packets(): ...         # RtpPacket
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from icelane.aio.encoded_track import EncodedTrack
from icelane.aio.event_target import EventTarget
from icelane.aio.frame_queue import QueuePolicy
from icelane.aio.media_port import MediaPort
from icelane.aio.receiver_pump import ReceivedTrack, ReceiverPump
from icelane.aio.rtp_parameters import (
    ReceivedTone,
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpContributingSource,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
    RTCRtpSynchronizationSource,
    describe_negotiated,
    linear_level,
    machine_capabilities,
)
from icelane.aio.system import monotonic
from icelane.aio.transports import RTCDtlsTransport
from icelane.core.clock import Duration
from icelane.errors import InvalidStateError, MediaStreamError
from icelane.media.frame import EncodedFrame
from icelane.peer.stats import StatsReport
from icelane.peer.transceiver import Transceiver
from icelane.rtp.packet import RtpPacket

# W3C section 5.3: who was heard within so many seconds.
_SOURCE_MEMORY: Duration = 10.0
# W3C: jitterBufferTarget is 4 s at most, in milliseconds.
_MAX_TARGET = 4_000.0


class RTCRtpReceiver(EventTarget):
    """Made by the peer connection. Event of ours: `tone` (a ReceivedTone, when it is over)."""

    EVENTS = frozenset({"tone"})

    def __init__(self, port: MediaPort, transceiver: Transceiver, policy: QueuePolicy, capacity: int | None) -> None:
        super().__init__()
        self._port = port
        self._transceiver = transceiver
        self._track = ReceivedTrack(transceiver.kind, transceiver.receiver.track_id, policy, capacity)
        self._pump = ReceiverPump(port, transceiver, self._track)
        self._encoded_track: EncodedTrack | None = None
        self._target: float | None = None

    def __repr__(self) -> str:
        return f"RTCRtpReceiver({self.kind}, {self._track!r})"

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self._transceiver.kind.value

    @property
    def track(self) -> ReceivedTrack:
        """What comes; muted until something does."""
        return self._track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """What it comes over, None before that was negotiated."""
        return self._port.dtls if self._transceiver.current_direction is not None else None

    @property
    def jitterBufferTarget(self) -> float | None:  # noqa: N802  (W3C names)
        """By how many milliseconds frames are held back at least; None: by what the network makes necessary."""
        return self._target

    @jitterBufferTarget.setter
    def jitterBufferTarget(self, target: float | None) -> None:  # noqa: N802
        if target is not None and not 0 <= target <= _MAX_TARGET:
            raise ValueError(f"jitterBufferTarget is 0 to {_MAX_TARGET:.0f} ms")
        self._target = target
        self._apply_target()

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:  # noqa: N802
        """What this machine can receive; None for a kind that there is not."""
        return machine_capabilities(kind, can_receive=True)

    def getParameters(self) -> RTCRtpReceiveParameters:  # noqa: N802
        """What was negotiated; empty before that."""
        negotiated = self._transceiver.negotiated
        if negotiated is None:
            return RTCRtpReceiveParameters()
        return RTCRtpReceiveParameters(
            describe_negotiated(negotiated.receive_codecs),
            [RTCRtpHeaderExtensionParameters(uri, number) for number, uri in negotiated.receive_extensions],
            RTCRtcpParameters(None, negotiated.reduced_size),
        )

    def getContributingSources(self) -> list[RTCRtpContributingSource]:  # noqa: N802
        """Whose sound a mixer has put into what came within the last ten seconds (CSRC), and how loud (RFC 6465)."""
        stream, now = self._port.inbound(self._transceiver), monotonic()
        if stream is None:
            return []
        return [
            RTCRtpContributingSource(at, source, timestamp, linear_level(level))
            for source, (at, timestamp, level) in stream.contributing.items()
            if now - at <= _SOURCE_MEMORY
        ]

    def getSynchronizationSources(self) -> list[RTCRtpSynchronizationSource]:  # noqa: N802
        """The source that something came from within the last ten seconds."""
        stream, last = self._port.inbound(self._transceiver), self._pump.last
        if stream is None or stream.ssrc is None or last is None or monotonic() - last[1] > _SOURCE_MEMORY:
            return []
        frame, at = last
        timestamp, level = frame.timestamp & 0xFFFFFFFF, linear_level(frame.audio_level)
        return [RTCRtpSynchronizationSource(at, stream.ssrc, timestamp, level)]

    async def getStats(self) -> StatsReport:  # noqa: N802
        """What concerns this receiver: inbound-rtp, remote-outbound-rtp, codec, transport."""
        return self._port.stats_of(self._transceiver, sends=False)

    # Ours: what is not decoded

    async def encoded_frames(self) -> AsyncIterator[EncodedFrame]:
        """Frames as the codec wrote them, in decoding order, from now on: pictures from a key frame on.

        `timestamp` is the one on the wire. Frames wait in a queue of MAX_ENCODED; of sound the oldest is dropped then,
        of pictures all up to the next key frame. Ends with the track. Raises InvalidStateError when iterated twice.
        """
        if self._pump.has_encoded:
            raise InvalidStateError("the encoded frames are read already")
        queue = self._pump.open_encoded()
        try:
            with suppress(MediaStreamError):
                while True:
                    yield await queue.get()
        finally:
            self._pump.close_encoded()

    def encoded_track(self) -> EncodedTrack:
        """The same frames as a track, for `MediaRecorder` and for other connections' `addTrack`; one at a time."""
        track = self._encoded_track
        if track is None or track.readyState == "ended":
            track = self._encoded_track = EncodedTrack(self._port, self._transceiver, self._pump)
            if self._track.readyState == "ended":
                track.stop()
        return track

    async def rtp_packets(self) -> AsyncIterator[RtpPacket]:
        """Packets as they come from now on, decrypted, retransmissions in their place, each once.

        Packets wait in a queue of MAX_PACKETS, and then the oldest is dropped. Ends with the track. One reads them at a
        time: raises InvalidStateError when somebody else does.
        """
        if self._pump.has_packets:
            raise InvalidStateError("the packets are read already")
        queue = self._pump.open_packets()
        try:
            with suppress(MediaStreamError):
                while True:
                    yield await queue.get()
        finally:
            self._pump.close_packets()

    def request_key_frame(self) -> None:
        """Have the peer send a key frame (PLI), for who decodes elsewhere."""
        if not self._port.is_closed:
            self._port.request_key_frame(self._transceiver)

    # For the connection

    def _tone_received(self, tone: str, duration: Duration) -> None:
        self._emit("tone", ReceivedTone(tone, duration), tone=tone, duration=duration)

    def _follow(self) -> None:
        """An exchange may have opened another stream."""
        self._apply_target()

    def _apply_target(self) -> None:
        if self._target is not None and not self._port.is_closed:
            self._port.set_minimum_delay(self._transceiver, self._target / 1000)

    def _end(self) -> None:
        self._pump.end()
        self._track.stop()
        if self._encoded_track is not None:
            self._encoded_track._end()

    async def _close(self) -> None:
        self._end()
        await self._pump.close()
