"""H.264 (RFC 6184): single NAL units, STAP-A, and in packetization mode 1 FU-A.

+---------------+---------------+
|0|1|2|3|4|5|6|7|0|1|2|3|4|5|6|7|
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|F|NRI|  Type   |S|E|R|  Type   |   the second byte in an FU-A: S and E for the first and the last of a unit
+---------------+---------------+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError, MessageTooLargeError, NotSupportedError
from icelane.media.payload.nal_unit import (
    aggregate,
    any_key,
    assemble_stream,
    group_units,
    parse_aggregate,
    unit_spans,
)
from icelane.media.payload.packetizer import Fragment, check_frame, even_spans
from icelane.media.payload.sequence_parameter_set import parse_h264_size

SINGLE: Final = 0
NON_INTERLEAVED: Final = 1

_TYPE: Final = 0x1F
_IMPORTANCE: Final = 0x60
_FORBIDDEN: Final = 0x80
_IDR: Final = 5
_PARAMETERS: Final = 7
_STAP_A: Final = 24
_FU_A: Final = 28
_INTERLEAVED: Final = {25: "STAP-B", 26: "MTAP16", 27: "MTAP24", 29: "FU-B"}
_STARTS: Final = 0x80
_ENDS: Final = 0x40
# SEI, SPS, PPS, delimiter, prefix, subset SPS (H.264 section 7.4.1.2.3): what lies before the first slice.
_BEFORE_SLICES: Final = frozenset((6, 7, 8, 9, 14, 15))
_FIRST_SLICES: Final = frozenset((1, 2, 5))
_SLICES: Final = frozenset((1, 2, 3, 4))
_FU_SIZE: Final = 2


class H264Packetizer:
    """Takes Annex B. In mode `SINGLE` every NAL unit has to fit a packet, so the encoder has to cut slices."""

    def __init__(self, mode: int = NON_INTERLEAVED) -> None:
        if mode not in (SINGLE, NON_INTERLEAVED):
            raise NotSupportedError(f"H.264 packetization mode {mode}")
        self._mode = mode

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        if not data:
            return []
        spans = unit_spans(data)
        for start, _ in spans:
            _check_header(data[start])
        payloads: list[bytes] = []
        groups = group_units(spans, max_size, 1) if self._mode == NON_INTERLEAVED else [[span] for span in spans]
        for group in groups:
            start, end = group[0]
            if len(group) > 1:
                importance = max([data[first] & _IMPORTANCE for first, _ in group])
                payloads.append(aggregate(bytes((_STAP_A | importance,)), data, group))
            elif end - start <= max_size:
                payloads.append(data[start:end])
            elif self._mode == SINGLE:
                raise MessageTooLargeError(f"a NAL unit of {end - start} bytes, and a packet takes {max_size}")
            else:
                payloads += _fragment(data, start, end, max_size)
        return payloads


def _check_header(header: int) -> None:
    if header & _FORBIDDEN or not 1 <= header & _TYPE < _STAP_A:
        raise InvalidAccessError(f"a NAL unit that begins with {header:#04x}")


def _fragment(data: bytes, start: int, end: int, max_size: int) -> list[bytes]:
    indicator = data[start] & _IMPORTANCE | _FU_A
    kind = data[start] & _TYPE
    view = memoryview(data)
    payloads = []
    for first, last in even_spans(start + 1, end, max_size - _FU_SIZE):
        bits = kind | (_STARTS if first == start + 1 else 0) | (_ENDS if last == end else 0)
        payloads.append(bytes((indicator, bits)) + view[first:last])
    return payloads


class H264Depacketizer:
    """Reads modes 0 and 1; what mode 2 alone has is malformed, since we never agree on it."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        if not payload:
            raise MalformedError("an empty H.264 payload")
        header = payload[0]
        if header & _FORBIDDEN:
            raise MalformedError("a NAL unit with its forbidden bit set")
        kind = header & _TYPE
        if kind == _FU_A:
            return _parse_fragment(payload)
        if kind == _STAP_A:
            units = parse_aggregate(payload, 1, 1)
            if any(unit[0] & _FORBIDDEN or not 1 <= unit[0] & _TYPE < _STAP_A for unit in units):
                raise MalformedError("an aggregation packet with something else than NAL units")
            return Fragment(tuple(units), _begins(units[0]), is_key=any_key(units, _is_key))
        if 1 <= kind < _STAP_A:
            return Fragment((payload,), _begins(payload), is_key=_is_key(payload))
        raise MalformedError(f"a NAL unit of type {_INTERLEAVED.get(kind, kind)}")

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return assemble_stream(fragments)


def _parse_fragment(payload: bytes) -> Fragment:
    if len(payload) <= _FU_SIZE:
        raise MalformedError("an FU-A without any of its NAL unit")
    bits = payload[1]
    kind = bits & _TYPE
    if not 1 <= kind < _STAP_A:
        raise MalformedError(f"an FU-A of type {kind}")
    header = bytes((payload[0] & _IMPORTANCE | kind,))
    starts = bool(bits & _STARTS)
    piece = header + payload[_FU_SIZE:] if starts else payload[_FU_SIZE:]
    return Fragment(
        (piece,),
        starts and _begins(piece),
        is_key=_is_key(header),
        continues=not starts,
        is_continued=not bits & _ENDS,
    )


def _begins(unit: bytes) -> bool:
    kind = unit[0] & _TYPE
    # The first bit of a slice is that of first_mb_in_slice: set for 0 and for nothing else.
    return kind in _BEFORE_SLICES or (kind in _FIRST_SLICES and len(unit) > 1 and unit[1] >= 0x80)


def _is_key(unit: bytes) -> bool | None:
    kind = unit[0] & _TYPE
    return True if kind == _IDR else False if kind in _SLICES else None


def is_key_frame(data: bytes) -> bool:
    """Whether the frame (Annex B) is an IDR picture."""
    try:
        return any(data[start] & _TYPE == _IDR for start, _ in unit_spans(data))
    except InvalidAccessError:
        return False


def parse_frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the first sequence parameter set of a frame (Annex B), None without one.

    Raises MalformedError.
    """
    try:
        spans = unit_spans(data)
    except InvalidAccessError as error:
        raise MalformedError(str(error)) from error
    for start, end in spans:
        if data[start] & _TYPE == _PARAMETERS:
            return parse_h264_size(data[start:end])
    return None
