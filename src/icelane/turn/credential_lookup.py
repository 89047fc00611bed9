"""Requests of users whom the configuration does not know, while somebody outside is asked who they are.

    1. the nonce proved the source, and the store does not know the name    (icelane.turn.authentication)
    2. begin                LookUpCredential goes out, the request waits
    3. take                 the answer came; the request is handled again, with it
       pop_overdue          or it did not, within a second: 500, and nothing is kept

What strangers can make wait is bounded: whoever gets here receives at his address, has one place, and loses it after a
second.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.net import Path
from icelane.stun.message import Message
from icelane.turn.refusal import Refusal
from icelane.turn.routes import Command, LookUpCredential, LookupId

# Requests that wait at a time; the next one gets 500, which tells its client to come again.
MAX_LOOKUPS: Final = 256
# A client retransmits after half a second and gives up after many; whoever takes longer to answer does not scale.
LOOKUP_TIMEOUT: Final[Duration] = 1.0


class WaitingRequest(NamedTuple):
    """A request as it came, and the name that it claims."""

    message: Message
    client: Path
    username: str


class CredentialLookups:
    """The requests that wait, at most one for each 5-tuple. Commands are appended to `commands`."""

    def __init__(self, realm: str, commands: deque[Command]) -> None:
        self._realm = realm
        self._commands = commands
        self._requests_by_id: dict[LookupId, WaitingRequest] = {}
        self._ids_by_client: dict[Path, LookupId] = {}
        self._timers: TimerTable[LookupId] = TimerTable()
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._requests_by_id)

    def begin(self, message: Message, client: Path, username: str, now: Instant) -> None:
        """Ask who `username` is; a retransmission joins the request that waits. Raises Refusal when there is no room.

        Another request of a client that has one waiting is refused as well: it cannot know yet who he is.
        """
        waiting = self._ids_by_client.get(client)
        if waiting is not None:
            if self._requests_by_id[waiting].message.transaction_id == message.transaction_id:
                return
            raise Refusal(500, "lookup-busy")
        if len(self._requests_by_id) >= MAX_LOOKUPS:
            raise Refusal(500, "lookup-busy")
        self._last_id += 1
        lookup_id = LookupId(self._last_id)
        self._requests_by_id[lookup_id] = WaitingRequest(message, client, username)
        self._ids_by_client[client] = lookup_id
        self._timers.set(lookup_id, later(now, LOOKUP_TIMEOUT))
        self._commands.append(LookUpCredential(lookup_id, username, self._realm, client))

    def take(self, lookup_id: LookupId) -> WaitingRequest | None:
        """The request that waited for this answer; None when it does not wait any more."""
        request = self._requests_by_id.pop(lookup_id, None)
        if request is not None:
            del self._ids_by_client[request.client]
            self._timers.cancel(lookup_id)
        return request

    def cancel(self, client: Path) -> None:
        """The client is gone; the answer will find nobody."""
        lookup_id = self._ids_by_client.get(client)
        if lookup_id is not None:
            self.take(lookup_id)

    def pop_overdue(self, now: Instant) -> WaitingRequest | None:
        """The next request that has waited too long; it waits no more."""
        lookup_id = self._timers.pop_due(now)
        return self.take(lookup_id) if lookup_id is not None else None

    def next_timeout(self) -> Instant | None:
        """When the next one will have waited too long."""
        return self._timers.next()

    def clear(self) -> None:
        """Forget every request."""
        self._requests_by_id.clear()
        self._ids_by_client.clear()
        self._timers.clear()
