"""What the TURN engine reports, as log records: one for each allocation's beginning and end, one for each refusal."""

from __future__ import annotations

import logging
from typing import Final, assert_never

from icelane.core.clock import Instant
from icelane.core.net import Path
from icelane.server.events import LOGGER, RefusalLog, report_fields
from icelane.stun.message import method_name
from icelane.turn.allocation import AllocationCreated, AllocationEnded
from icelane.turn.refusal import RequestRefused
from icelane.turn.server import Event

# The first request of every client has no credentials, because that is how it learns the realm, and a nonce gets old in
# every long session: no faults.
_EXPECTED: Final = frozenset({"no-credentials", "nonce-stale"})


class TurnLog:
    """Writes the engine's events. docs/reference/logs.md lists the records and their fields."""

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._refusals = RefusalLog()

    def record(self, event: Event, now: Instant) -> None:
        """Write one event."""
        # No match statement: the oldest Cython that compiles this module has none.
        if isinstance(event, AllocationCreated):
            self._write("turn.allocated", event.client, event.username, event.kid, relays=event.relays)
        elif isinstance(event, AllocationEnded):
            self._write("turn.ended", event.client, event.username, event.kid, reason=event.reason.value)
        elif isinstance(event, RequestRefused):
            self._refused(event, now)
        else:
            assert_never(event)

    def flush(self, now: Instant) -> None:
        """Write the counts of refusals that were left out and are due."""
        self._refusals.flush(now)

    @property
    def waiting(self) -> bool:
        """Whether `flush` may have something to write later."""
        return len(self._refusals) > 0

    def _refused(self, event: RequestRefused, now: Instant) -> None:
        level = logging.DEBUG if event.reason in _EXPECTED and not event.silent else logging.WARNING
        if not LOGGER.isEnabledFor(level):
            return
        self._refusals.refused(
            event.client,
            code=event.code,
            reason=event.reason,
            now=now,
            level=level,
            realm=self._realm,
            username=event.username,
            kid=event.kid,
            method=method_name(event.method),
            silent=event.silent,
            unreported=event.unreported,
        )

    def _write(self, name: str, client: Path, username: str, kid: str, **details: object) -> None:
        fields: dict[str, object] = {
            "client": client.remote,
            "transport": client.transport._value_,  # without the call that `value` is
            "realm": self._realm,
            "username": username,
        }
        if kid:
            fields["kid"] = kid
        fields.update(details)
        report_fields(name, logging.INFO, fields)
