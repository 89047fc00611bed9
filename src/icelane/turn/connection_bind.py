"""The client's half of ConnectionBind (RFC 6062 section 4.3): a fresh connection to the server becomes a peer's.

1. client -> server   ConnectionBind               bind()
2. client <- server   401 or 438, and step 1 signed (icelane.turn.exchange)
3. client <- server   success: StreamBound; what follows are the peer's bytes
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Instant
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path
from icelane.errors import IcelaneError, IntegrityError, MalformedError
from icelane.stun.authentication import ClientAuthentication
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import Method, parse_message
from icelane.turn.client_request import write_connection_bind
from icelane.turn.exchange import Answered, Exchanges

_ONE: Final = 1


@dataclass(frozen=True, slots=True)
class StreamBound:
    """The connection carries the peer's bytes from the next byte on."""


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """It does not. `error` is TurnError when the server said why."""

    error: IcelaneError


class ConnectionBinder:
    """Sans-IO: binds the connection of `path` to the server's connection with a peer, once."""

    def __init__(self, path: Path, *, entropy: Entropy, username: str | None = None, password: str = "") -> None:
        authentication = ClientAuthentication(username, password) if username is not None else None
        self._path = path
        self._exchanges: Exchanges[None] = Exchanges(path, authentication, entropy=entropy, limit=_ONE)
        self._events: deque[StreamBound | StreamRefused] = deque()

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A framed message came."""
        if path != self._path:
            return
        try:
            message = parse_message(data)
            if message.fingerprint_offset is not None:
                verify_fingerprint(message)
        except (MalformedError, IntegrityError):
            return
        self._exchanges.handle_message(message, now)
        self._settle()

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self._exchanges.handle_timeout(now)
        self._settle()

    def handle_closed(self, path: Path, now: Instant) -> None:
        """The connection is gone."""
        del now
        if path == self._path:
            self._exchanges.handle_closed()
            self._settle()

    def bind(self, connection_id: int, now: Instant) -> None:
        """Ask for the connection of that number; StreamBound or StreamRefused follows."""
        self._exchanges.start(
            None, Method.CONNECTION_BIND, lambda builder, _: write_connection_bind(builder, connection_id), now
        )

    def poll_transmit(self) -> Transmit | None:
        """The next message to send, or None."""
        return self._exchanges.poll_transmit()

    def poll_event(self) -> StreamBound | StreamRefused | None:
        """How it ended, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return self._exchanges.next_timeout()

    def _settle(self) -> None:
        while (outcome := self._exchanges.poll_outcome()) is not None:
            self._events.append(StreamBound() if isinstance(outcome, Answered) else StreamRefused(outcome.error))
