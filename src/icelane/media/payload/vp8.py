"""VP8 (RFC 7741).

      0 1 2 3 4 5 6 7
     +-+-+-+-+-+-+-+-+
     |X|R|N|S|R| PID |   S: a partition begins, PID: which one
     +-+-+-+-+-+-+-+-+
  X: |I|L|T|K| RSV   |
     +-+-+-+-+-+-+-+-+
  I: |M| PictureID   |   M: 7 bits and another 8
     +-+-+-+-+-+-+-+-+
     |   PictureID   |
     +-+-+-+-+-+-+-+-+
  L: |   TL0PICIDX   |
     +-+-+-+-+-+-+-+-+
T/K: |TID|Y| KEYIDX  |
     +-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.errors import MalformedError
from icelane.media.payload.packetizer import Fragment, check_frame, even_spans, join

_EXTENDED: Final = 0x80
_BEGINS: Final = 0x10
_PICTURE_ID: Final = 0x80
_LONG: Final = 0x80
_HEADER_SIZE: Final = 4
_START_CODE: Final = b"\x9d\x01\x2a"
_KEY_HEADER_SIZE: Final = 10


class Vp8Packetizer:
    """Writes picture ids of 15 bits and no layers."""

    __slots__ = ("_picture_id",)

    def __init__(self, first_picture_id: int) -> None:
        self._picture_id = first_picture_id & 0x7FFF

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        if not data:
            return []
        picture_id = self._picture_id
        self._picture_id = (picture_id + 1) & 0x7FFF
        tail = bytes((_PICTURE_ID, _LONG | picture_id >> 8, picture_id & 0xFF))
        # Where partitions begin is not told, as RFC 7741 section 4.4 allows: all is said to be the first.
        head, later = bytes((_EXTENDED | _BEGINS,)) + tail, bytes((_EXTENDED,)) + tail
        payloads = []
        for start, end in even_spans(0, len(data), max_size - _HEADER_SIZE):
            payloads.append(head + data[start:end])
            head = later
        return payloads


class Vp8Depacketizer:
    """Reads descriptors of every form."""

    __slots__ = ()

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        try:
            return _parse(payload)
        except IndexError:
            raise MalformedError("a VP8 payload ends within its descriptor") from None

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return join(fragments)


def _parse(payload: bytes) -> Fragment:
    first = payload[0]
    key: bool | None = None
    picture_id: int | None = None
    tl0_picture_index: int | None = None
    temporal_layer = 0
    position = 1
    if first & _EXTENDED:
        extensions = payload[1]
        position = 2
        if extensions & 0x80:
            picture_id = payload[2]
            position = 3
            if picture_id & _LONG:
                picture_id = (picture_id & 0x7F) << 8 | payload[3]
                position = 4
        if extensions & 0x40:
            tl0_picture_index = payload[position]
            position += 1
        if extensions & 0x30:
            if extensions & 0x20:
                temporal_layer = payload[position] >> 6
            position += 1
    begins: bool = first & 0x17 == _BEGINS
    # The first bit of the bitstream says whether it needs frames before it; other packets do not begin with it.
    if begins:
        key = not payload[position] & 1
    if position >= len(payload):
        raise MalformedError("a VP8 payload without any of the frame")
    fragment = Fragment((payload[position:],), begins)
    fragment.is_key = key
    fragment.picture_id = picture_id
    fragment.tl0_picture_index = tl0_picture_index
    fragment.temporal_layer = temporal_layer
    return fragment


def is_key_frame(data: bytes) -> bool:
    """Whether the frame needs none before it (RFC 6386 section 9.1)."""
    return len(data) >= _KEY_HEADER_SIZE and not data[0] & 1 and data[3:6] == _START_CODE


def parse_frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame, None for others; raises MalformedError (RFC 6386 section 9.1)."""
    if is_key_frame(data):
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    if not data or not data[0] & 1:
        raise MalformedError("a VP8 key frame without its start code")
    return None
