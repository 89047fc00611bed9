"""Candidates of the peer that have a name in place of an address, until somebody has looked it up (IC-7)."""

from __future__ import annotations

from typing import Final

from icelane.ice.candidate import Candidate

# Names that a peer may have us look up on the local network; what is beyond is ignored (IC-7).
MAX_NAMES: Final = 16


class RemoteNames:
    """Each name is asked for once, whatever number of candidates have it."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Candidate]] = {}

    def wait_for(self, candidate: Candidate) -> bool:
        """Keep the candidate until its name is known; True when the name is to be asked for."""
        if sum(map(len, self._waiting.values())) >= MAX_NAMES:
            return False
        is_new = candidate.host not in self._waiting
        self._waiting.setdefault(candidate.host, []).append(candidate)
        return is_new

    def take(self, name: str) -> list[Candidate]:
        """The candidates that waited for it."""
        return self._waiting.pop(name, [])

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
