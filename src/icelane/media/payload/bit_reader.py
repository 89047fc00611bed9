"""A cursor over bits, for the headers of codecs."""

from __future__ import annotations

from typing import Final

from icelane.errors import MalformedError

_MAX_ZEROS: Final = 32
"""Longer codes than this stand for no number that a header may hold."""


class BitReader:
    """Reads bits from the front of `data`, the highest of each byte first; every method raises MalformedError."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._end = len(data) * 8

    def bits(self, count: int) -> int:
        """The next `count` bits as a number."""
        start, end = self._position, self._position + count
        if end > self._end:
            raise MalformedError("a header ends too early")
        self._position = end
        window = int.from_bytes(self._data[start >> 3 : (end + 7) >> 3], "big")
        return window >> (-end & 7) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.bits(1) == 1

    def skip(self, count: int) -> None:
        """Pass over `count` bits."""
        self.bits(count)

    def exp_golomb(self) -> int:
        """ue(v) of H.264 section 9.1, which is uvlc() of AV1 too."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros >= _MAX_ZEROS:
                raise MalformedError("a code of more than 32 zeros")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_exp_golomb(self) -> int:
        """se(v) of H.264 section 9.1.1."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)
