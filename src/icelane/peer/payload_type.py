"""Numbers that are negotiated: payload types, and identifiers of header extensions.

One number means the same in all sections of a bundle (RFC 9143 section 9.1, RFC 8285 section 5), and for the life of the
connection: packets of before an exchange arrive after it. Where the peer offers first, its numbers are taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from icelane.errors import OperationError
from icelane.media.codec import RtpCodec
from icelane.rtp.packet import MAX_ONE_BYTE_ID

# RFC 3551 section 6: codecs whose number never was negotiated, by name and clock.
STATIC_TYPES: Final = {("pcmu", 8000): 0, ("pcma", 8000): 8, ("g722", 8000): 9}
STATIC_CODECS: Final = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000)}

# RFC 3551 section 3, and when those are used up the unassigned ones. 64 to 95 would be taken for RTCP (RFC 5761).
_DYNAMIC: Final = (range(96, 128), range(35, 64))


class PayloadTypes:
    """Which number our codecs have: at most as many as there are codecs, whatever the peer offers."""

    def __init__(self) -> None:
        self._number_by_codec: dict[tuple[RtpCodec, bool], int] = {}

    def of(self, codec: RtpCodec, *, is_rtx: bool = False, taken: Iterable[int] = ()) -> int:
        """The number of `codec`, or of its retransmission, a new one if it has none that is not in `taken`.

        Raises OperationError when there are no numbers left.
        """
        taken = set(taken)
        known = self._number_by_codec.get((codec, is_rtx))
        if known is not None and known not in taken:
            return known
        number = self._next(codec, is_rtx, taken | set(self._number_by_codec.values()))
        self._number_by_codec[codec, is_rtx] = number
        return number

    def learn(self, codec: RtpCodec, number: int, *, is_rtx: bool = False) -> None:
        """The peer calls our `codec` so. What has a number keeps it, and so does a number that is taken."""
        if number not in self._number_by_codec.values():
            self._number_by_codec.setdefault((codec, is_rtx), number)

    def _next(self, codec: RtpCodec, is_rtx: bool, taken: set[int]) -> int:
        static = None if is_rtx else STATIC_TYPES.get((codec.name.lower(), codec.clock_rate))
        numbers: Iterator[int] = chain(() if static is None else (static,), *_DYNAMIC)
        for number in numbers:
            if number not in taken:
                return number
        raise OperationError("there are more codecs than payload types")


class ExtensionIdentifiers:
    """Which number each header extension has; bounded by the numbers that one byte has for them, 1 to 14."""

    def __init__(self) -> None:
        self._number_by_uri: dict[str, int] = {}

    def of(self, uri: str) -> int | None:
        """The number of the extension, a new one if it has none; None when all are taken."""
        if (known := self._number_by_uri.get(uri)) is not None:
            return known
        taken = self._number_by_uri.values()
        number = next((one for one in range(1, MAX_ONE_BYTE_ID + 1) if one not in taken), None)
        if number is not None:
            self._number_by_uri[uri] = number
        return number

    def learn(self, uri: str, number: int) -> None:
        """The peer calls the extension so."""
        if number not in self._number_by_uri.values():
            self._number_by_uri.setdefault(uri, number)
