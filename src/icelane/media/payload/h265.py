"""H.265 (RFC 7798): single NAL units, aggregation packets and fragmentation units.

+---------------+---------------+---------------+
|0|1|2|3|4|5|6|7|0|1|2|3|4|5|6|7|0|1|2|3|4|5|6|7|
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|F|   Type    |  LayerId  | TID |S|E|  FuType   |   the third byte in fragmentation units
+---------------+---------------+---------------+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.nal_unit import (
    Span,
    aggregate,
    any_key,
    assemble_stream,
    group_units,
    parse_aggregate,
    unit_spans,
)
from icelane.media.payload.packetizer import Fragment, check_frame, even_spans
from icelane.media.payload.sequence_parameter_set import parse_h265_size

_HEADER_SIZE: Final = 2
_FU_SIZE: Final = 3
_AGGREGATION: Final = 48
_FRAGMENTATION: Final = 49
_PARAMETERS: Final = 33
# H.265 table 7-1: pictures up to 31, of which decoding may begin at BLA, IDR and CRA.
_LAST_PICTURE: Final = 31
_FIRST_KEY: Final = 16
_LAST_KEY: Final = 21
# VPS, SPS, PPS, delimiter, prefix SEI (H.265 section 7.4.2.4.4): what lies before the first slice.
_BEFORE_SLICES: Final = frozenset((32, 33, 34, 35, 39))
_STARTS: Final = 0x80
_ENDS: Final = 0x40


class H265Packetizer:
    """Takes Annex B."""

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        if not data:
            return []
        spans = unit_spans(data)
        for start, end in spans:
            if end - start < _HEADER_SIZE or data[start] >> 1 >= _AGGREGATION:
                raise InvalidAccessError(f"a NAL unit that begins with {data[start]:#04x}")
        payloads: list[bytes] = []
        for group in group_units(spans, max_size, _HEADER_SIZE):
            start, end = group[0]
            if len(group) > 1:
                payloads.append(aggregate(_aggregation_header(data, group), data, group))
            elif end - start <= max_size:
                payloads.append(data[start:end])
            else:
                payloads += _fragment(data, start, end, max_size)
        return payloads


def _aggregation_header(data: bytes, group: Sequence[Span]) -> bytes:
    # RFC 7798 section 4.4.2: the lowest layer and the lowest temporal id of what is inside.
    layer = min([(data[start] & 1) << 5 | data[start + 1] >> 3 for start, _ in group])
    temporal = min([data[start + 1] & 7 for start, _ in group])
    return bytes((_AGGREGATION << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal))


def _fragment(data: bytes, start: int, end: int, max_size: int) -> list[bytes]:
    header = bytes((data[start] & 0x81 | _FRAGMENTATION << 1, data[start + 1]))
    kind = data[start] >> 1 & 0x3F
    view = memoryview(data)
    payloads = []
    for first, last in even_spans(start + _HEADER_SIZE, end, max_size - _FU_SIZE):
        bits = kind | (_STARTS if first == start + _HEADER_SIZE else 0) | (_ENDS if last == end else 0)
        payloads.append(b"".join((header, bytes((bits,)), view[first:last])))
    return payloads


class H265Depacketizer:
    """Reads what is sent with sprop-max-don-diff=0, which is the default: units come in decoding order."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        if len(payload) < _HEADER_SIZE:
            raise MalformedError("an H.265 payload without a header")
        kind, temporal_layer = _parse_header(payload)
        if kind == _FRAGMENTATION:
            return _parse_fragment(payload, temporal_layer)
        if kind == _AGGREGATION:
            units = parse_aggregate(payload, _HEADER_SIZE, _HEADER_SIZE)
            if any(_parse_header(unit)[0] >= _AGGREGATION for unit in units):
                raise MalformedError("an aggregation packet with something else than NAL units")
            key = any_key(units, _is_key)
            return Fragment(tuple(units), _begins(units[0]), is_key=key, temporal_layer=temporal_layer)
        if kind < _AGGREGATION:
            return Fragment((payload,), _begins(payload), is_key=_is_key(payload), temporal_layer=temporal_layer)
        raise MalformedError(f"a NAL unit of type {kind}")

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return assemble_stream(fragments)


def _parse_header(unit: bytes) -> tuple[int, int]:
    kind, temporal = unit[0] >> 1, unit[1] & 7
    if unit[0] & 0x80 or not temporal:
        raise MalformedError(f"a NAL unit that begins with {unit[0]:#04x} {unit[1]:#04x}")
    return kind, temporal - 1


def _parse_fragment(payload: bytes, temporal_layer: int) -> Fragment:
    if len(payload) <= _FU_SIZE:
        raise MalformedError("a fragmentation unit without any of its NAL unit")
    bits = payload[2]
    kind = bits & 0x3F
    if kind >= _AGGREGATION:
        raise MalformedError(f"a fragmentation unit of type {kind}")
    header = bytes((payload[0] & 0x01 | kind << 1, payload[1]))
    starts = bool(bits & _STARTS)
    piece = header + payload[_FU_SIZE:] if starts else payload[_FU_SIZE:]
    return Fragment(
        (piece,),
        starts and _begins(piece),
        is_key=_is_key(header),
        continues=not starts,
        is_continued=not bits & _ENDS,
        temporal_layer=temporal_layer,
    )


def _begins(unit: bytes) -> bool:
    kind = unit[0] >> 1
    # The first bit of a slice is first_slice_segment_in_pic_flag.
    return kind in _BEFORE_SLICES or (kind <= _LAST_PICTURE and len(unit) > _HEADER_SIZE and unit[2] >= 0x80)


def _is_key(unit: bytes) -> bool | None:
    kind = unit[0] >> 1
    return None if kind > _LAST_PICTURE else _FIRST_KEY <= kind <= _LAST_KEY


def is_key_frame(data: bytes) -> bool:
    """Whether decoding may begin at the frame (Annex B)."""
    try:
        return any(_FIRST_KEY <= data[start] >> 1 <= _LAST_KEY for start, _ in unit_spans(data))
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
        if data[start] >> 1 == _PARAMETERS:
            return parse_h265_size(data[start:end])
    return None
