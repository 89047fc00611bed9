"""Randomness that repeats."""

from __future__ import annotations

import random


class SeededEntropy:
    """The same bytes and numbers for the same seed; satisfies `icelane.core.entropy.Entropy`. Never for production."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311  (repeatability is the point)

    def token(self, size: int) -> bytes:
        """`size` bytes."""
        return self._random.randbytes(size)

    def below(self, limit: int) -> int:
        """A uniform integer in `0 <= n < limit`."""
        return self._random.randrange(limit)
