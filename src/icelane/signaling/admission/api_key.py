"""API keys: what a program of the operator shows, `Authorization: Bearer KEY` or `Basic base64(name:KEY)`.

A key is kept as its SHA-256 alone. That needs no salt and no slow hash, because a key is 128 bits of randomness or
more: nobody finds one by trying.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal, sha256
from icelane.errors import ConfigurationError

PREFIX: Final = "sha256:"
# Every request is compared with each of them.
MAX_API_KEYS: Final = 256
MIN_KEY_BYTES: Final = 16

_HASHED: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FEWEST_DISTINCT: Final = 8
_KEY_BYTES: Final = 32


def hash_of(key: str) -> str:
    """How a key stands in a configuration that anybody may read: `sha256:HEX`."""
    return PREFIX + sha256(key.encode()).hex()


def new_api_key(entropy: Entropy) -> str:
    """A fresh key of 256 bits, with a beginning by which a leak is found."""
    return f"ik_{entropy.token(_KEY_BYTES).hex()}"


def parse_api_key(value: object) -> str:
    """A key as it is configured, hashed: `sha256:HEX` as it is, else a secret of 128 bits. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("should be a string")
    if _HASHED.fullmatch(value):
        return value.lower()
    if value.startswith(PREFIX):
        raise ValueError("sha256: is followed by 64 hexadecimal digits")
    if len(value.encode()) < MIN_KEY_BYTES or len(set(value)) < _FEWEST_DISTINCT:
        raise ValueError("an API key has at least 128 bits; `icelane keys new` prints one")
    return hash_of(value)


class ApiKeys:
    """The keys of a configuration by the names of who has them. Raises ConfigurationError."""

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self._hashes_by_name: dict[str, bytes] = {}
        for name, value in (keys or {}).items():
            where = f"auth.api_keys.{name}"
            if not _NAME.fullmatch(name):
                raise ConfigurationError("a name has 1 to 64 of the characters A-Z a-z 0-9 . _ -", key=where)
            try:
                hashed = parse_api_key(value)
            except ValueError as error:
                problem: str | None = str(error)
            else:
                problem = None
                self._hashes_by_name[name] = bytes.fromhex(hashed.removeprefix(PREFIX))
            if problem is not None:
                raise ConfigurationError(problem, key=where)
        if len(self._hashes_by_name) > MAX_API_KEYS:
            raise ConfigurationError(f"more than {MAX_API_KEYS} keys", key="auth.api_keys")

    def __len__(self) -> int:
        return len(self._hashes_by_name)

    def __repr__(self) -> str:
        return f"ApiKeys({sorted(self._hashes_by_name)})"

    def owner_of(self, key: str, name: str | None = None) -> str | None:
        """Who has this key; None when nobody has, or not `name`. It takes as long whoever it is."""
        shown = sha256(key.encode("utf-8", "surrogatepass"))
        found: str | None = None
        for owner, known in self._hashes_by_name.items():
            if equal(shown, known) and found is None:
                found = owner
        return found if name in (None, found) else None
