"""Allocate requests between authentication and answer (RFC 8656 section 7.2, steps 6 to 11).

1. begin                         a place in the quotas, and ports are asked for     (icelane.turn.relay_acquisition)
2. handle_bound, handle_failed   the plane has bound them: the allocation begins; or has not: 508
   cancel                        or the client went, or lost its right, meanwhile
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from icelane.core.clock import NEVER, Instant
from icelane.core.garbage import untracked
from icelane.core.net import Path, SocketAddress
from icelane.stun.message import Message
from icelane.turn.allocation import Allocation, AllocationCreated, Relay
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.authentication import Identity
from icelane.turn.quota import AllocationQuota, QuotaRefusal, QuotaSlot
from icelane.turn.refusal import Refusal
from icelane.turn.relay_acquisition import Acquired, RelayAcquisition
from icelane.turn.relay_ports import RelayPorts
from icelane.turn.request import AllocateRequest
from icelane.turn.response import Responder, allocate_response
from icelane.turn.routes import BindId
from icelane.turn.tcp_relay import PeerConnections


@dataclass(unsafe_hash=True)
class _PendingAllocate:
    """An Allocate request that is authenticated and counted against the quotas, and waits for its relay ports."""

    __slots__ = ("identity", "message", "request", "slot")

    message: Message
    request: AllocateRequest
    identity: Identity
    slot: QuotaSlot


class Allocates:
    """The Allocate requests that wait for their relay ports; the quotas bound how many.

    `lifetime` says how long one lives that asked for so many seconds, `refuse` answers a request with an error,
    `on_created` hears of every allocation.
    """

    def __init__(
        self,
        *,
        quota: AllocationQuota,
        relay_ports: RelayPorts,
        acquisition: RelayAcquisition,
        table: AllocationTable,
        connections: PeerConnections,
        responder: Responder,
        lifetime: Callable[[int | None], int],
        refuse: Callable[[Refusal, Message, Path, Identity | None, Instant], None],
        on_created: Callable[[AllocationCreated], None],
    ) -> None:
        self._quota = quota
        self._relay_ports = relay_ports
        self._acquisition = acquisition
        self._table = table
        self._connections = connections
        self._responder = responder
        self._lifetime = lifetime
        self._refuse = refuse
        self._on_created = on_created
        self._pending_by_client: dict[Path, _PendingAllocate] = {}

    def __len__(self) -> int:
        return len(self._pending_by_client)

    def __contains__(self, client: Path) -> bool:
        return client in self._pending_by_client

    def handle_bound(self, bind_id: BindId, now: Instant) -> None:
        """The plane has bound a port."""
        self._acquisition.handle_bound(bind_id, now)
        self._finish(now)

    def handle_claimed(self, bind_id: BindId, relay: SocketAddress, owner: int, now: Instant) -> None:
        """A sibling has handed over a port."""
        self._acquisition.handle_claimed(bind_id, relay, owner)
        self._finish(now)

    def handle_failed(self, bind_id: BindId, now: Instant) -> None:
        """The plane could not bind or get a port; another one is tried where any would do."""
        self._acquisition.handle_failed(bind_id)
        self._finish(now)

    def begin(self, message: Message, client: Path, request: AllocateRequest, identity: Identity, now: Instant) -> None:
        """Take a place in the quotas and ask for ports. Raises Refusal, and then nothing is held."""
        slot = self._quota.reserve(identity.user_key)
        if isinstance(slot, QuotaRefusal):
            raise Refusal(slot.code, slot.value)
        self._pending_by_client[client] = _PendingAllocate(message, request, identity, slot)
        try:
            self._acquisition.begin(client, request)
        except Refusal:
            self._drop(client)
            raise
        self._finish(now)

    def cancel(self, client: Path) -> None:
        """Forget the client's request, if there is one; it gets no answer."""
        if client in self._pending_by_client:
            self._acquisition.cancel(client)
            self._drop(client)

    def cancel_whose(self, matches: Callable[[Path, Identity], bool]) -> None:
        """Forget the requests of whom `matches`."""
        found = [client for client, pending in self._pending_by_client.items() if matches(client, pending.identity)]
        for client in found:
            self.cancel(client)

    def clear(self) -> None:
        """Forget every request."""
        for client in list(self._pending_by_client):
            self.cancel(client)

    def _finish(self, now: Instant) -> None:
        while (acquired := self._acquisition.poll_finished()) is not None:
            pending = self._pending_by_client[acquired.client]
            if acquired.relays:
                self._complete(pending, acquired, now)
            else:
                self._drop(acquired.client)
                refusal = Refusal(508, "no-relay-port")
                self._refuse(refusal, pending.message, acquired.client, pending.identity, now)

    def _complete(self, pending: _PendingAllocate, acquired: Acquired, now: Instant) -> None:
        del self._pending_by_client[acquired.client]
        identity = pending.identity
        client = untracked(acquired.client)
        untracked(client.remote)
        allocation = Allocation(
            client=client,
            credential=identity.credential,
            kid=identity.kid,
            slot=pending.slot,
            transaction_id=pending.message.transaction_id,
            tcp=pending.request.tcp,
            response=b"",
            relays={},
            permissions_by_host={},
            channels_by_number={},
            channels_by_peer={},
            credential_ends_at=NEVER,
            alarm_at=NEVER,
        )
        untracked(allocation)
        relays = [untracked(Relay(local, self._relay_ports.external(local), now)) for local in acquired.relays]
        # Zero, which ends an allocation that is refreshed, means nothing here (RFC 8656 section 7.2).
        lifetime = self._lifetime(pending.request.lifetime or None)
        self._table.add(allocation, relays, lifetime, now)
        if allocation.tcp:
            for relay in relays:
                self._connections.open_relay(relay.local, allocation)
        response = allocate_response(pending.message, pending.request, acquired, relays, lifetime)
        allocation.response = self._responder.succeed(response, pending.message, acquired.client, identity)
        created = AllocationCreated(
            client=acquired.client,
            username=allocation.username,
            kid=allocation.kid,
            relays=tuple(relay.external for relay in relays),
        )
        self._on_created(created)

    def _drop(self, client: Path) -> None:
        self._quota.release(self._pending_by_client.pop(client).slot)
