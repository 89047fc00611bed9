"""Numbers that are negotiated: payload types, and identifiers of header extensions.

One number means the same in all sections of a bundle (RFC 9143 section 9.1, RFC 8285 section 5), and for the life of
the connection: packets of before an exchange arrive after it. What an offer of ours says holds once it is answered;
until then, an offer of the peer's may say something else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

from icelane.errors import OperationError
from icelane.media.codec import RtpCodec
from icelane.rtp.header_extension import MAX_TWO_BYTE_ID
from icelane.rtp.packet import MAX_ONE_BYTE_ID

# RFC 3551 section 6: codecs whose number never was negotiated, by name and clock.
STATIC_CODECS: Final = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000)}
STATIC_TYPES: Final = {(name.lower(), rate): number for number, (name, rate) in STATIC_CODECS.items()}

# RFC 3551 section 3, and when those are used up the unassigned ones. 64 to 95 would be taken for RTCP (RFC 5761).
_DYNAMIC: Final = (range(96, 128), range(35, 64))

K = TypeVar("K", bound=Hashable)


class _Numbers(Generic[K]):
    """At most one number for each key, and one key for each number."""

    def __init__(self) -> None:
        self._settled: dict[K, int] = {}
        self._offered: dict[K, int] = {}

    def get(self, key: K, taken: Iterable[int], free: Iterator[int]) -> int | None:
        """The number of `key`, the first of `free` if it has none that is not in `taken`; None when none is left."""
        taken = set(taken)
        known = self._settled.get(key, self._offered.get(key))
        if known is not None and known not in taken:
            return known
        taken.update(self._settled.values(), self._offered.values())
        number = next((one for one in free if one not in taken), None)
        if number is not None:
            self._offered[key] = number
        return number

    def settle(self, key: K, number: int) -> None:
        """An exchange has agreed on it, unless an earlier one has given the key or the number away."""
        if key in self._settled or number in self._settled.values():
            return
        self._settled[key] = number
        self._offered = {one: other for one, other in self._offered.items() if one != key and other != number}


class PayloadTypes:
    """Which number our codecs have: at most as many as there are codecs, whatever the peer offers."""

    def __init__(self) -> None:
        self._numbers: _Numbers[tuple[RtpCodec, bool]] = _Numbers()

    def of(self, codec: RtpCodec, *, is_rtx: bool = False, taken: Iterable[int] = ()) -> int:
        """The number of `codec`, or of its retransmission, a new one if it has none that is not in `taken`.

        Raises OperationError when there are no numbers left.
        """
        static = None if is_rtx else STATIC_TYPES.get((codec.name.lower(), codec.clock_rate))
        free = chain(() if static is None else (static,), *_DYNAMIC)
        number = self._numbers.get((codec, is_rtx), taken, free)
        if number is None:
            raise OperationError("there are more codecs than payload types")
        return number

    def settle(self, codec: RtpCodec, number: int, *, is_rtx: bool = False) -> None:
        """An exchange has agreed on `number` for it. What has a number keeps it, and so does a number that is taken."""
        self._numbers.settle((codec, is_rtx), number)


class ExtensionIdentifiers:
    """Which number each header extension has: at most 255, whatever the peer names (RFC 8285 section 4.3).

    New ones are of those that one byte has room for, 1 to 14.
    """

    def __init__(self) -> None:
        self._numbers: _Numbers[str] = _Numbers()

    def of(self, uri: str, *, taken: Iterable[int] = ()) -> int | None:
        """The number of the extension, a new one if it has none that is not in `taken`; None when none is left."""
        return self._numbers.get(uri, taken, iter(range(1, MAX_ONE_BYTE_ID + 1)))

    def settle(self, uri: str, number: int) -> None:
        """As for payload types; a number that no packet can have is left alone."""
        if 1 <= number <= MAX_TWO_BYTE_ID:
            self._numbers.settle(uri, number)
