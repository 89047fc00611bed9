"""What the TURN engine reports, as log records: one for each allocation's beginning and end, one for each refusal."""

from __future__ import annotations

import structlog

from icelane.core.net import Path
from icelane.stun.message import method_name
from icelane.turn.allocation import AllocationCreated, AllocationEnded
from icelane.turn.refusal import RequestRefused
from icelane.turn.server import Event


class TurnLog:
    """Writes the engine's events."""

    def __init__(self, realm: str, addresses: bool) -> None:
        self._realm = realm
        self._addresses = addresses
        self._log = structlog.get_logger("icelane.turn")

    def record(self, event: Event) -> None:
        """Write one event."""
        match event:
            case AllocationCreated():
                self._log.info("turn.allocated", **self._who(event.client, event.username, event.kid))
            case AllocationEnded():
                reason = event.reason.value
                self._log.info("turn.ended", reason=reason, **self._who(event.client, event.username, event.kid))
            case RequestRefused():
                self._refused(event)

    def _refused(self, event: RequestRefused) -> None:
        # The first request of every client has no credentials: that is how it learns the realm, and no fault.
        write = self._log.debug if event.reason == "no-credentials" and not event.silent else self._log.warning
        write(
            "turn.refused",
            code=event.code,
            reason=event.reason,
            method=method_name(event.method),
            **self._who(event.client, event.username, event.kid),
        )

    def _who(self, client: Path, username: str, kid: str) -> dict[str, str]:
        return {
            "client": str(client.remote),
            "transport": client.transport.value,
            "realm": self._realm,
            "username": username,
            "kid": kid,
        }
