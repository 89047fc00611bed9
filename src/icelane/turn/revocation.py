"""Credentials that were taken back before their time (TR-12).

An ephemeral credential is right for whoever knows the secret, so taking one back means to remember it: until it has
expired, its last second and the longest leeway that a reload may set included. A user is remembered until the restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError
from icelane.turn.credentials import MAX_LEEWAY, Credential

# Taken back at run time, and as many again in the list of the configuration. At the bound what has expired makes room;
# when nothing has, taking back fails aloud: to forget another one would let it in again.
MAX_REVOKED: Final = 10_000

UNTIL_RESTART: Final = UnixSeconds(float("inf"))
"""The end of a revocation of something that does not expire, or of which nobody knows when."""

_NEVER: Final = UnixSeconds(float("-inf"))


class Revocation(NamedTuple):
    """Whom it meets: a user name as it stands in USERNAME, a user whatever his user names, or with `kid` a secret."""

    name: str = ""
    kid: str = ""

    def covers(self, credential: Credential, kid: str) -> bool:
        """Whether it meets a credential that was proved with the secret `kid`, "" for none."""
        if self.kid:
            return self.kid == kid
        return self.name in (credential.username, credential.user_key)


class Revocations:
    """All that is taken back: a list that stands as long as it is configured, and entries that expire."""

    def __init__(self, listed: frozenset[Revocation] = frozenset()) -> None:
        self._listed = listed
        self._ends_by_entry: dict[Revocation, UnixSeconds] = {}

    def __len__(self) -> int:
        return len(self._listed) + len(self._ends_by_entry)

    def set_listed(self, listed: frozenset[Revocation]) -> None:
        """Put another list in place of the one that stood."""
        self._listed = listed

    def add(self, entry: Revocation, until: UnixSeconds, unix_time: UnixSeconds) -> None:
        """Remember `entry` until then. Raises LocalProtocolError when there are MAX_REVOKED."""
        if entry not in self._ends_by_entry and len(self._ends_by_entry) >= MAX_REVOKED:
            self._drop_expired(unix_time)
            if len(self._ends_by_entry) >= MAX_REVOKED:
                raise LocalProtocolError(f"{MAX_REVOKED} revocations are remembered, and none of them has expired")
        self._ends_by_entry[entry] = max(until, self._ends_by_entry.get(entry, until))

    def end_of(self, entry: Revocation) -> UnixSeconds | None:
        """Until when an entry that was added is remembered."""
        return self._ends_by_entry.get(entry)

    def covers(self, credential: Credential, kid: str, unix_time: UnixSeconds) -> bool:
        """Whether a credential that was proved with the secret `kid`, "" for none, has been taken back."""
        if not self._listed and not self._ends_by_entry:
            return False
        return any(
            entry in self._listed or self._ends_by_entry.get(entry, _NEVER) >= unix_time
            for entry in _meeting(credential, kid)
        )

    def _drop_expired(self, unix_time: UnixSeconds) -> None:
        for entry in [entry for entry, end in self._ends_by_entry.items() if end < unix_time]:
            del self._ends_by_entry[entry]


def end_of(entry: Revocation, known: Collection[Credential]) -> UnixSeconds:
    """When everything that `entry` covers has expired for good, as far as its `known` credentials tell.

    `valid_until` goes by the leeway of today, and a reload may raise it: hence MAX_LEEWAY on top of that.

    Only the name of a single ephemeral credential says that. A user may have others of any length, which other
    programs issued, and a static user's or a secret's never end.
    """
    if entry.kid or not any(one.username == entry.name and one.user_key != entry.name for one in known):
        return UNTIL_RESTART
    return max(UNTIL_RESTART if one.valid_until is None else UnixSeconds(one.valid_until + MAX_LEEWAY) for one in known)


def _meeting(credential: Credential, kid: str) -> Iterator[Revocation]:
    yield Revocation(name=credential.username)
    yield Revocation(name=credential.user_key)
    if kid:
        yield Revocation(kid=kid)
