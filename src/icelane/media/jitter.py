"""Audio: packets in any order become a steady row of instructions, each told when it is due.

The buffer delays all packets by as much as the later ones need, and a little is always being adjusted:

    a frame came too late         the delay is at once what would have been enough for it, and then shrinks slowly
    the delay is too short        a frame of concealment more, in silence if there is some, and seldom
    the delay is too long         a frame is left out, in silence if there is some, and seldom; several at once when the
                                  delay is far too long

Where the next frame is missing, the sequence numbers of what has come say why: consecutive ones mean that the source
has made a pause (DTX, RFC 7587 section 3.1.3), others that packets were lost. As long as nothing has come, time stands
still for the buffer: it conceals, and remembers how much of that is owed to the timestamps.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.media.arrival_delay import MAX_DELAY, ArrivalDelay
from icelane.media.frame import EncodedFrame
from icelane.media.playout import Conceal, Decode, DecodeForwardErrorCorrection, Playout
from icelane.media.statistics import InboundStatistics

# Frames that wait to be played, 5 s of 10 ms: more than the longest delay holds. At the bound the oldest is dropped.
MAX_FRAMES: Final = 500
# What a delay is at least: programs are not always there on time.
MIN_DELAY: Final[Duration] = 0.02
# With the first packet nothing is known of the network yet.
START_DELAY: Final[Duration] = 0.04
# After so much without a packet nothing is said any more, and the next packet begins anew.
MAX_SILENCE: Final[Duration] = 2.0

# Late frames of one in thirty would be heard.
_QUANTILE: Final = 0.97
# What timers and the sender's own clock are late by.
_MARGIN: Final[Duration] = 0.005
# How far the delay may be off before it is adjusted, in frames and then this; and at once, silence or not.
_TOLERANCE: Final[Duration] = 0.01
_INTOLERABLE: Final[Duration] = 0.3
# Adjustments, each of a frame, are so far apart; and in sound that is not silent.
_PAUSE: Final[Duration] = 0.2
_LONG_PAUSE: Final[Duration] = 0.4
# After a loss the delay is such that FEC and retransmission have time, for so long.
_LOSS_MEMORY: Final[Duration] = 30.0
# Numbers of packets without sound, of late. At the bound the oldest is forgotten, and looks as if it had been lost.
MAX_OTHERS: Final = 256
# In -dBov: quieter than the noise of most rooms.
_SILENT_LEVEL: Final = 60
# Deadlines that were missed by more than this are not made up for: the program was suspended.
_SUSPENDED: Final[Duration] = 1.0


class WaitingFrame:
    __slots__ = ("arrived_at", "frame", "has_redundancy", "number", "timestamp")

    def __init__(self, number: int, timestamp: int, frame: EncodedFrame, now: Instant, *, has_redundancy: bool) -> None:
        self.has_redundancy = has_redundancy
        self.number = number
        self.timestamp = timestamp
        self.frame = frame
        self.arrived_at = now


class JitterBuffer:
    """The sound of one source. Numbers and timestamps are unwrapped; each frame says its duration.

    `has_forward_error_correction` says that a frame may tell about the one before it. `minimum_delay` is what the
    application wants at least, `synchronization_delay` what comes on top for lip synchronization,
    `retransmission_time` how long a lost packet takes to come again, 0 when it does not.
    """

    __slots__ = (
        "_adjusted_at",
        "_cursor",
        "_delay",
        "_duration",
        "_frames",
        "_last_number",
        "_lost_at",
        "_next_at",
        "_others",
        "_owed",
        "_silent_since",
        "_statistics",
        "_was_concealing",
        "has_forward_error_correction",
        "minimum_delay",
        "retransmission_time",
        "synchronization_delay",
    )

    def __init__(
        self, clock_rate: int, statistics: InboundStatistics, *, duration: int, forward_error_correction: bool = False
    ) -> None:
        self.has_forward_error_correction = forward_error_correction
        self.minimum_delay: Duration = 0.0
        self.synchronization_delay: Duration = 0.0
        self.retransmission_time: Duration = 0.0
        self._statistics = statistics
        self._delay = ArrivalDelay(clock_rate, _QUANTILE)
        self._frames: dict[int, WaitingFrame] = {}
        self._duration = duration
        self._cursor = 0
        self._next_at = NEVER
        self._last_number = -1
        self._others: dict[int, None] = {}
        self._owed = 0
        self._silent_since = NEVER
        self._adjusted_at = 0.0
        self._lost_at = float("-inf")
        self._was_concealing = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def first_wanted(self) -> int:
        """Numbers below this one are of no use any more."""
        return self._last_number + 1

    def expected(self, timestamp: int) -> Instant:
        """When a frame with this timestamp comes if it is as fast as the fastest."""
        return self._delay.expected(timestamp)

    @property
    def next_at(self) -> Instant:
        """When the next instruction is due; NEVER while nothing is played."""
        return self._next_at

    def insert(
        self,
        number: int,
        timestamp: int,
        frame: EncodedFrame,
        now: Instant,
        *,
        repaired: bool = False,
        has_redundancy: bool = True,
    ) -> bool:
        """A frame came, or came again when `repaired`; False when it is too late, or came twice.

        `has_redundancy` says whether the frame before it can be had from it: an encoder sends FEC for what it takes to
        be speech alone.
        """
        if not frame.duration:
            frame.duration = self._duration
        if self._next_at == NEVER:
            self._start(timestamp, now)
        if not repaired:
            self._learn(number, timestamp, now)
        if timestamp < self._cursor and not self._rewind(timestamp):
            return False
        if timestamp in self._frames:
            return False
        self._frames[timestamp] = WaitingFrame(number, timestamp, frame, now, has_redundancy=has_redundancy)
        if len(self._frames) > MAX_FRAMES:
            del self._frames[min(self._frames)]
        return True

    def skip(self, number: int) -> None:
        """A packet came that is no sound, such as a tone: where it stands nothing is missing."""
        self._others[number] = None
        if len(self._others) > MAX_OTHERS:
            del self._others[next(iter(self._others))]

    def advance(self, now: Instant) -> list[Playout]:
        """The instructions that are due, in their order."""
        instructions: list[Playout] = []
        if now - self._next_at > _SUSPENDED:
            self._next_at = now
        while self._next_at <= now:
            instruction = self._decide(self._next_at)
            if instruction is None:
                self.restart()
                break
            instructions.append(instruction)
            self._count(instruction)
            self._next_at = later(self._next_at, instruction.duration / self._delay.clock_rate)
        return instructions

    def restart(self) -> None:
        """Forget what waits: the next frame begins anew."""
        self._frames.clear()
        self._next_at = NEVER
        self._owed = 0
        self._last_number = -1
        self._silent_since = NEVER
        self._was_concealing = False

    def delay(self, now: Instant) -> Duration:
        """By how much frames are to be held back, compared with the fastest ones."""
        repair: Duration = 0.0
        if now - self._lost_at < _LOSS_MEMORY:
            repair = self.retransmission_time
            if self.has_forward_error_correction:
                repair = max(repair, self._duration / self._delay.clock_rate)
        needed = max(self._delay.needed(now) + repair, self.minimum_delay, MIN_DELAY)
        return min(needed + _MARGIN, MAX_DELAY) + self.synchronization_delay

    # What comes

    def _start(self, timestamp: int, now: Instant) -> None:
        self._cursor = timestamp
        self._next_at = later(now, max(START_DELAY, self.delay(now)))
        self._adjusted_at = now

    def _learn(self, number: int, timestamp: int, now: Instant) -> None:
        if self._delay.is_known and abs(now - self._delay.expected(timestamp)) > MAX_DELAY:
            if number <= self._last_number:
                return  # one straggler says nothing about the others
            if not self._cursor <= timestamp <= self._cursor + self._owed:
                self.restart()  # the media clock has made a jump: what has come before belongs to another one
                self._start(timestamp, now)
        lateness = self._delay.learn(timestamp, now)
        if self._last_number >= 0 and lateness > self.delay(now):
            self._delay.was_late(lateness, now)

    def _rewind(self, timestamp: int) -> bool:
        """Before anything was played, an earlier packet than the first one is welcome."""
        if self._last_number >= 0 or self._owed:
            return False
        self._cursor = timestamp
        return True

    # What is due

    def _decide(self, now: Instant) -> Playout | None:
        skipped = self._leave_out(now) if self._frames else 0
        waiting = self._frames.get(self._cursor)
        if waiting is None and self._frames:
            upcoming = self._frames[min(self._frames)]
            gap = upcoming.timestamp - self._cursor
            if not self._is_pause(upcoming.number):
                self._lost_at = now
            if self._owed < gap or self._can_repair(upcoming, gap, now):
                return self._fill(upcoming, gap)
            waiting = upcoming  # all of the gap has been concealed by now
        if waiting is None:
            return self._stand_still(now)
        if self._is_too_short(waiting.frame, now):
            return self._insert(now)
        return self._play(waiting, skipped, now)

    def _play(self, waiting: WaitingFrame, skipped: int, now: Instant) -> Playout:
        del self._frames[waiting.timestamp]
        frame = waiting.frame
        self._settle(waiting.number)
        self._cursor = waiting.timestamp + frame.duration
        self._last_number = waiting.number
        self._duration = frame.duration
        self._silent_since = NEVER
        seconds = now - waiting.arrived_at
        counts = self._statistics
        counts.jitter_buffer_delay += max(seconds, 0.0) * frame.duration
        counts.jitter_buffer_target_delay += self.delay(now) * frame.duration
        counts.jitter_buffer_emitted_count += frame.duration
        return Decode(frame, skipped)

    def _fill(self, upcoming: WaitingFrame, gap: int) -> Playout:
        """Something is missing before `upcoming`: the rest of a pause, or lost."""
        self._cursor += self._owed
        rest = gap - self._owed
        pause = self._is_pause(upcoming.number)
        self._settle(upcoming.number)
        if pause:
            step = min(rest, self._duration)
            self._cursor += step
            return Conceal(step, silence=True)
        if rest <= upcoming.frame.duration and self._has_redundancy(upcoming):
            self._cursor += rest
            return DecodeForwardErrorCorrection(upcoming.frame, rest)
        step = min(rest, self._duration)
        self._cursor += step
        return Conceal(step)

    def _can_repair(self, upcoming: WaitingFrame, gap: int, now: Instant) -> bool:
        """Whether a frame that was concealed may follow after all: where there should be more delay anyway."""
        if not self._has_redundancy(upcoming) or gap > upcoming.frame.duration:
            return False
        if self._is_pause(upcoming.number) or now - self._delay.expected(self._cursor) > self.delay(now) + _TOLERANCE:
            return False
        self._statistics.inserted_samples_for_deceleration += self._owed
        self._owed = 0
        return True

    def _has_redundancy(self, upcoming: WaitingFrame) -> bool:
        return self.has_forward_error_correction and upcoming.has_redundancy

    def _stand_still(self, now: Instant) -> Playout | None:
        """Nothing is there: play on without knowing what it stands for, up to MAX_SILENCE."""
        if self._silent_since == NEVER:
            self._silent_since = now
        if now - self._silent_since >= MAX_SILENCE:
            self._statistics.silent_concealed_samples += self._owed
            return None
        self._owed += self._duration
        return Conceal(self._duration)

    def _is_pause(self, number: int) -> bool:
        """Whether no packet with sound is missing between the last one and this."""
        between = range(self._last_number + 1, number)
        return len(between) <= MAX_OTHERS and all(other in self._others for other in between)

    def _settle(self, number: int) -> None:
        """What was concealed in the dark turns out to have been a pause, or a loss or a packet that was late."""
        if self._owed and self._is_pause(number):
            self._statistics.silent_concealed_samples += self._owed
        self._owed = 0

    # Adjustments

    def _behind(self, now: Instant) -> Duration:
        """By how much more than wanted what is played now is delayed."""
        position = self._cursor if self._cursor in self._frames else self._cursor + self._owed
        return now - self._delay.expected(position) - self.delay(now)

    def _leave_out(self, now: Instant) -> int:
        """When there is too much delay, pass over a frame; returns how many ticks."""
        behind = self._behind(now)
        frame = self._duration / self._delay.clock_rate
        if behind > _INTOLERABLE:
            return self._pass_over(round((behind - frame) * self._delay.clock_rate), now)
        if behind <= frame + _TOLERANCE or now - self._adjusted_at < _PAUSE:
            return 0
        waiting = self._frames.get(self._cursor)
        if waiting is None or self._cursor + self._duration not in self._frames:
            return 0
        if not self._is_silent(waiting.frame) and now - self._adjusted_at < _LONG_PAUSE:
            return 0
        return self._pass_over(self._duration, now)

    def _pass_over(self, ticks: int, now: Instant) -> int:
        """Drop frames that begin within the next `ticks`, as long as one is left to play."""
        start = self._cursor
        for timestamp in sorted(self._frames)[:-1]:
            if timestamp + self._frames[timestamp].frame.duration - start > ticks:
                break
            dropped = self._frames.pop(timestamp)
            self._cursor = timestamp + dropped.frame.duration
            self._last_number = dropped.number
            self._statistics.packets_discarded += 1
        self._adjusted_at = now
        self._statistics.removed_samples_for_acceleration += self._cursor - start
        return self._cursor - start

    def _is_too_short(self, frame: EncodedFrame, now: Instant) -> bool:
        pause = _PAUSE if self._is_silent(frame) else _LONG_PAUSE
        if now - self._adjusted_at < pause:
            return False
        return self._behind(now) < -self._duration / self._delay.clock_rate - _TOLERANCE

    def _insert(self, now: Instant) -> Playout:
        self._adjusted_at = now
        self._statistics.inserted_samples_for_deceleration += self._duration
        return Conceal(self._duration, silence=True)

    @staticmethod
    def _is_silent(frame: EncodedFrame) -> bool:
        return frame.audio_level is not None and frame.audio_level >= _SILENT_LEVEL

    def _count(self, instruction: Playout) -> None:
        counts = self._statistics
        counts.total_samples_received += instruction.duration
        concealing = isinstance(instruction, Conceal)
        if isinstance(instruction, DecodeForwardErrorCorrection):
            counts.fec_samples += instruction.duration
        elif isinstance(instruction, Conceal):
            counts.concealed_samples += instruction.duration
            if instruction.silence:
                counts.silent_concealed_samples += instruction.duration
            if not self._was_concealing:
                counts.concealment_events += 1
        self._was_concealing = concealing
