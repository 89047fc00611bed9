"""The candidates of ours that have been found, in that order, and how far they have been told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from icelane.core.net import SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType
from icelane.peer.local_candidates import without_related


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate of ours, the base that its checks leave from, and the server that it came from, if it was one."""

    candidate: Candidate
    base: SocketAddress
    url: str | None


class FoundCandidates:
    """Grows while gathering; `snapshot` and `restore` are for a restart that may be taken back."""

    def __init__(self) -> None:
        self._found: list[Found] = []
        self._told = 0

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def has(self, candidate: Candidate, base: SocketAddress) -> bool:
        """Whether one with the same address and base is known: another is redundant (RFC 8445 section 5.1.3)."""
        return any(known.base == base and _have_one_place(known.candidate, candidate) for known in self._found)

    def add(self, found: Found) -> None:
        """One more."""
        self._found.append(found)

    def remove(self, base: SocketAddress, transport: Transport) -> None:
        """The base is gone, for that transport."""
        gone = [one for one in self._found if one.base == base and one.candidate.carrier is transport]
        self._told -= sum(one in gone for one in self._found[: self._told])
        self._found = [one for one in self._found if one not in gone]

    def keep(self, wanted: Callable[[Found], bool]) -> None:
        """Forget the others; what is left is to be told again."""
        self._found = [one for one in self._found if wanted(one)]
        self._told = 0

    def keep_relayed(self) -> None:
        """Forget all that say where we are; what is left is to be told again."""
        relayed = [one for one in self._found if one.candidate.type is CandidateType.RELAYED]
        self._found = [replace(one, candidate=without_related(one.candidate)) for one in relayed]
        self._told = 0

    def tell_again(self) -> None:
        """All of them are to be told once more."""
        self._told = 0

    def take_untold(self) -> list[Found]:
        """Those that have not been told; they count as told now."""
        untold = self._found[self._told :]
        self._told = len(self._found)
        return untold

    def snapshot(self) -> list[Found]:
        """What is known now."""
        return list(self._found)

    def restore(self, snapshot: list[Found]) -> None:
        """Know that again, and count it as told."""
        self._found = list(snapshot)
        self._told = len(snapshot)


def _have_one_place(one: Candidate, other: Candidate) -> bool:
    return one.address == other.address and one.transport == other.transport
