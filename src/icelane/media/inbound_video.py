"""Pictures of one source: what the frame buffer lets out becomes encoded frames, and what stops it is asked for."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration, Instant
from icelane.errors import MalformedError
from icelane.media.frame import EncodedFrame
from icelane.media.frame_buffer import MAX_PATIENCE, BufferedFrame, FrameBuffer
from icelane.media.inbound_format import InboundFormat, ReadPacket
from icelane.media.key_frame_request import KeyFrameRequest
from icelane.media.statistics import InboundStatistics
from icelane.rtp.header_extension import (
    PLAYOUT_DELAY,
    VIDEO_ORIENTATION,
    ExtensionMap,
    parse_playout_delay,
    parse_video_orientation,
    value_of,
)
from icelane.rtp.packet import RtpPacket

# A missing packet is asked for nearly so often before a key frame is asked for in its place, and for that long at
# least. A key frame is many packets, of which some will be lost as well: it takes longer than one more answer.
_PATIENCE_IN_ROUND_TRIPS: Final = 10
_MIN_PATIENCE: Final[Duration] = 0.5
# Without NACK nothing comes but what was overtaken.
_REORDERING: Final[Duration] = 0.05
# W3C freezeCount: a frame that is shown so much later than frames usually are, and by three times at least.
_FREEZE: Final[Duration] = 0.15
_FREEZE_FACTOR: Final = 3


class InboundVideo:
    """Frames in decoding order, and the wish for a key frame when they cannot go on."""

    __slots__ = (
        "_dropped",
        "_formats",
        "_interval",
        "_last",
        "_minimum_delay",
        "_orientation",
        "_playout_delay",
        "_rotation",
        "_sender_minimum",
        "_statistics",
        "buffer",
        "key_frame_request",
    )

    def __init__(self, clock_rate: int, extensions: ExtensionMap, statistics: InboundStatistics) -> None:
        self.buffer = FrameBuffer(clock_rate)
        self.key_frame_request = KeyFrameRequest()
        self._statistics = statistics
        self._dropped = 0
        self._orientation = extensions.identifier_of(VIDEO_ORIENTATION)
        self._rotation = 0
        self._playout_delay = extensions.identifier_of(PLAYOUT_DELAY)
        self._minimum_delay: Duration = 0.0
        self._sender_minimum: Duration = 0.0
        self._formats: dict[int, InboundFormat] = {}
        self._last: BufferedFrame | None = None
        self._interval: Duration = 0.0

    def insert(self, read: ReadPacket, now: Instant) -> bool:
        """A packet came; False when it is of no use any more."""
        self._formats[read.format.payload_type] = read.format
        if self._playout_delay is not None and read.packet.extension(self._playout_delay) is not None:
            self._learn_playout_delay(read.packet)
        self.buffer.payload_tells_beginning = read.format.tells_beginning
        return self.buffer.insert(read.number, read.timestamp, read.packet, read.fragment, now)

    def skip(self, number: int, now: Instant) -> None:
        """A packet without any of a frame came."""
        self.buffer.skip(number, now)

    def advance(self, now: Instant) -> list[EncodedFrame]:
        """The frames whose time has come."""
        self.buffer.handle_timeout(now)
        frames: list[EncodedFrame] = []
        while (buffered := self.buffer.take(now)) is not None:
            frame = self._encoded(buffered, now)
            if frame is not None:
                frames.append(frame)
        if self.buffer.lacks_key_frame(now):
            self.key_frame_request.want(now)
        self._statistics.frames_dropped += self.buffer.frames_dropped - self._dropped
        self._dropped = self.buffer.frames_dropped
        return frames

    def give_up(self, now: Instant) -> None:
        """What is missing will not come."""
        self.buffer.give_up(now)

    def restart(self) -> None:
        """The numbers of the source begin anew."""
        self.buffer.restart()

    def expect_repair(self, round_trip: Duration | None) -> None:
        """How long a missing packet takes to come again; None when it does not."""
        if round_trip is None:
            self.buffer.patience = _REORDERING
        else:
            self.buffer.patience = min(max(_PATIENCE_IN_ROUND_TRIPS * round_trip, _MIN_PATIENCE), MAX_PATIENCE)

    def set_minimum_delay(self, delay: Duration) -> None:
        """What the application wants at least."""
        self._minimum_delay = delay
        self.buffer.minimum_delay = max(delay, self._sender_minimum)

    @property
    def next_at(self) -> Instant:
        """When `advance` has something to do."""
        return self.buffer.next_at

    @property
    def first_wanted(self) -> int:
        """Numbers below this one are of no use."""
        return self.buffer.first_wanted

    def _encoded(self, buffered: BufferedFrame, now: Instant) -> EncodedFrame | None:
        last = buffered.packets[-1]
        inbound_format = self._formats[last.payload_type]
        counts = self._statistics
        try:
            data = inbound_format.depacketizer.assemble(buffered.fragments)
        except MalformedError:
            counts.frames_dropped += 1
            self.buffer.give_up(now)
            return None
        self._count(buffered, now)
        self._learn_rotation(last)
        if buffered.is_key:
            self.key_frame_request.fulfil()
        return EncodedFrame(
            data=data,
            timestamp=last.timestamp,
            is_key=buffered.is_key,
            payload_type=last.payload_type,
            rotation=self._rotation,
            follows_gap=buffered.follows_gap,
        )

    def _learn_playout_delay(self, packet: RtpPacket) -> None:
        """It holds until another one comes."""
        wanted = value_of(packet, self._playout_delay, parse_playout_delay)
        if wanted is None:
            return
        self._sender_minimum = wanted.minimum
        self.buffer.maximum_delay = wanted.maximum
        self.set_minimum_delay(self._minimum_delay)

    def _learn_rotation(self, packet: RtpPacket) -> None:
        """It holds until another one comes (3GPP TS 26.114 section 7.4.5)."""
        orientation = value_of(packet, self._orientation, parse_video_orientation)
        if orientation is not None:
            self._rotation = orientation.rotation

    def _count(self, buffered: BufferedFrame, now: Instant) -> None:
        counts = self._statistics
        counts.frames_received += 1
        counts.key_frames_received += buffered.is_key
        if len(buffered.packets) > 1:
            counts.frames_assembled_from_multiple_packets += 1
            counts.total_assembly_time += buffered.completed_at - buffered.first_at
        counts.jitter_buffer_emitted_count += 1
        counts.jitter_buffer_delay += now - buffered.first_at
        counts.jitter_buffer_target_delay += self.buffer.delay(now)
        if self._last is not None:
            self._notice_freeze(now - self._last.play_at)
        buffered.play_at = now
        self._last = buffered

    def _notice_freeze(self, interval: Duration) -> None:
        if self._interval and interval >= max(_FREEZE_FACTOR * self._interval, self._interval + _FREEZE):
            self._statistics.freeze_count += 1
            self._statistics.total_freezes_duration += interval
        self._interval += (interval - self._interval) / (30 if self._interval else 1)
