"""What becomes of connections before a request arrives over them, as log records; repeats are counted, not written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from icelane.core.clock import Duration, Instant
from icelane.core.net import SocketAddress, Transport
from icelane.server.events import MAX_SOURCES, REPEAT_WINDOW, RepeatGate, report, source_of


class _Incident(NamedTuple):
    event: str
    source: str
    reason: str


class ConnectionLog:
    """One record for each incident, and one per ten seconds for a source that goes on.

    Reasons are those of docs/reference/logs.md.
    """

    def __init__(
        self, on_record: Callable[[], None], window: Duration = REPEAT_WINDOW, capacity: int = MAX_SOURCES
    ) -> None:
        """`on_record` is called whenever there is something that `flush` may have to say later."""
        self._on_record = on_record
        self._gate: RepeatGate[_Incident] = RepeatGate(window, capacity)

    def __len__(self) -> int:
        return len(self._gate)

    def refused(self, client: SocketAddress, transport: Transport, reason: str, now: Instant) -> None:
        """Closed at once: too many of them, or no PROXY header from a proxy."""
        self._write("turn.connection_refused", client, transport, reason, now)

    def closed(self, client: SocketAddress, transport: Transport, reason: str, now: Instant) -> None:
        """Closed later: it was too slow, or sent something else than STUN."""
        self._write("turn.connection_closed", client, transport, reason, now)

    def handshake_failed(
        self, client: SocketAddress, transport: Transport, reason: str, now: Instant, detail: str
    ) -> None:
        """TLS did not come about; `detail` is OpenSSL's word where `reason` has none of ours."""
        self._write("tls.handshake_failed", client, transport, reason, now, detail=detail)

    def flush(self, now: Instant) -> None:
        """Report what was left out in the windows that are over."""
        for (event, source, reason), count in self._gate.ended(now):
            report(event, logging.WARNING, client=SocketAddress(source, 0), reason=reason, repeats=count)
        if overflow := self._gate.take_overflow():
            report("turn.connection_closed", logging.WARNING, reason="too-many-sources", repeats=overflow)

    def _write(
        self, event: str, client: SocketAddress, transport: Transport, reason: str, now: Instant, **details: object
    ) -> None:
        if self._gate.admit(_Incident(event, source_of(client.host), reason), now):
            report(
                event,
                logging.WARNING,
                client=client,
                transport=transport.value,
                reason=reason,
                **{name: value for name, value in details.items() if value},
            )
        self._on_record()
