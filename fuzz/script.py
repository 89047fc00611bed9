"""Reads an input as a script: small numbers and short strings, so that mutation of bytes is mutation of behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Script:
    """Takes decisions from an input until it is used up; beyond its end every decision is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def number(self) -> int:
        """A byte."""
        value = self._data[self._position] if self else 0
        self._position += 1
        return value

    def choose(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return options[self.number() % len(options)]

    def string(self) -> bytes:
        """A byte of length, and as many bytes as there are."""
        size = self.number()
        start = self._position
        self._position += size
        return self._data[start : start + size]

    def attributes(self, kinds: Sequence[int], most: int = 6) -> list[tuple[int, bytes]]:
        """Up to `most` attributes of mostly known kinds, with short values."""
        return [(self.choose(kinds), self.string()) for _ in range(self.number() % (most + 1))]
