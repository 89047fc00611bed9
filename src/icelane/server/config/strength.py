"""How hard a shared secret is to guess, judged from its text alone."""

from __future__ import annotations

import math
import string

from icelane.errors import ConfigurationError
from icelane.turn.credentials import Secret

REQUIRED_BITS = 128
"""RFC 8489 section 9.2: the shared secret carries at least 128 bits of randomness."""

# A random secret of the required length repeats letters, but never uses this few of them.
_FEWEST_DISTINCT = 8

_ALPHABETS = (string.digits, string.digits + "abcdef", string.digits + "ABCDEF")


def bits_of(secret: str) -> float:
    """The most randomness that a text of this length and alphabet can hold.

    Decimal and hexadecimal digits count as such; anything else counts as bytes, since a text does not say what made it.
    """
    for alphabet in _ALPHABETS:
        if set(secret) <= set(alphabet):
            return len(secret) * math.log2(len(alphabet))
    return len(secret.encode()) * 8.0


def weakness(secret: str) -> str | None:
    """Why `secret` cannot be used, in words that do not contain it; None when it can."""
    if bits_of(secret) < REQUIRED_BITS:
        return f"a secret needs at least {REQUIRED_BITS} bits: 32 random hexadecimal digits, or 22 random base64 ones"
    try:
        Secret(kid="k", secret=secret)
    except ConfigurationError:
        return "this secret stands in manuals; put random characters here"
    if len(set(secret)) < _FEWEST_DISTINCT:
        return "this secret repeats a few characters; put random ones here"
    return None
