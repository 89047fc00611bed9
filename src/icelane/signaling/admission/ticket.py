"""One-time tickets: what a page gets over HTTP and opens a WebSocket with, so that no long-lived token is in a URL."""

from __future__ import annotations

import base64
from collections import OrderedDict
from typing import Final, NamedTuple

from icelane.core.clock import Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.crypto.provider import sha256
from icelane.signaling.admission.request import Allow

LIFETIME: Final[Duration] = 60.0
# Issued and not used. At the bound no further one is issued until one has expired, so that nobody's is lost.
MAX_TICKETS: Final = 10_000
# Of one identity; beyond it his oldest is void, so that one page cannot take all of them.
MAX_TICKETS_PER_IDENTITY: Final = 16

_BYTES: Final = 32


class _Kept(NamedTuple):
    allow: Allow
    until: Instant


class TicketStore:
    """Tickets that have not been used. They are kept as hashes, so that whoever reads memory can use none."""

    def __init__(self, entropy: Entropy, lifetime: Duration = LIFETIME) -> None:
        self._entropy = entropy
        self._lifetime = lifetime
        # All live equally long, so the oldest is the first to expire.
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._hashes_by_identity: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"TicketStore({len(self)} tickets)"

    def issue(self, allow: Allow, now: Instant) -> str | None:
        """A ticket that admits once as `allow` says; None when MAX_TICKETS are out."""
        assert allow.identity is not None, "a ticket is somebody's"
        self._drop_expired(now)
        mine = self._hashes_by_identity.get(allow.identity, [])
        if len(mine) >= MAX_TICKETS_PER_IDENTITY:
            self._take(mine[0])
        if len(self._kept) >= MAX_TICKETS:
            return None
        ticket = base64.urlsafe_b64encode(self._entropy.token(_BYTES)).rstrip(b"=").decode()
        hashed = sha256(ticket.encode())
        self._kept[hashed] = _Kept(allow, later(now, self._lifetime))
        self._hashes_by_identity.setdefault(allow.identity, []).append(hashed)
        return ticket

    def redeem(self, ticket: str, now: Instant) -> Allow | None:
        """What a ticket admits; None when it is used, expired, or nobody's. From now on it is used."""
        self._drop_expired(now)
        kept = self._take(sha256(ticket.encode("utf-8", "surrogatepass")))
        return None if kept is None else kept.allow

    def _take(self, hashed: bytes) -> _Kept | None:
        kept = self._kept.pop(hashed, None)
        if kept is not None:
            identity = kept.allow.identity or ""
            mine = self._hashes_by_identity[identity]
            mine.remove(hashed)
            if not mine:
                del self._hashes_by_identity[identity]
        return kept

    def _drop_expired(self, now: Instant) -> None:
        while self._kept:
            hashed = next(iter(self._kept))
            if self._kept[hashed].until > now:
                return
            self._take(hashed)
