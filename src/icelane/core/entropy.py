"""Randomness as an argument. The real source is `icelane.crypto.provider`; tests pass a seeded one."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """An unpredictable source of bytes and numbers."""

    def token(self, size: int) -> bytes:
        """`size` random bytes."""
        ...

    def below(self, limit: int) -> int:
        """A uniform integer in `0 <= n < limit`; `limit` is positive."""
        ...
