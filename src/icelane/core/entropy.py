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


def random_uuid(entropy: Entropy) -> str:
    """Version 4 of RFC 9562: all bits are random but those that say so."""
    data = bytearray(entropy.token(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
