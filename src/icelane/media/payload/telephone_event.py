"""Telephone events (RFC 4733 section 2.3): the tones of a telephone's keys by name rather than by sound.

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|     event     |E|R| volume    |          duration             |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

All packets of a tone have the timestamp of its beginning, and each says how long it has lasted so far. The last, with
E, is sent three times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError

TONES: Final = "0123456789*#ABCD"
"""The tone of each event from 0 on (RFC 4733 section 3.2)."""
MAX_DURATION: Final = 0xFFFF
"""What the field says at most; a longer tone goes on in a new segment."""
MAX_EVENTS: Final = 32
"""How many events a packet reports at most (RFC 4733 section 2.5.1.6). A packet that reports more is malformed."""
END_PACKETS: Final = 3
"""RFC 4733 section 2.5.1.4: how often the end is told."""
DEFAULT_VOLUME: Final = 10
"""-10 dBm0, as browsers have it."""

_REPORT: Final = Struct(">BBH")
_END: Final = 0x80
_VOLUME: Final = 0x3F
_MODULUS: Final = 1 << 32
# 10 s of the fastest clock. What is older by less was late on its way; what is older by more is newer, and timestamps
# have gone round since the last tone.
_LATE: Final = 480_000


@dataclass(frozen=True, slots=True)
class EventReport:
    """What a packet says of an event: `volume` in -dBm0 from 0 to 63, `duration` in units of the RTP clock."""

    event: int
    duration: int
    is_end: bool = False
    volume: int = DEFAULT_VOLUME


@dataclass(frozen=True, slots=True)
class TonePacket:
    """A packet of a tone. Both offsets count from the tone's beginning, in units of the RTP clock.

    `timestamp_offset` is added to the RTP timestamp of the beginning; `send_offset` says when the packet leaves.
    """

    payload: bytes
    timestamp_offset: int
    send_offset: int
    marker: bool


@dataclass(frozen=True, slots=True)
class ToneBegan:
    """`timestamp` is that of the RTP packet."""

    event: int
    volume: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class ToneEnded:
    """`duration` is that of all segments, in units of the RTP clock."""

    event: int
    duration: int
    timestamp: int


def event_of(tone: str) -> int:
    """The event of a key, in lower case too; raises InvalidAccessError for others."""
    event = TONES.find(tone.upper()) if len(tone) == 1 else -1
    if event < 0:
        raise InvalidAccessError(f"{tone!r} is not a tone")
    return event


def encode_report(report: EventReport) -> bytes:
    """Raises InvalidAccessError for what the fields cannot say."""
    if not (0 <= report.event <= 0xFF and 0 <= report.volume <= _VOLUME and 0 <= report.duration <= MAX_DURATION):
        raise InvalidAccessError(f"{report} does not fit its fields")
    return _REPORT.pack(report.event, report.volume | (_END if report.is_end else 0), report.duration)


def parse_reports(payload: bytes) -> tuple[EventReport, ...]:
    """What a packet says of one event, or of several that followed each other; raises MalformedError."""
    if not payload or len(payload) % _REPORT.size or len(payload) > MAX_EVENTS * _REPORT.size:
        raise MalformedError(f"{len(payload)} bytes are no report of telephone events")
    return tuple(
        [
            EventReport(event, duration, bool(bits & _END), bits & _VOLUME)
            for event, bits, duration in _REPORT.iter_unpack(payload)
        ]
    )


def tone_packets(event: int, duration: int, interval: int, volume: int = DEFAULT_VOLUME) -> Iterator[TonePacket]:
    """All packets of a tone, in the order in which they leave.

    `duration` of the tone and `interval` from packet to packet are in units of the RTP clock. The first packet leaves
    when one interval is over, like one of sound, and the last is repeated at the same interval. Raises
    InvalidAccessError.
    """
    if duration <= 0 or interval <= 0:
        raise InvalidAccessError(f"a tone of {duration} with a packet each {interval}")
    return _packets(event, duration, interval, volume)


def _packets(event: int, duration: int, interval: int, volume: int) -> Iterator[TonePacket]:
    segment = 0
    elapsed = 0
    while elapsed < duration:
        marker = elapsed == 0
        elapsed = min(elapsed + interval, duration)
        # RFC 4733 section 2.5.1.3: a segment that is full ends without E, and the next begins where it ended.
        while elapsed - segment > MAX_DURATION:
            full = encode_report(EventReport(event, MAX_DURATION, volume=volume))
            yield TonePacket(full, segment, elapsed, marker)
            segment += MAX_DURATION
            marker = False
        report = EventReport(event, elapsed - segment, elapsed == duration, volume)
        yield TonePacket(encode_report(report), segment, elapsed, marker)
    last = encode_report(EventReport(event, duration - segment, is_end=True, volume=volume))
    for repetition in range(1, END_PACKETS):
        yield TonePacket(last, segment, duration + repetition * interval, marker=False)


class ToneReceiver:
    """Recognises tones in the packets that come, each once however often and in whichever order it is told.

    Where every packet with the end is lost, the beginning of the next tone ends the one before.
    """

    def __init__(self) -> None:
        self._event: int | None = None  # of the tone that lasts
        self._began = 0
        self._segment = 0  # timestamp of the newest segment, or of the last tone that is over
        self._duration = 0  # within the segment
        self._has_heard = False

    def handle_payload(self, payload: bytes, timestamp: int) -> list[ToneBegan | ToneEnded]:
        """What a packet tells that is new; `timestamp` is that of the RTP packet. Raises MalformedError."""
        heard: list[ToneBegan | ToneEnded] = []
        for report in parse_reports(payload):
            heard += self._handle_report(report, timestamp)
            timestamp = (timestamp + report.duration) % _MODULUS
        return heard

    def handle_silence(self) -> list[ToneBegan | ToneEnded]:
        """Nothing has come for too long: the tone that lasts is over (RFC 4733 section 2.5.2.2)."""
        return self._end()

    def _handle_report(self, report: EventReport, timestamp: int) -> list[ToneBegan | ToneEnded]:
        heard: list[ToneBegan | ToneEnded] = []
        age = (timestamp - self._segment) % _MODULUS
        if self._has_heard and age >= _MODULUS - _LATE:
            return heard
        if not self._has_heard or age:
            if not self._goes_on(report.event, age):
                heard += self._end()
                heard.append(ToneBegan(report.event, report.volume, timestamp))
                self._event, self._began = report.event, timestamp
            self._segment, self._duration, self._has_heard = timestamp, 0, True
        elif report.event != self._event:
            return heard
        self._duration = max(self._duration, report.duration)
        if report.is_end:
            heard += self._end()
        return heard

    def _goes_on(self, event: int, age: int) -> bool:
        # Every segment but the last has the longest duration there is.
        return event == self._event and age % MAX_DURATION == 0

    def _end(self) -> list[ToneBegan | ToneEnded]:
        if self._event is None:
            return []
        duration = (self._segment - self._began) % _MODULUS + self._duration
        ended = ToneEnded(self._event, duration, self._began)
        self._event = None
        return [ended]
