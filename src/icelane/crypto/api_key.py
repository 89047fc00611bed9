"""API keys as they are kept: `sha256:HEX`, never as they are shown.

That needs no salt and no slow hash, because a key is 128 bits of randomness or more: nobody finds one by trying.
"""

from __future__ import annotations

import re
from typing import Final

from icelane.core.entropy import Entropy
from icelane.crypto.provider import sha256

PREFIX: Final = "sha256:"
MIN_KEY_BYTES: Final = 16

_HASHED: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")
# A random key of the required length repeats letters, but never uses this few of them.
_FEWEST_DISTINCT: Final = 8
_KEY_BYTES: Final = 32


def hash_of(key: str) -> str:
    """How a key stands in a configuration that anybody may read: `sha256:HEX`."""
    return PREFIX + sha256(key.encode()).hex()


def new_api_key(entropy: Entropy) -> str:
    """A fresh key of 256 bits, with a beginning by which a leak is found."""
    return f"ik_{entropy.token(_KEY_BYTES).hex()}"


def parse_api_key(value: object) -> str:
    """A key as it is configured, hashed: `sha256:HEX` as it is, else a secret of 128 bits. Raises ValueError, without
    the value in its text."""
    if not isinstance(value, str):
        raise ValueError("should be a string")
    if _HASHED.fullmatch(value):
        return value.lower()
    if value.startswith(PREFIX):
        raise ValueError("sha256: is followed by 64 hexadecimal digits")
    if len(value.encode()) < MIN_KEY_BYTES or len(set(value)) < _FEWEST_DISTINCT:
        raise ValueError("an API key has at least 128 bits; `icelane keys new --for api-key` prints one")
    return hash_of(value)
