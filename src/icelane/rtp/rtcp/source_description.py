"""Who a source is, and that it is gone: SDES and BYE (RFC 3550 sections 6.5 and 6.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.reader import Reader
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp.record import MAX_COUNT, PacketType, encode_packet, encode_uint32s

CNAME: Final = 1
MID: Final = 15
# There are 18 types of items. A chunk with more items does not parse.
MAX_ITEMS: Final = 32
MAX_TEXT_SIZE: Final = 255


@dataclass(frozen=True, slots=True)
class SourceChunk:
    """What one source says about itself: pairs of an item type and a text."""

    ssrc: int
    items: tuple[tuple[int, str], ...] = ()

    @property
    def cname(self) -> str | None:
        """The canonical name, which sources of one endpoint have in common, or None."""
        return next((text for kind, text in self.items if kind == CNAME), None)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What up to 31 sources say about themselves."""

    chunks: tuple[SourceChunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Bye:
    """Up to 31 sources are gone; `reason` is empty when none is given."""

    ssrcs: tuple[int, ...] = ()
    reason: str = ""


def parse_source_description(count: int, body: bytes) -> SourceDescription:
    """A description with `count` chunks. What is not UTF-8 is replaced. Raises MalformedError."""
    reader = Reader(body)
    return SourceDescription(tuple([_read_chunk(reader) for _ in range(count)]))


def _read_chunk(reader: Reader) -> SourceChunk:
    ssrc = reader.uint32()
    items: list[tuple[int, str]] = []
    while kind := reader.uint8():
        if len(items) == MAX_ITEMS:
            raise MalformedError(f"more than {MAX_ITEMS} items about one source")
        items.append((kind, reader.take(reader.uint8()).decode(errors="replace")))
    reader.skip(-reader.position & 3)  # RFC 3550 section 6.5: zeros up to the next word
    return SourceChunk(ssrc, tuple(items))


def parse_bye(count: int, body: bytes) -> Bye:
    """A goodbye of `count` sources. What is not UTF-8 is replaced. Raises MalformedError."""
    reader = Reader(body)
    ssrcs = tuple([reader.uint32() for _ in range(count)])
    reason = reader.take(reader.uint8()).decode(errors="replace") if reader.remaining else ""
    return Bye(ssrcs, reason)


def encode_source_description(description: SourceDescription) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    if len(description.chunks) > MAX_COUNT:
        raise InvalidAccessError(f"{len(description.chunks)} sources in one description")
    body = b"".join([_encode_chunk(chunk) for chunk in description.chunks])
    return encode_packet(PacketType.SOURCE_DESCRIPTION, len(description.chunks), body)


def _encode_chunk(chunk: SourceChunk) -> bytes:
    if len(chunk.items) > MAX_ITEMS:
        raise InvalidAccessError(f"{len(chunk.items)} items about one source")
    data = encode_uint32s(chunk.ssrc)
    for kind, text in chunk.items:
        if not 1 <= kind <= 255:
            raise InvalidAccessError(f"an item of type {kind}")
        data += bytes((kind,)) + _encode_text(text)
    return data + bytes(4 - (len(data) & 3))  # at least one zero, which ends the items


def encode_bye(bye: Bye) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    if len(bye.ssrcs) > MAX_COUNT:
        raise InvalidAccessError(f"{len(bye.ssrcs)} sources in one goodbye")
    reason = _encode_text(bye.reason) if bye.reason else b""
    return encode_packet(PacketType.BYE, len(bye.ssrcs), encode_uint32s(*bye.ssrcs) + reason + bytes(-len(reason) & 3))


def _encode_text(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidAccessError("a text that cannot be written in UTF-8") from error
    if len(data) > MAX_TEXT_SIZE:
        raise InvalidAccessError(f"a text of {len(data)} bytes")
    return bytes((len(data),)) + data
