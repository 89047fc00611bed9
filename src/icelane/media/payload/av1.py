"""AV1 (RTP Payload Format For AV1 1.0): OBUs without their lengths, several in a packet or one in several.

 0 1 2 3 4 5 6 7
+-+-+-+-+-+-+-+-+
|Z|Y| W |N|-|-|-|   Z: the first goes on from the packet before, Y: the last goes on in the next one,
+-+-+-+-+-+-+-+-+   W: how many there are, the last without a length; 0: all with one, N: a coded video sequence begins
| leb128 | OBU  |
+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.obu import (
    HAS_EXTENSION,
    ObuType,
    encode_leb128,
    encode_temporal_unit,
    is_shown_key_frame,
    is_still_picture,
    leb128_size,
    obu_type,
    parse_leb128,
    parse_sequence_size,
    parse_temporal_unit,
    payload_of,
)
from icelane.media.payload.packetizer import MAX_UNITS, Fragment, check_frame, whole_units

_CONTINUES: Final = 0x80
_IS_CONTINUED: Final = 0x40
_COUNT_SHIFT: Final = 4
_MAX_COUNT: Final = 3
_NEW_SEQUENCE: Final = 0x08
_MIN_PART: Final = 8
"""Less of an OBU than this is not worth a cut: it begins in the next packet."""
# What may be the first of a temporal unit; tile groups and redundant headers may not.
_FIRST_OBUS: Final = frozenset((ObuType.SEQUENCE_HEADER, ObuType.METADATA, ObuType.FRAME_HEADER, ObuType.FRAME))
_FRAMES: Final = frozenset((ObuType.FRAME_HEADER, ObuType.FRAME))


class Av1Packetizer:
    """Takes a temporal unit of OBUs with lengths, with or without a temporal delimiter."""

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        try:
            units = parse_temporal_unit(data)
        except MalformedError as error:
            raise InvalidAccessError(str(error)) from error
        writer = _Writer(max_size - 1, _NEW_SEQUENCE if _is_key(units) else 0)
        layer = -1
        for unit in units:
            # Section 5: what is of different layers does not share a packet.
            if unit[0] & HAS_EXTENSION:
                if layer not in (-1, unit[1]):
                    writer.end_packet()
                layer = unit[1]
            writer.write(unit)
        writer.end_packet()
        return writer.payloads


class _Writer:
    """Fills one packet after the other."""

    def __init__(self, room: int, flags: int) -> None:
        self.payloads: list[bytes] = []
        self._room = room
        self._flags = flags
        self._elements: list[bytes] = []
        self._used = 0  # as if the last had a length too

    def write(self, unit: bytes) -> None:
        start = 0
        while start < len(unit):
            left = len(unit) - start
            fits = self._fits(left)
            if fits < left and self._elements and (fits < _MIN_PART or left <= self._room):
                self.end_packet()
                continue
            part = unit[start : start + fits]
            self._elements.append(part)
            self._used += leb128_size(len(part)) + len(part)
            start += fits
            if start < len(unit):
                self.end_packet(_IS_CONTINUED)

    def end_packet(self, continued: int = 0) -> None:
        elements = self._elements
        if elements:
            count = len(elements) if len(elements) <= _MAX_COUNT else 0
            parts = [bytes((self._flags | continued | count << _COUNT_SHIFT,))]
            for element in elements:
                parts += (encode_leb128(len(element)), element)
            if count:
                del parts[-2]
            self.payloads.append(b"".join(parts))
            self._flags = _CONTINUES if continued else 0
        self._elements = []
        self._used = 0

    def _fits(self, size: int) -> int:
        room = self._room - self._used
        if len(self._elements) == MAX_UNITS:
            return 0
        if len(self._elements) >= _MAX_COUNT:
            room -= leb128_size(max(0, min(size, room)))
        return max(0, min(size, room))


class Av1Depacketizer:
    """Reads OBUs with and without lengths of their own."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        if len(payload) < 2:
            raise MalformedError("an AV1 payload without an OBU")
        header = payload[0]
        continues = header >= _CONTINUES
        new_sequence = bool(header & _NEW_SEQUENCE)
        if continues and new_sequence:
            raise MalformedError("an AV1 sequence that begins within an OBU")
        elements = _parse_elements(payload, header >> _COUNT_SHIFT & 3)
        first = elements[0]
        layer = first[1] if not continues and first[0] & HAS_EXTENSION and len(first) > 1 else 0
        begins = new_sequence or (not continues and obu_type(first[0]) in _FIRST_OBUS and not layer & 0x18)
        return Fragment(
            tuple(elements),
            begins,
            # A frame that begins without the flag needs others before it.
            is_key=new_sequence if begins else None,
            continues=continues,
            is_continued=bool(header & _IS_CONTINUED),
            spatial_layer=layer >> 3 & 3,
            temporal_layer=layer >> 5,
        )

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return encode_temporal_unit(whole_units(fragments))


def _parse_elements(payload: bytes, count: int) -> list[bytes]:
    elements: list[bytes] = []
    position = 1
    end = len(payload)
    while position < end:
        if count and len(elements) == count - 1:
            start, position = position, end
        else:
            size, start = parse_leb128(payload, position)
            position = start + size
        if position > end or position == start:
            raise MalformedError(f"an OBU element of {position - start} bytes, and {end - start} are left")
        if len(elements) == MAX_UNITS:
            raise MalformedError(f"more than {MAX_UNITS} OBUs in a packet")
        elements.append(payload[start:position])
    if count and len(elements) != count:
        raise MalformedError(f"{len(elements)} OBU elements and not {count}")
    return elements


def _is_key(units: Sequence[bytes]) -> bool:
    is_still: bool | None = None
    for unit in units:
        kind = obu_type(unit[0])
        if kind == ObuType.SEQUENCE_HEADER:
            is_still = is_still_picture(payload_of(unit))
        elif kind in _FRAMES:
            return is_still is not None and (is_still or is_shown_key_frame(payload_of(unit)))
    return False


def is_key_frame(data: bytes) -> bool:
    """Whether the temporal unit begins a coded video sequence: a sequence header, and a key frame that is shown."""
    try:
        return _is_key(parse_temporal_unit(data))
    except MalformedError:
        return False


def parse_frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the sequence header of a temporal unit, None without one; raises MalformedError."""
    for unit in parse_temporal_unit(data):
        if obu_type(unit[0]) == ObuType.SEQUENCE_HEADER:
            return parse_sequence_size(payload_of(unit))
    return None
