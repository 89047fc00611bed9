"""The tones of a telephone's keys, to be sent one after the other (W3C RTCDTMFSender)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.errors import InvalidAccessError
from icelane.media.event import ToneStarted
from icelane.media.payload.telephone_event import TONES, TonePacket, event_of, tone_packets

# W3C insertDTMF: what is shorter or longer is taken as the nearest of these.
MIN_DURATION: Final[Duration] = 0.04
MAX_DURATION: Final[Duration] = 6.0
MIN_GAP: Final[Duration] = 0.03
MAX_GAP: Final[Duration] = 6.0
DEFAULT_DURATION: Final[Duration] = 0.1
DEFAULT_GAP: Final[Duration] = 0.07
PAUSE: Final = ","
# A program passes on what it was given: more are refused. These take over a minute.
MAX_TONES: Final = 1_024
PAUSE_DURATION: Final[Duration] = 2.0
# RFC 4733 section 2.5.1.1 suggests 50 ms; browsers send a packet as often as of sound.
_INTERVAL: Final[Duration] = 0.02


class ToneQueue:
    """Tones that are still to be sent, and the one that is being sent.

    While `is_sounding`, no sound is to be sent: the tone takes its place.
    """

    def __init__(self, clock_rate: int) -> None:
        self.tones = ""
        self.is_sounding = False
        self._clock_rate = clock_rate
        self._duration = DEFAULT_DURATION
        self._gap = DEFAULT_GAP
        self._next_at = NEVER
        self._began_at = Instant(0.0)
        self._packets: Iterator[TonePacket] = iter(())
        self._packet: TonePacket | None = None
        self._events: deque[ToneStarted] = deque()

    def set_clock_rate(self, clock_rate: int) -> None:
        """Of tones that have not begun; one that sounds is over, as its packets count by the other clock."""
        self._clock_rate = clock_rate
        if self._packet is not None:
            self._packets = iter(())
            self._prepare()

    def insert(
        self, tones: str, now: Instant, *, duration: Duration = DEFAULT_DURATION, gap: Duration = DEFAULT_GAP
    ) -> None:
        """Send `tones` in place of those that have not begun; "" takes them back.

        Raises InvalidAccessError (W3C: InvalidCharacterError) for another character than a key or a comma, and for more
        than MAX_TONES.
        """
        if len(tones) > MAX_TONES:
            raise InvalidAccessError(f"{len(tones)} tones are more than the {MAX_TONES} that may wait")
        tones = tones.upper()
        if wrong := [tone for tone in tones if tone != PAUSE and tone not in TONES]:
            raise InvalidAccessError(f"{wrong[0]!r} is no tone")
        self.tones = tones
        self._duration = _within(duration, MIN_DURATION, MAX_DURATION)
        self._gap = _within(gap, MIN_GAP, MAX_GAP)
        if tones and self._next_at == NEVER:
            self._next_at = now

    def advance(self, now: Instant) -> list[tuple[Instant, TonePacket]]:
        """The packets that are due, each with when its tone began."""
        due: list[tuple[Instant, TonePacket]] = []
        while self._next_at <= now:
            if self._packet is not None:
                due.append((self._began_at, self._packet))
                self._prepare()
            else:
                self._begin_next()
        return due

    def poll_event(self) -> ToneStarted | None:
        """What has begun, or None."""
        return self._events.popleft() if self._events else None

    @property
    def next_at(self) -> Instant:
        """When `advance` has something to do; NEVER when there is no tone."""
        return self._next_at

    def _begin_next(self) -> None:
        tone, self.tones = self.tones[:1], self.tones[1:]
        self._events.append(ToneStarted(tone))
        if not tone:
            self._next_at = NEVER
        elif tone == PAUSE:
            self._next_at = later(self._next_at, PAUSE_DURATION)
        else:
            self._began_at = self._next_at
            self.is_sounding = True
            ticks = round(self._duration * self._clock_rate)
            self._packets = tone_packets(event_of(tone), ticks, round(_INTERVAL * self._clock_rate))
            self._prepare()

    def _prepare(self) -> None:
        self._packet = next(self._packets, None)
        if self._packet is not None:
            self._next_at = later(self._began_at, self._packet.send_offset / self._clock_rate)
            return
        # What repeats the end takes a part of the gap.
        self.is_sounding = False
        self._next_at = max(self._next_at, later(self._began_at, self._duration + self._gap))


def _within(duration: Duration, least: Duration, most: Duration) -> Duration:
    return min(duration, most) if duration >= least else least  # and NaN, which Web IDL takes as 0
