"""API keys: what a program of the operator shows, `Authorization: Bearer KEY` or `Basic base64(name:KEY)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from icelane.crypto.api_key import PREFIX, parse_api_key
from icelane.crypto.provider import equal, sha256
from icelane.errors import ConfigurationError

# Every request is compared with each of them.
MAX_API_KEYS: Final = 256

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


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
