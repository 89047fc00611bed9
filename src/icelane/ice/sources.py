"""From where verified checks of the peer came, and those that came before its credentials did."""

from __future__ import annotations

from typing import Final, NamedTuple

from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.check import Check

# Checks that came before the peer's credentials; one from yet another address is answered, and not remembered.
MAX_REMEMBERED: Final = 32
# Sources of verified requests; beyond it the agent says of no further one that it has authenticated.
MAX_AUTHENTICATED: Final = 64


class _Remembered(NamedTuple):
    sender: str
    check: Check


class Sources:
    """What is known of the peer's addresses by the checks that it sent."""

    def __init__(self) -> None:
        self._authenticated: set[Path] = set()
        self._remembered: dict[Path, _Remembered] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._authenticated

    @property
    def authenticated(self) -> frozenset[Path]:
        """From where verified checks came."""
        return frozenset(self._authenticated)

    def authenticate(self, path: Path) -> None:
        """A verified check came on `path`."""
        if len(self._authenticated) < MAX_AUTHENTICATED:
            self._authenticated.add(path)

    def remember(self, sender: str, check: Check, path: Path) -> None:
        """Keep the check of who calls itself `sender` for later; one that nominates is not replaced."""
        before = self._remembered.get(path)
        if before is not None and before.check.use_candidate:
            return
        if before is not None or len(self._remembered) < MAX_REMEMBERED:
            self._remembered[path] = _Remembered(sender, check)

    def take_remembered(self, sender: str) -> list[tuple[Path, Check]]:
        """The peer calls itself `sender`: what it sent. Nothing is remembered of others, nor are they authenticated."""
        remembered, self._remembered = self._remembered, {}
        for path, one in remembered.items():
            if one.sender != sender:
                self._authenticated.discard(path)
        return [(path, one.check) for path, one in remembered.items() if one.sender == sender]

    def forget(self, path: Path) -> None:
        """Nothing comes in on `path` any more: its connection is closed."""
        self._authenticated.discard(path)
        self._remembered.pop(path, None)

    def remove_base(self, base: SocketAddress, transport: Transport) -> None:
        """Nothing comes in at `base` any more."""
        for path in [*self._authenticated, *self._remembered]:
            if path.local == base and path.transport is transport:
                self.forget(path)

    def clear(self) -> None:
        """Forget everything."""
        self._authenticated.clear()
        self._remembered.clear()
