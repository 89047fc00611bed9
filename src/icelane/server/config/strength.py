"""How hard a shared secret is to guess, judged from its text alone."""

from __future__ import annotations

import math
import string

REQUIRED_BITS = 128
"""RFC 8489 section 9.2: the shared secret carries at least 128 bits of randomness."""

# A random secret of the required length repeats letters, but never uses this few of them.
_FEWEST_DISTINCT = 8

# What manuals and templates print where a secret belongs.
_PLACEHOLDERS = (
    "changeme",
    "change_me",
    "replaceme",
    "replace_me",
    "your_secret",
    "yoursecret",
    "mysecret",
    "my_secret",
)

_ALPHABETS = (string.digits, string.digits + "abcdef", string.digits + "ABCDEF")


def bits_of(secret: str) -> float:
    """The most randomness that a text of this length and alphabet can carry.

    Digits and hexadecimal digits count as such; everything else as base64, 6 bits a character.
    """
    for alphabet in _ALPHABETS:
        if set(secret) <= set(alphabet):
            return len(secret) * math.log2(len(alphabet))
    return len(secret) * 6.0


def weakness(secret: str) -> str | None:
    """Why `secret` cannot be used, in words that do not contain it; None when it can."""
    if any(word in secret.lower().replace("-", "_") for word in _PLACEHOLDERS):
        return "this is a placeholder from a manual; put random characters here"
    if bits_of(secret) < REQUIRED_BITS:
        return f"a secret needs at least {REQUIRED_BITS} bits: 22 random characters, or 32 hexadecimal digits"
    if len(set(secret)) < _FEWEST_DISTINCT:
        return "this secret repeats a few characters; put random ones here"
    return None
