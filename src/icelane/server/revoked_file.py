"""`turn.revoked_file`: credentials that were taken back, one a line.

    # lines like this one are remarks
    1800000000:carol            one credential, by its user name
    carol                       a user: every credential of hers, and the static user
    --kid 2026a                 every credential that the secret 2026a signed

Spaces around a line do not count. The file is read at the start and with each reload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from icelane.errors import ConfigurationError
from icelane.server.config.sources import read_file
from icelane.server.config.values import parse_kid
from icelane.turn.credentials import MAX_USERNAME_BYTES
from icelane.turn.revocation import MAX_REVOKED, Revocation

_KEY: Final = "turn.revoked_file"
_KID: Final = "--kid "


def read_revoked(path: Path | None) -> frozenset[Revocation]:
    """What the file takes back; nothing without one. Raises ConfigurationError that names the file and the line."""
    if path is None:
        return frozenset()
    try:
        text = read_file(path)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, key=_KEY, file=str(path)) from None
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            found.add(parse_revocation(entry))
        except ValueError as error:
            raise ConfigurationError(f"line {number}: {error}", key=_KEY, file=str(path)) from None
    if len(found) > MAX_REVOKED:
        raise ConfigurationError(f"more than {MAX_REVOKED} entries; rotate the secret", key=_KEY, file=str(path))
    return frozenset(found)


def parse_revocation(text: str) -> Revocation:
    """A user name, a user, or `--kid KID`. Raises ValueError."""
    if text.startswith(_KID):
        return Revocation(kid=parse_kid(text.removeprefix(_KID).strip()))
    if not 0 < len(text.encode()) <= MAX_USERNAME_BYTES:
        raise ValueError(f"a user name has 1 to {MAX_USERNAME_BYTES} bytes")
    return Revocation(name=text)
