"""NAL units, which H.264 and H.265 are made of: in a stream of bytes (Annex B of both), and how packets share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.packetizer import MAX_UNITS, Fragment, whole_units

START_CODE: Final = b"\0\0\0\1"
_SHORT_START_CODE: Final = b"\0\0\1"
_LENGTH_SIZE: Final = 2

Span = tuple[int, int]


def unit_spans(data: bytes) -> list[Span]:
    """Where the units of a stream of bytes lie, without start codes and the zeros around them.

    Raises InvalidAccessError when it does not begin with a start code.
    """
    found: list[Span] = []
    position = data.find(_SHORT_START_CODE)
    if position < 0 or data.count(0, 0, position) != position:
        raise InvalidAccessError("no start code (Annex B) where the frame begins")
    while position >= 0:
        start = position + len(_SHORT_START_CODE)
        position = data.find(_SHORT_START_CODE, start)
        end = position if position >= 0 else len(data)
        while end > start and data[end - 1] == 0:
            end -= 1
        if end > start:
            found.append((start, end))
    return found


def group_units(spans: Sequence[Span], max_size: int, header_size: int) -> Iterator[list[Span]]:
    """Put units that follow each other together, as many as an aggregation packet of `max_size` takes.

    One that is alone in its list goes by itself, in several packets if it is longer than `max_size`.
    """
    group: list[Span] = []
    size = header_size
    for span in spans:
        needed = _LENGTH_SIZE + span[1] - span[0]
        if group and (size + needed > max_size or len(group) == MAX_UNITS):
            yield group
            group, size = [], header_size
        group.append(span)
        size += needed
    if group:
        yield group


def aggregate(header: bytes, data: bytes, group: Sequence[Span]) -> bytes:
    """An aggregation packet: each unit behind its length of 16 bits."""
    parts = [header]
    for start, end in group:
        parts.append((end - start).to_bytes(_LENGTH_SIZE, "big"))
        parts.append(data[start:end])
    return b"".join(parts)


def parse_aggregate(payload: bytes, position: int, header_size: int) -> list[bytes]:
    """The units behind an aggregation packet's header, each with at least `header_size` bytes."""
    units: list[bytes] = []
    end = len(payload)
    while position < end:
        start = position + _LENGTH_SIZE
        if start > end:
            raise MalformedError("an aggregation packet ends within a length")
        position = start + (payload[position] << 8 | payload[position + 1])
        if position > end or position < start + header_size:
            raise MalformedError(f"a unit of {position - start} bytes in an aggregation packet with {end - start} left")
        if len(units) == MAX_UNITS:
            raise MalformedError(f"more than {MAX_UNITS} units in a packet")
        units.append(payload[start:position])
    if not units:
        raise MalformedError("an aggregation packet without a unit")
    return units


def assemble_stream(fragments: Sequence[Fragment]) -> bytes:
    """The whole units as a stream of bytes; raises what `Depacketizer.assemble` raises."""
    return START_CODE + START_CODE.join(whole_units(fragments))


def any_key(units: Sequence[bytes], is_key: Callable[[bytes], bool | None]) -> bool | None:
    """What units that lie in one packet say of their frame: True wins, None is no opinion."""
    opinions = [is_key(unit) for unit in units]
    return True if True in opinions else False if False in opinions else None


def unescape(unit: bytes) -> bytes:
    """A unit without the bytes that keep start codes out of it (H.264 section 7.4.1, H.265 section 7.4.2)."""
    return unit.replace(b"\0\0\3", b"\0\0")
