"""What all payload formats have in common: the contracts, the pieces that packets carry, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from icelane.errors import InvalidAccessError, MalformedError, MessageTooLargeError

MIN_PAYLOAD_SIZE: Final = 32
"""The longest header of a payload format, the first of a VP9 key frame, and a few bytes of the frame."""
MAX_PAYLOAD_SIZE: Final = 65_535
"""What a length of 16 bits can say, as in aggregation packets, and more than a datagram carries."""
MAX_FRAME_SIZE: Final = 8 << 20
"""Four times a key frame of 4K at its best. A longer one is not sent, and not put together from what comes."""
MAX_FRAGMENTS: Final = 16_384
"""How many packets a frame has at most: a quarter of the sequence numbers. More are malformed when put together."""
MAX_UNITS: Final = 128
"""How many NAL units or OBUs a packet has at most. We write no more, and a packet that has more is malformed."""


LAST_SHORTER: Final = 8
"""By how much the last packet of a frame is shorter than the others, if it can be: as much as extensions add to it."""


class Fragment:
    """What one packet carries of a frame; made for every packet, so slotted and not frozen.

    `pieces` are bytes of the frame; for H.264, H.265 and AV1 each is a NAL unit or OBU, or with `continues` (the first
    of them) and `is_continued` (the last) a part of one whose other parts lie in the packets beside.

    `begins_frame` says that a frame may begin here: where it is False, a packet before this one belongs to the frame.
    Where two of a frame say so, such as parameter sets and a slice of H.264, the earlier one began it. `ends_frame`
    says that the frame is over whatever the marker says. `is_key` is about the frame, None where the packet does not
    tell. `picture_id` is as on the wire, with 7 or 15 bits; it and `tl0_picture_index` are None where there is none.
    Layers are 0 where the packet does not tell.
    """

    __slots__ = (
        "begins_frame",
        "continues",
        "ends_frame",
        "is_continued",
        "is_key",
        "picture_id",
        "pieces",
        "spatial_layer",
        "temporal_layer",
        "tl0_picture_index",
    )

    def __init__(
        self,
        pieces: tuple[bytes, ...],
        begins_frame: bool,
        ends_frame: bool = False,
        is_key: bool | None = None,
        continues: bool = False,
        is_continued: bool = False,
        picture_id: int | None = None,
        tl0_picture_index: int | None = None,
        spatial_layer: int = 0,
        temporal_layer: int = 0,
    ) -> None:
        self.pieces = pieces
        self.begins_frame = begins_frame
        self.ends_frame = ends_frame
        self.is_key = is_key
        self.continues = continues
        self.is_continued = is_continued
        self.picture_id = picture_id
        self.tl0_picture_index = tl0_picture_index
        self.spatial_layer = spatial_layer
        self.temporal_layer = temporal_layer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fragment) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        sizes = ", ".join([str(len(piece)) for piece in self.pieces])
        return f"Fragment({sizes} bytes, {', '.join([str(value) for value in self._values()[1:]])})"

    def _values(self) -> tuple[object, ...]:
        return (
            self.pieces,
            self.begins_frame,
            self.ends_frame,
            self.is_key,
            self.continues,
            self.is_continued,
            self.picture_id,
            self.tl0_picture_index,
            self.spatial_layer,
            self.temporal_layer,
        )


class Packetizer(Protocol):
    """Makes payloads of encoded frames; what it counts from frame to frame, such as picture ids, is its own."""

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """One encoded frame as payloads of at most `max_size` bytes, none for an empty frame.

        Raises MessageTooLargeError when the frame does not fit, InvalidAccessError for a size that no header fits in
        and for data that is no frame of the codec.
        """


class Depacketizer(Protocol):
    """Reads payloads. It remembers nothing, so it does not matter in which order they come."""

    def parse(self, payload: bytes) -> Fragment:
        """Raises MalformedError."""

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """What a decoder reads (see EncodedFrame.data), from consecutive packets in their order.

        A unit whose first or last part is not among them is left out. Raises MalformedError when nothing is left, and
        beyond MAX_FRAGMENTS and MAX_FRAME_SIZE.
        """


class WholeFramePacketizer:
    """Audio: a frame is a packet."""

    def packetize(self, data: bytes, max_size: int) -> list[bytes]:
        """See Packetizer."""
        check_frame(data, max_size)
        if len(data) > max_size:
            raise MessageTooLargeError(f"{len(data)} bytes of sound, and a packet takes {max_size}")
        return [data] if data else []


class WholeFrameDepacketizer:
    """Audio: a packet is a frame."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        if not payload:
            raise MalformedError("a packet without sound")
        return Fragment((payload,), begins_frame=True, ends_frame=True, is_key=True)

    def assemble(self, fragments: Sequence[Fragment]) -> bytes:
        """See Depacketizer."""
        return join(fragments)


def check_frame(data: bytes, max_size: int) -> None:
    """Raise what `Packetizer.packetize` raises for any frame."""
    if not MIN_PAYLOAD_SIZE <= max_size <= MAX_PAYLOAD_SIZE:
        raise InvalidAccessError(f"payloads of {max_size} bytes, not {MIN_PAYLOAD_SIZE} to {MAX_PAYLOAD_SIZE}")
    if len(data) > MAX_FRAME_SIZE:
        raise MessageTooLargeError(f"a frame of {len(data)} bytes, more than {MAX_FRAME_SIZE}")


def check_fragments(fragments: Sequence[Fragment]) -> None:
    """Raise MalformedError when they are too many or too long for one frame."""
    if len(fragments) > MAX_FRAGMENTS:
        raise MalformedError(f"a frame of {len(fragments)} packets, more than {MAX_FRAGMENTS}")
    size = 0
    for fragment in fragments:
        for piece in fragment.pieces:
            size += len(piece)
    if size > MAX_FRAME_SIZE:
        raise MalformedError(f"a frame of {size} bytes, more than {MAX_FRAME_SIZE}")


def join(fragments: Sequence[Fragment]) -> bytes:
    """The pieces one behind the other; raises what `Depacketizer.assemble` raises."""
    check_fragments(fragments)
    pieces: list[bytes] = []
    for fragment in fragments:
        pieces.extend(fragment.pieces)
    data = b"".join(pieces)
    if not data:
        raise MalformedError("packets without any part of a frame")
    return data


def whole_units(fragments: Sequence[Fragment]) -> list[bytes]:
    """The units whose parts have all come, each in one; raises what `Depacketizer.assemble` raises."""
    check_fragments(fragments)
    units: list[bytes] = []
    parts: list[bytes] = []
    for fragment in fragments:
        pieces = fragment.pieces
        if fragment.continues != bool(parts):  # an end without a beginning, or a beginning without an end
            parts.clear()
            pieces = pieces[1:] if fragment.continues else pieces
        if not pieces:
            continue
        whole = len(pieces) - fragment.is_continued
        if parts and whole:
            units.append(b"".join((*parts, pieces[0])))
            parts.clear()
            units.extend(pieces[1:whole])
        else:
            units.extend(pieces[:whole])
        if fragment.is_continued:
            parts.append(pieces[-1])
    if not units:
        raise MalformedError("packets without a whole unit of a frame")
    return units


def even_spans(start: int, end: int, room: int) -> list[tuple[int, int]]:
    """Cut what lies from `start` to `end` into as few spans of at most `room` as possible, of nearly the same length.

    A last packet of a few bytes costs as much as any other and is lost as easily. All have one length, and the last one
    is a little shorter where that makes no difference to their number: with the header extensions that belong to the
    frame it is no longer than the others, and they leave as one run where the kernel takes runs.
    """
    size = end - start
    count = -(-size // room)
    if count <= 1:
        return [(start, end)] if count else []
    length = min(-(-(size + LAST_SHORTER) // count), room)
    if length * (count - 1) >= size:
        length = -(-size // count)
    last = start + length * (count - 1)
    spans = [(position, position + length) for position in range(start, last, length)]
    spans.append((last, end))
    return spans
