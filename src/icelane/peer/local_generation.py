"""Our own ICE generations: the credentials of each, and the candidates that were gathered for it so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from icelane.peer.transport_command import IceParameters


@dataclass(slots=True)
class LocalGeneration:
    """One set of credentials. `candidates` are values of `a=candidate`, in the order in which they were found."""

    ice: IceParameters
    candidates: list[str] = field(default_factory=list)
    is_complete: bool = False


class LocalGenerations:
    """The generations that a description of ours speaks of: at most the negotiated one and the one offered."""

    def __init__(self) -> None:
        self._generations_by_ufrag: dict[str, LocalGeneration] = {}

    def __len__(self) -> int:
        return len(self._generations_by_ufrag)

    def begin(self, ice: IceParameters) -> LocalGeneration:
        """The generation of `ice`, a new one if need be. It becomes the newest."""
        generation = self._generations_by_ufrag.pop(ice.ufrag, None) or LocalGeneration(ice)
        self._generations_by_ufrag[ice.ufrag] = generation
        return generation

    def find(self, ufrag: str | None) -> LocalGeneration | None:
        """The generation with this ufrag, the newest for None."""
        if ufrag is not None:
            return self._generations_by_ufrag.get(ufrag)
        return next(reversed(self._generations_by_ufrag.values()), None)

    def keep(self, ufrags: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(ufrags)
        self._generations_by_ufrag = {
            ufrag: generation for ufrag, generation in self._generations_by_ufrag.items() if ufrag in kept
        }
