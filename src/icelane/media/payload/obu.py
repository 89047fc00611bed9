"""Open Bitstream Units, which AV1 is made of (AV1 specification sections 4.10.5 and 5.3 to 5.9).

 0 1 2 3 4 5 6 7   0 1 2 3 4 5 6 7
+-+-+-+-+-+-+-+-+ +-+-+-+-+-+-+-+-+
|F| type  |X|S|-| | TID |SID| - - |   X: the second byte is there, S: a length (leb128) follows
+-+-+-+-+-+-+-+-+ +-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from icelane.errors import MalformedError
from icelane.media.payload.bit_reader import BitReader

FORBIDDEN: Final = 0x80
HAS_EXTENSION: Final = 0x04
HAS_SIZE: Final = 0x02
_MAX_LEB128: Final = 8
_KEY_FRAME: Final = 0


class ObuType(enum.IntEnum):
    """The types that we look at."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    METADATA = 5
    FRAME = 6
    TILE_LIST = 8


# What RTP does not carry, and a receiver ignores (RTP Payload Format For AV1 section 5).
NOT_CARRIED: Final = frozenset((ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST))
TEMPORAL_DELIMITER: Final = bytes((ObuType.TEMPORAL_DELIMITER << 3 | HAS_SIZE, 0))
"""A whole one, as encoders put it before each picture and files have it."""


def obu_type(header: int) -> int:
    """The type that stands in the first byte."""
    return header >> 3 & 0xF


def parse_leb128(data: bytes, position: int) -> tuple[int, int]:
    """The number that begins at `position`, and where it ends; raises MalformedError."""
    value = 0
    for index in range(_MAX_LEB128):
        if position >= len(data):
            raise MalformedError("a length ends too early")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position
    raise MalformedError(f"a length of more than {_MAX_LEB128} bytes")


def encode_leb128(value: int) -> bytes:
    """In as few bytes as possible."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def leb128_size(value: int) -> int:
    """How many bytes `encode_leb128` makes of it."""
    return max(1, (value.bit_length() + 6) // 7)


def parse_temporal_unit(data: bytes) -> list[bytes]:
    """The OBUs that RTP carries, each without its length; raises MalformedError."""
    found: list[bytes] = []
    position = 0
    while position < len(data):
        header = data[position]
        start = position + (2 if header & HAS_EXTENSION else 1)
        if header & FORBIDDEN:
            raise MalformedError("an OBU with its forbidden bit set")
        head = bytes((header & ~HAS_SIZE,)) + data[position + 1 : start]
        end = len(data)  # one without a length is the last
        if header & HAS_SIZE:
            size, start = parse_leb128(data, start)
            end = start + size
        if end > len(data) or start > end:
            raise MalformedError(f"an OBU of {end - start} bytes, and {len(data) - start} are left")
        if obu_type(header) not in NOT_CARRIED:
            found.append(head + data[start:end])
        position = end
    return found


def encode_temporal_unit(units: Sequence[bytes]) -> bytes:
    """OBUs, as RTP carried them, with their lengths; raises MalformedError when there is nothing to decode."""
    parts: list[bytes | memoryview] = []
    for unit in units:
        header = unit[0]
        if header & FORBIDDEN:
            raise MalformedError("an OBU with its forbidden bit set")
        if obu_type(header) in NOT_CARRIED:
            continue
        start = 2 if header & HAS_EXTENSION else 1
        head = bytes((header | HAS_SIZE,)) + unit[1:start]
        if header & HAS_SIZE:  # discouraged, and allowed
            size, start = parse_leb128(unit, start)
            if size != len(unit) - start:
                raise MalformedError(f"an OBU says that it has {size} bytes, and has {len(unit) - start}")
        if start > len(unit):
            raise MalformedError("an OBU ends within its header")
        parts += (head, encode_leb128(len(unit) - start), memoryview(unit)[start:])
    if not parts:
        raise MalformedError("packets without an OBU to decode")
    return b"".join(parts)


def payload_of(unit: bytes) -> bytes:
    """What is behind the header of an OBU without a length."""
    return unit[2 if unit[0] & HAS_EXTENSION else 1 :]


def is_shown_key_frame(payload: bytes) -> bool:
    """Whether a frame (header) OBU is a key frame that is shown at once (AV1 section 5.9.2).

    What follows a sequence header with reduced_still_picture_header says nothing about it: ask only for others.
    """
    if not payload:
        return False
    first = payload[0]
    shows_existing, frame_type, is_shown = first >> 7, first >> 5 & 3, first >> 4 & 1
    return not shows_existing and frame_type == _KEY_FRAME and bool(is_shown)


def is_still_picture(sequence_header: bytes) -> bool:
    """Whether the sequence is one picture with a reduced header, which is a key frame without saying so."""
    return len(sequence_header) > 0 and bool(sequence_header[0] & 0x08)


def parse_sequence_size(payload: bytes) -> tuple[int, int]:
    """The largest width and height of a sequence header OBU (AV1 section 5.5.1); raises MalformedError."""
    reader = BitReader(payload)
    reader.skip(4)
    if reader.flag():  # reduced_still_picture_header
        reader.skip(5)
    else:
        _skip_operating_points(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    return reader.bits(width_bits) + 1, reader.bits(height_bits) + 1


def _skip_operating_points(reader: BitReader) -> None:
    delay_size = 0
    if reader.flag():  # timing_info_present_flag
        reader.skip(64)
        if reader.flag():
            reader.exp_golomb()
        if reader.flag():  # decoder_model_info_present_flag
            delay_size = reader.bits(5) + 1
            reader.skip(32 + 5 + 5)
    has_display_delay = reader.flag()
    for _ in range(reader.bits(5) + 1):
        reader.skip(12)
        if reader.bits(5) > 7:
            reader.skip(1)
        if delay_size and reader.flag():
            reader.skip(2 * delay_size + 1)
        if has_display_delay and reader.flag():
            reader.skip(4)
