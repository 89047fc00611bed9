"""VP9 (RFC 9628).

     0 1 2 3 4 5 6 7
    +-+-+-+-+-+-+-+-+
    |I|P|L|F|B|E|V|Z|    P: predicted from earlier pictures, F: flexible mode, B and E: first and last packet of a layer
    +-+-+-+-+-+-+-+-+
 I: |M| PictureID   |    M: 7 bits and another 8
    +-+-+-+-+-+-+-+-+
 L: | TID |U| SID |D|    D: predicted from a lower layer
    +-+-+-+-+-+-+-+-+
    |   TL0PICIDX   |    L and not F
    +-+-+-+-+-+-+-+-+
P,F: | P_DIFF     |N|    up to three, N: another one follows
    +-+-+-+-+-+-+-+-+
 V: | SS ...        |    scalability structure
    +-+-+-+-+-+-+-+-+

SS: | N_S |Y|G|0 0 0|, Y: for each of N_S + 1 layers width and height (16 bits each),
    G: N_G and as often | TID |U| R |0 0| and R bytes of P_DIFF
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.errors import MalformedError
from icelane.media.payload.bit_reader import BitReader
from icelane.media.payload.packetizer import Fragment, check_frame, even_spans, join

_PICTURE_ID: Final = 0x80
_PREDICTED: Final = 0x40
_LAYERS: Final = 0x20
_FLEXIBLE: Final = 0x10
_BEGINS: Final = 0x08
_ENDS: Final = 0x04
_STRUCTURE: Final = 0x02
_LONG: Final = 0x80
_HEADER_SIZE: Final = 3
MAX_REFERENCES: Final = 3
"""RFC 9628 section 4.2: how many earlier pictures a picture may name. A packet that names more is malformed."""

# One layer whose size follows, and a group of one picture that is predicted from the one before it.
_ONE_LAYER: Final = 0b000_1_1_000
_ONE_PICTURE: Final = bytes((1, 0b000_0_01_00, 1))

# A frame's first byte says too that it shows an earlier one or is predicted, and some senders never set P. In profile 3
# the bit of prediction lies elsewhere, and P is believed.
_NO_KEY: Final = 0x0C

_SYNC_CODE: Final = 0x498342
_SRGB: Final = 7


class Vp9Packetizer:
    """Writes non-flexible mode with one layer: each picture is predicted from the one before it."""

    def __init__(self, first_picture_id: int) -> None:
        self._picture_id = first_picture_id & 0x7FFF

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        if not data:
            return []
        picture_id = self._picture_id
        self._picture_id = (picture_id + 1) & 0x7FFF
        flags, structure = _PICTURE_ID | _PREDICTED, b""
        if is_key_frame(data):
            flags, structure = _PICTURE_ID, _structure(data)
        tail = bytes((_LONG | picture_id >> 8, picture_id & 0xFF))
        # The structure takes room in the first packet alone: as if it were the beginning of the frame.
        spans = list(even_spans(-len(structure), len(data), max_size - _HEADER_SIZE))
        view = memoryview(data)
        payloads = []
        for start, end in spans:
            bits = flags | (_ENDS if end == len(data) else 0)
            if start > 0:
                payloads.append(bytes((bits,)) + tail + view[start:end])
            else:
                bits |= _BEGINS | (_STRUCTURE if structure else 0)
                payloads.append(b"".join((bytes((bits,)), tail, structure, view[:end])))
        return payloads


def _structure(data: bytes) -> bytes:
    try:
        size = parse_frame_size(data)
    except MalformedError:
        size = None
    if size is None or max(size) > 0xFFFF:
        return b""
    return bytes((_ONE_LAYER,)) + size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big") + _ONE_PICTURE


class Vp9Depacketizer:
    """Reads both modes and every layer."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        try:
            return _parse(payload)
        except IndexError:
            raise MalformedError("a VP9 payload ends within its descriptor") from None

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return join(fragments)


def _parse(payload: bytes) -> Fragment:
    flags = payload[0]
    position = 1
    picture_id: int | None = None
    tl0_picture_index: int | None = None
    layers = 0
    if flags & _PICTURE_ID:
        picture_id = payload[1]
        position = 2
        if picture_id & _LONG:
            picture_id = (picture_id & 0x7F) << 8 | payload[2]
            position = 3
    if flags & _LAYERS:
        layers = payload[position]
        position += 1
        if not flags & _FLEXIBLE:
            tl0_picture_index = payload[position]
            position += 1
    if flags & (_PREDICTED | _FLEXIBLE) == _PREDICTED | _FLEXIBLE:
        position = _skip_references(payload, position)
    if flags & _STRUCTURE:
        position = _skip_structure(payload, position)
    if position >= len(payload):
        raise MalformedError("a VP9 payload without any of the frame")
    begins = bool(flags & _BEGINS) and not layers & 1
    return Fragment(
        (payload[position:],),
        begins,
        # E ends a layer, and only where there are no layers the picture.
        flags & (_ENDS | _LAYERS) == _ENDS,
        False if flags & _PREDICTED else not payload[position] & _NO_KEY if begins else None,
        picture_id=picture_id,
        tl0_picture_index=tl0_picture_index,
        spatial_layer=layers >> 1 & 7,
        temporal_layer=layers >> 5,
    )


def _skip_references(payload: bytes, position: int) -> int:
    for index in range(MAX_REFERENCES):
        if not payload[position + index] & 1:
            return position + index + 1
    raise MalformedError(f"a VP9 picture with more than {MAX_REFERENCES} references")


def _skip_structure(payload: bytes, position: int) -> int:
    head = payload[position]
    position += 1
    if head & 0x10:
        position += 4 * ((head >> 5) + 1)
    if head & 0x08:
        pictures = payload[position]
        position += 1
        for _ in range(pictures):
            position += 1 + (payload[position] >> 2 & 3)
    return position


def is_key_frame(data: bytes) -> bool:
    """Whether the frame needs none before it."""
    try:
        return _open_key_frame(data) is not None
    except MalformedError:
        return False


def parse_frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame, None for others; raises MalformedError."""
    opened = _open_key_frame(data)
    if opened is None:
        return None
    reader, profile = opened
    if reader.bits(24) != _SYNC_CODE:
        raise MalformedError("a VP9 key frame without its sync code")
    if profile >= 2:
        reader.skip(1)  # ten or twelve bits
    if reader.bits(3) != _SRGB:
        reader.skip(1 if profile in (0, 2) else 4)
    elif profile in (1, 3):
        reader.skip(1)
    return reader.bits(16) + 1, reader.bits(16) + 1


def _open_key_frame(data: bytes) -> tuple[BitReader, int] | None:
    # VP9 bitstream specification section 6.2: uncompressed_header() up to error_resilient_mode.
    reader = BitReader(data[:16])
    if reader.bits(2) != 2:
        raise MalformedError("no VP9 frame")
    profile = reader.bits(1) | reader.bits(1) << 1
    if profile == 3:
        reader.skip(1)
    if reader.flag() or reader.flag():  # shows an earlier frame; is predicted
        return None
    reader.skip(2)
    return reader, profile
