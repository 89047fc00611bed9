"""Video: packets in any order become whole frames in decoding order, each at the time when it is to be decoded.

A frame is what has one timestamp: complete when its first packet, its last and all between them are there. Frames leave
in the order of their sequence numbers. Where one is missing there are three ways on, and the first that opens is taken:

    the missing packets come             nothing is lost, and the delay grows by what it took, if it happens often
    a later frame can do without them    and the missing frame should have been shown by now: go on there. It is a key
                                         frame, or the next of the base layer when only layers above that are missing
    patience ends                        nothing leaves until a key frame comes, which is to be asked for as long as
                                         `wants_key_frame`

The delay is that of the latest frames of late, retransmissions included, 0 to MAX_DELAY, and what lip synchronization
adds to it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.media.arrival_delay import MAX_DELAY, ArrivalDelay
from icelane.media.payload.packetizer import Fragment
from icelane.rtp.packet import RtpPacket

# Packets that wait to become frames, two seconds of 12 Mbit/s, and their bytes. At either bound all of them are dropped
# and a key frame is wanted.
MAX_PACKETS: Final = 3000
MAX_BYTES: Final = 8 * 1024 * 1024
# Whole frames whose time has not come, or that nobody has fetched; at the bound the oldest leaves early.
MAX_FRAMES: Final = 128
# How long a missing packet is waited for at most.
MAX_PATIENCE: Final[Duration] = 1.0
# How long the beginning of the first frame of all may be overtaken by the rest of it.
_OVERTAKEN: Final[Duration] = 0.05
# What is enough for nineteen frames of twenty is the delay: the twentieth is shown late.
_QUANTILE: Final = 0.95


class BufferedFrame:
    """One whole frame: `packets` and their `fragments` in order. `follows_gap` when frames before it were left out."""

    __slots__ = ("completed_at", "first_at", "follows_gap", "fragments", "is_key", "packets", "play_at", "timestamp")

    def __init__(
        self,
        timestamp: int,
        packets: list[RtpPacket],
        fragments: list[Fragment],
        is_key: bool,
        follows_gap: bool,
        first_at: Instant,
        completed_at: Instant,
    ) -> None:
        self.timestamp = timestamp
        self.packets = packets
        self.fragments = fragments
        self.is_key = is_key
        self.follows_gap = follows_gap
        self.first_at = first_at
        self.completed_at = completed_at
        self.play_at = completed_at


class Assembly:
    """Packets of one timestamp, by their extended sequence numbers."""

    __slots__ = ("ends", "first_at", "highest", "is_key", "lowest", "pieces", "size", "timestamp")

    def __init__(self, timestamp: int, number: int, now: Instant) -> None:
        self.timestamp = timestamp
        self.pieces: dict[int, tuple[RtpPacket, Fragment]] = {}
        self.lowest = self.highest = number
        self.is_key = False
        self.ends = False
        self.size = 0
        self.first_at = now

    def add(self, number: int, packet: RtpPacket, fragment: Fragment) -> None:
        self.pieces[number] = (packet, fragment)
        self.size += len(packet.payload)
        self.lowest = min(self.lowest, number)
        if number >= self.highest:
            self.highest = number
            self.ends = packet.marker or fragment.ends_frame
        if fragment.is_key:
            self.is_key = True


class FrameBuffer:
    """The frames of one source. Numbers and timestamps are unwrapped.

    `minimum_delay` is what the application or the sender wants at least, `maximum_delay` what the sender wants at most,
    `synchronization_delay` what comes on top for lip synchronization, `patience` how long a missing packet may still
    come. `payload_tells_beginning` is False for formats in which a frame only may begin where Fragment.begins_frame
    says so: there the packet before it has to be known.
    """

    __slots__ = (
        "_blocked_since",
        "_by_number",
        "_by_timestamp",
        "_delay",
        "_first",
        "_follows_gap",
        "_held",
        "_highest",
        "_last_play_at",
        "_layer_zero_index",
        "_looked_at",
        "_next",
        "_passed",
        "_size",
        "frames_dropped",
        "maximum_delay",
        "minimum_delay",
        "patience",
        "payload_tells_beginning",
        "synchronization_delay",
        "wants_key_frame",
    )

    def __init__(self, clock_rate: int) -> None:
        self.frames_dropped = 0
        self.minimum_delay: Duration = 0.0
        self.maximum_delay: Duration = MAX_DELAY
        self.synchronization_delay: Duration = 0.0
        self.patience: Duration = MAX_PATIENCE
        self.payload_tells_beginning = True
        self.wants_key_frame = True
        self._delay = ArrivalDelay(clock_rate, _QUANTILE)
        # None stands for a packet that is part of no frame, such as padding.
        self._by_number: dict[int, Assembly | None] = {}
        self._by_timestamp: dict[int, Assembly] = {}
        self._held: deque[BufferedFrame] = deque()
        self._size = 0
        self._highest = -1
        # The number that the next frame begins with; everything is new before the first frame.
        self._next = -1
        # The lowest number that came, and the last one of a whole frame that was dropped; -1 when there is none.
        self._first = self._passed = -1
        self._follows_gap = False
        self._blocked_since = NEVER
        self._looked_at = Instant(0.0)
        self._layer_zero_index: int | None = None
        self._last_play_at = Instant(0.0)

    def __len__(self) -> int:
        return len(self._by_number)

    def insert(self, number: int, timestamp: int, packet: RtpPacket, fragment: Fragment, now: Instant) -> bool:
        """A packet came; False when nobody waits for it any more."""
        if number < self._next or number in self._by_number:
            return False
        assembly = self._by_timestamp.get(timestamp)
        if assembly is None:
            assembly = self._by_timestamp[timestamp] = Assembly(timestamp, number, now)
        assembly.add(number, packet, fragment)
        self._by_number[number] = assembly
        self._size += len(packet.payload)
        self._highest = max(self._highest, number)
        if self._next < 0 and (self._first < 0 or number < self._first):
            self._first = number
        self._keep_bounds()
        self._release(number, now)
        return True

    def skip(self, number: int, now: Instant) -> None:
        """A packet came that is part of no frame; it stands between frames, never within one."""
        if number < self._next or number in self._by_number or (self.wants_key_frame and self._next < 0):
            return
        self._by_number[number] = None
        self._highest = max(self._highest, number)
        self._keep_bounds()
        self._release(number, now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed: look whether there is another way on than to wait."""
        self._looked_at = now
        if self._blocked_since == NEVER:
            return
        if now >= self._due_at():
            self._look_for_way_on(now)
        if self._blocked_since != NEVER and now >= later(self._blocked_since, self.patience):
            self.give_up(now)

    def give_up(self, now: Instant) -> None:
        """What is missing will not come. All frames before the next key frame are dropped."""
        if self.wants_key_frame:
            return
        self.wants_key_frame = self._follows_gap = True
        self._blocked_since = NEVER
        for assembly in self._in_order():
            if assembly.is_key:  # its beginning may be what is missing, so older numbers are still good
                self._release(assembly.lowest, now)
                return
            self._drop(assembly)
        self._next = self._highest + 1
        self._by_number.clear()

    def restart(self) -> None:
        """The numbers or the clock begin anew: forget what came, but for whole frames that wait for their time."""
        self._by_number.clear()
        self._by_timestamp.clear()
        self._size = 0
        self._highest = self._next = self._first = self._passed = -1
        self._blocked_since = NEVER
        self.wants_key_frame = self._follows_gap = True

    def take(self, now: Instant) -> BufferedFrame | None:
        """The next frame whose time has come, or None."""
        if self._held:
            frame = self._held[0]
            if frame.play_at <= now or len(self._held) > MAX_FRAMES:
                self._held.popleft()
                return frame
        return None

    def lacks_key_frame(self, now: Instant) -> bool:
        """Whether a key frame is wanted and none is on its way, or one has been for longer than patience lasts."""
        return self.wants_key_frame and now >= self._key_frame_overdue_at()

    def _key_frame_overdue_at(self) -> Instant:
        latest = Instant(0.0)
        for assembly in self._by_timestamp.values():
            if assembly.is_key:
                latest = max(latest, later(assembly.first_at, self._patience_for(assembly)))
        return latest

    def _patience_for(self, key: Assembly) -> Duration:
        # Nobody knows of packets before the first one that came, so they are not asked for.
        known = key.lowest != self._first or key.pieces[key.lowest][1].begins_frame
        return self.patience if known else min(self.patience, _OVERTAKEN)

    @property
    def next_at(self) -> Instant:
        """When `handle_timeout`, `take` or `lacks_key_frame` has something new."""
        at = self._held[0].play_at if self._held else NEVER
        if self.wants_key_frame and (overdue_at := self._key_frame_overdue_at()) > self._looked_at:
            at = min(at, overdue_at)
        if self._blocked_since != NEVER:
            due_at = self._due_at()
            at = min(at, later(self._blocked_since, self.patience))
            if due_at > self._looked_at:
                at = min(at, due_at)
        return at

    @property
    def first_wanted(self) -> int:
        """Numbers below this one are of no use any more."""
        return self._next

    def expected(self, timestamp: int) -> Instant:
        """When a frame with this timestamp comes if it is as fast as the fastest."""
        return self._delay.expected(timestamp)

    def delay(self, now: Instant) -> Duration:
        """By how much frames are held back, compared with the fastest ones."""
        needed = min(self._delay.needed(now), self.maximum_delay)
        return min(max(needed, self.minimum_delay), MAX_DELAY) + self.synchronization_delay

    # Whole frames

    def _release(self, number: int, now: Instant) -> None:
        if self.wants_key_frame:
            self._release_key_frame(number, now)
        while not self.wants_key_frame:
            assembly = self._by_number.get(self._next)
            if assembly is None:
                if self._next not in self._by_number:
                    break
                del self._by_number[self._next]
                self._next += 1
            elif self._is_complete(assembly):
                self._emit(assembly, now)
            else:
                break
        self._notice_block(now)

    def _release_key_frame(self, number: int, now: Instant) -> None:
        """Go on with a key frame if this packet has completed one."""
        for neighbour in (number - 1, number, number + 1):
            assembly = self._by_number.get(neighbour)
            if assembly is not None and assembly.is_key and self._is_complete(assembly):
                self._go_on_at(assembly, now)
                return
        if len(self._by_number) > MAX_PACKETS // 4:
            self._drop_useless()

    def _drop_useless(self) -> None:
        """Frames that no key frame can be before any more; those behind an incomplete one may still be of use."""
        for assembly in self._in_order():
            if assembly.is_key or not self._is_complete(assembly):
                return
            self._drop(assembly)

    def _go_on_at(self, assembly: Assembly, now: Instant) -> None:
        """Drop what is before `assembly`, and let it out."""
        for earlier in self._in_order():
            if earlier.lowest >= assembly.lowest:
                break
            self._follows_gap = True
            self._drop(earlier)
        for number in [number for number in self._by_number if number < assembly.lowest]:
            del self._by_number[number]
        self._follows_gap |= 0 <= self._next < assembly.lowest
        self._next = assembly.lowest
        self.wants_key_frame = False
        self._emit(assembly, now)

    def _is_complete(self, assembly: Assembly) -> bool:
        pieces = assembly.pieces
        lowest, highest = assembly.lowest, assembly.highest
        if len(pieces) != highest - lowest + 1:
            return False
        if not assembly.ends and highest + 1 not in self._by_number:
            return False
        return self._begins(lowest, pieces[lowest][1])

    def _begins(self, number: int, fragment: Fragment) -> bool:
        """Whether a frame begins with this packet: what is before it belongs to another one, or the payload says so."""
        if number - 1 in self._by_number or number - 1 == self._passed:
            return True
        if not self.wants_key_frame and number == self._next:
            return True
        return fragment.begins_frame and (self.payload_tells_beginning or number == self._first)

    def _emit(self, assembly: Assembly, now: Instant) -> None:
        pieces = assembly.pieces
        packets: list[RtpPacket] = []
        fragments: list[Fragment] = []
        for number in range(assembly.lowest, assembly.highest + 1):
            packet, fragment = pieces[number]
            packets.append(packet)
            fragments.append(fragment)
        self._remove(assembly)
        self._next = assembly.highest + 1
        self._blocked_since = NEVER  # what is missing behind it has been so for less long
        frame = BufferedFrame(
            assembly.timestamp,
            packets,
            fragments,
            assembly.is_key,
            self._follows_gap,
            assembly.first_at,
            now,
        )
        self._follows_gap = False
        self._learn_layers(fragments[0])
        self._delay.learn(assembly.timestamp, now)
        frame.play_at = self._play_at(assembly.timestamp, now)
        self._last_play_at = frame.play_at
        self._held.append(frame)

    def _play_at(self, timestamp: int, now: Instant) -> Instant:
        delay = self.delay(now)
        at = min(later(self._delay.expected(timestamp), delay), later(now, delay))
        return max(at, now, self._last_play_at)

    def _learn_layers(self, first: Fragment) -> None:
        if first.temporal_layer == 0:
            self._layer_zero_index = first.tl0_picture_index

    # Missing packets

    def _notice_block(self, now: Instant) -> None:
        """Something is missing when there are fewer packets than numbers."""
        if self.wants_key_frame or self._highest - self._next + 1 == len(self._by_number):
            self._blocked_since = NEVER
        elif self._blocked_since == NEVER:
            self._blocked_since = now
        elif now >= self._due_at():
            self._look_for_way_on(now)

    def _due_at(self) -> Instant:
        """When the first frame that cannot leave should be shown; what is missing is of it, or of one before it."""
        first = min(self._by_timestamp.values(), key=_lowest, default=None)
        return later(self._delay.expected(first.timestamp), self.delay(self._blocked_since)) if first else NEVER

    def _look_for_way_on(self, now: Instant) -> None:
        """Go on at a later frame that needs nothing of what is missing, if there is one that is complete."""
        for assembly in self._in_order():
            if self._is_complete(assembly) and (assembly.is_key or self._needs_base_layer_only(assembly)):
                self._blocked_since = NEVER
                self._go_on_at(assembly, now)
                self._release(self._next, now)
                return

    def _needs_base_layer_only(self, assembly: Assembly) -> bool:
        """Whether it is the frame of the base layer behind the last one, so that only upper layers are missing.

        RFC 7741 section 4.2: TL0PICIDX counts the frames of the base layer, which need no others.
        """
        first = assembly.pieces[assembly.lowest][1]
        if self._layer_zero_index is None or first.temporal_layer != 0 or first.tl0_picture_index is None:
            return False
        return first.tl0_picture_index == self._layer_zero_index + 1 & 0xFF

    # Bounds

    def _keep_bounds(self) -> None:
        if len(self._by_number) <= MAX_PACKETS and self._size <= MAX_BYTES:
            return
        self.frames_dropped += len(self._by_timestamp)
        highest = self._highest
        self.restart()
        self._highest, self._next = highest, highest + 1

    def _in_order(self) -> list[Assembly]:
        return sorted(self._by_timestamp.values(), key=_lowest)

    def _drop(self, assembly: Assembly) -> None:
        if self._is_complete(assembly):
            self._passed = assembly.highest
        self._remove(assembly)
        self.frames_dropped += 1

    def _remove(self, assembly: Assembly) -> None:
        for number in assembly.pieces:
            del self._by_number[number]
        del self._by_timestamp[assembly.timestamp]
        self._size -= assembly.size


def _lowest(assembly: Assembly) -> int:
    return assembly.lowest
