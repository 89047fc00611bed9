"""Which packets of a transport arrived, and when (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      base sequence number     |      packet status count      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                 reference time                | fb pkt. count |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          packet chunk         |         packet chunk          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         packet chunk          |  recv delta   |  recv delta   |

A chunk is a run of one status, or a vector of 14 statuses of one bit or of 7 of two:

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+      +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0| S |       run length        |      |1|S|       symbol list         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+      +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant
from icelane.core.reader import Reader
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp.record import PacketType, encode_packet, encode_uint32s

TRANSPORT_WIDE: Final = 15

# Statuses in one packet. Sixteen bits could claim 65,535 with nine chunks of runs; nobody waits for so many packets
# with a report. What claims more does not parse, and what is to be reported beyond it goes into the next packet.
MAX_STATUSES: Final = 8192

DELTA_UNIT: Final[Duration] = 0.00025
# A reference time has 24 bits of 64 ms.
_UNITS_OF_REFERENCE: Final = 256
_LONGEST_RUN: Final = 0x1FFF

_LOST: Final = 0
_SMALL: Final = 1
_LARGE: Final = 2


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """The packets from `base_sequence_number` on: for each the time since the one before it that arrived, or None.

    `deltas` are in units of 250 microseconds, -32,768 to 32,767; the first one counts from `reference_time`, which is
    in units of 64 ms, 24 bits with a sign, on a clock of the peer's. `feedback_count` goes up by one each time.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence_number: int
    reference_time: int
    feedback_count: int
    deltas: tuple[int | None, ...]

    def arrivals(self) -> list[tuple[int, Duration | None]]:
        """Sequence numbers, modulo 2**16, with when they arrived in seconds of the peer's clock; None: not at all."""
        arrivals: list[tuple[int, Duration | None]] = []
        units = self.reference_time * _UNITS_OF_REFERENCE
        for position, delta in enumerate(self.deltas):
            number = self.base_sequence_number + position & 0xFFFF
            if delta is None:
                arrivals.append((number, None))
            else:
                units += delta
                arrivals.append((number, units * DELTA_UNIT))
        return arrivals


def parse_transport_feedback(body: bytes) -> TransportFeedback:
    """A feedback. Raises MalformedError, also for none or too many statuses and for the reserved status."""
    reader = Reader(body)
    sender, media = reader.uint32(), reader.uint32()
    base, count = reader.uint16(), reader.uint16()
    if not 1 <= count <= MAX_STATUSES:
        raise MalformedError(f"feedback about {count} packets")
    reference = int.from_bytes(reader.take(3), "big", signed=True)
    feedback_count = reader.uint8()
    statuses: list[int] = []
    while len(statuses) < count:
        statuses += _statuses_of(reader.uint16(), count - len(statuses))
    deltas = tuple([_read_delta(reader, status) for status in statuses[:count]])
    return TransportFeedback(sender, media, base, reference, feedback_count, deltas)


def _statuses_of(chunk: int, wanted: int) -> list[int]:
    if not chunk & 0x8000:
        length = chunk & _LONGEST_RUN
        if length == 0:
            raise MalformedError("a run of no packets")
        return [chunk >> 13] * min(length, wanted)
    if chunk & 0x4000:
        return [chunk >> shift & 3 for shift in range(12, -1, -2)]
    return [chunk >> shift & 1 for shift in range(13, -1, -1)]


def _read_delta(reader: Reader, status: int) -> int | None:
    if status == _LOST:
        return None
    if status == _SMALL:
        return reader.uint8()
    if status == _LARGE:
        return int.from_bytes(reader.take(2), "big", signed=True)
    raise MalformedError("a packet of the reserved status")


def encode_transport_feedback(feedback: TransportFeedback) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    if not 1 <= len(feedback.deltas) <= MAX_STATUSES:
        raise InvalidAccessError(f"feedback about {len(feedback.deltas)} packets")
    try:
        deltas = b"".join([_encode_delta(delta) for delta in feedback.deltas if delta is not None])
        reference = feedback.reference_time.to_bytes(3, "big", signed=True)
    except OverflowError as error:
        raise InvalidAccessError("a time does not fit into a feedback") from error
    statuses = [_status_of(delta) for delta in feedback.deltas]
    body = (
        encode_uint32s(feedback.sender_ssrc, feedback.media_ssrc)
        + (feedback.base_sequence_number & 0xFFFF).to_bytes(2, "big")
        + len(statuses).to_bytes(2, "big")
        + reference
        + bytes((feedback.feedback_count & 0xFF,))
        + _encode_chunks(statuses)
        + deltas
    )
    # The draft pads with zeros, which RTCP's padding bit does not have to announce: the statuses say where they begin.
    return encode_packet(PacketType.TRANSPORT_FEEDBACK, TRANSPORT_WIDE, body + bytes(-len(body) & 3))


def _status_of(delta: int | None) -> int:
    if delta is None:
        return _LOST
    return _SMALL if 0 <= delta <= 255 else _LARGE


def _encode_delta(delta: int) -> bytes:
    return delta.to_bytes(1 if 0 <= delta <= 255 else 2, "big", signed=not 0 <= delta <= 255)


def _encode_chunks(statuses: list[int]) -> bytes:
    """Runs where they cover more than the vector that could stand in their place."""
    chunks: list[int] = []
    position = 0
    while position < len(statuses):
        run = _run_at(statuses, position)
        large = _LARGE in statuses[position : position + 14]
        if run >= (7 if large else 14):
            chunks.append(statuses[position] << 13 | run)
        elif large:
            run = 7
            chunks.append(0xC000 | _vector(statuses[position : position + 7], 7, 2))
        else:
            run = 14
            chunks.append(0x8000 | _vector(statuses[position : position + 14], 14, 1))
        position += run
    return b"".join([chunk.to_bytes(2, "big") for chunk in chunks])


def _run_at(statuses: list[int], position: int) -> int:
    end = min(position + _LONGEST_RUN, len(statuses))
    first = statuses[position]
    stop = position + 1
    while stop < end and statuses[stop] == first:
        stop += 1
    return stop - position


def _vector(statuses: list[int], size: int, bits: int) -> int:
    value = 0
    for status in statuses:
        value = value << bits | status
    return value << bits * (size - len(statuses))


def feedback_from_arrivals(
    arrivals: Sequence[tuple[int, Instant]], *, sender_ssrc: int, media_ssrc: int, feedback_count: int
) -> list[TransportFeedback]:
    """As few feedbacks as can tell of `arrivals`, numbered from `feedback_count` on.

    `arrivals` are unwrapped sequence numbers, growing, with when they arrived; what is left out between two of them is
    reported as lost. A new feedback begins where a delta or the statuses would not fit.
    """
    feedbacks: list[TransportFeedback] = []
    deltas: list[int | None] = []
    base = reference = units = 0
    for number, arrived in arrivals:
        at = round(arrived / DELTA_UNIT)
        if deltas and (number - base >= MAX_STATUSES or not -0x8000 <= at - units <= 0x7FFF):
            feedbacks.append(_feedback(sender_ssrc, media_ssrc, base, reference, feedback_count, feedbacks, deltas))
            deltas = []
        if not deltas:
            base = number
            reference = at // _UNITS_OF_REFERENCE
            units = reference * _UNITS_OF_REFERENCE
        deltas += [None] * (number - base - len(deltas))
        deltas.append(at - units)
        units = at
    if deltas:
        feedbacks.append(_feedback(sender_ssrc, media_ssrc, base, reference, feedback_count, feedbacks, deltas))
    return feedbacks


def _feedback(
    sender: int,
    media: int,
    base: int,
    reference: int,
    feedback_count: int,
    before: list[TransportFeedback],
    deltas: list[int | None],
) -> TransportFeedback:
    signed = (reference + 0x800000 & 0xFFFFFF) - 0x800000
    return TransportFeedback(sender, media, base & 0xFFFF, signed, feedback_count + len(before) & 0xFF, tuple(deltas))
