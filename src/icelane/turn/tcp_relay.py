"""TCP allocations (RFC 6062): the connections between a relayed address and its peers.

    1. client -> server   Connect                                CONNECTING   30 s for the peer to answer
    2. client <- server   success with CONNECTION-ID             UNBOUND      30 s for step 3
    3. client -> server   ConnectionBind, over a new connection
    4. client <- server   success                                BOUND        that connection and the peer's are one

A peer that connects to the relayed address itself enters at step 2, where ConnectionAttempt takes the place of the
success. Payload never comes here: the plane moves it from the moment that it is told `BindStreams`.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress
from icelane.stun.attributes import AttributeType, encode_uint32, encode_xor_address
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageBuilder, MessageClass, Method
from icelane.turn.allocation import Allocation
from icelane.turn.authentication import Identity
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.refusal import Refusal
from icelane.turn.routes import ClosePeer, Command, ConnectionId, ConnectPeer
from icelane.turn.siblings import ALONE, Siblings

# Of one relayed address. Each costs two descriptors at most; beyond it Connect gets 508, and peers that connect are
# closed.
MAX_PEER_CONNECTIONS: Final = 64

_MAX_CONNECTION_ID: Final = 1 << 32


class ConnectionState(enum.Enum):
    """Where a connection with a peer is in its life."""

    CONNECTING = "connecting"
    UNBOUND = "unbound"
    BOUND = "bound"


class ConnectRequest(NamedTuple):
    """A Connect request that waits for its peer, and who sent it."""

    message: Message
    identity: Identity


@dataclass(slots=True, kw_only=True, eq=False)
class PeerConnection:
    """`peer` is the other end as the client names it, `wire_peer` as it is on the wire.

    `request` is there until it is answered, `data_client` once the connection is BOUND.
    """

    connection_id: ConnectionId
    allocation: Allocation
    relay: SocketAddress
    peer: SocketAddress
    wire_peer: SocketAddress
    state: ConnectionState
    request: ConnectRequest | None = None
    data_client: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectOutcome:
    """What a Connect request is to be answered with; no `refusal` for success."""

    connection: PeerConnection
    request: ConnectRequest
    refusal: Refusal | None = None


@dataclass(slots=True, eq=False)
class _Relay:
    allocation: Allocation
    connections_by_wire_peer: dict[SocketAddress, PeerConnection] = field(default_factory=dict)


class PeerConnections:
    """All connections with peers. Commands for the plane go to `commands`, indications to `transmits`."""

    def __init__(
        self,
        *,
        entropy: Entropy,
        timeout: Duration,
        commands: deque[Command],
        transmits: deque[Transmit],
        siblings: Siblings = ALONE,
    ) -> None:
        self._entropy = entropy
        self._siblings = siblings
        self._timeout = timeout
        self._commands = commands
        self._transmits = transmits
        self._relays_by_address: dict[SocketAddress, _Relay] = {}
        self._connections_by_id: dict[ConnectionId, PeerConnection] = {}
        self._connections_by_data_client: dict[Path, PeerConnection] = {}
        self._outcomes: deque[ConnectOutcome] = deque()
        self._timers: TimerTable[ConnectionId] = TimerTable()

    def __len__(self) -> int:
        return len(self._connections_by_id)

    # Inputs

    def handle_connected(self, connection_id: ConnectionId, now: Instant) -> None:
        """The plane has connected to the peer."""
        connection = self._connections_by_id.get(connection_id)
        if connection is None or connection.request is None:
            return
        request, connection.request = connection.request, None
        connection.state = ConnectionState.UNBOUND
        self._timers.set(connection_id, later(now, self._timeout))
        self._outcomes.append(ConnectOutcome(connection, request))

    def handle_accepted(self, relay: SocketAddress, wire_peer: SocketAddress, now: Instant) -> ConnectionId | None:
        """A peer connected to a relayed address; None when the plane is to close it at once (section 5.3)."""
        found = self._relays_by_address.get(relay)
        peer = _permitted(found.allocation, wire_peer) if found is not None else None
        if found is None or peer is None:
            return None
        known = found.connections_by_wire_peer.get(wire_peer)
        if known is not None:
            if known.state is ConnectionState.CONNECTING:
                return None
            self._close(known)  # the kernel knows better than we that it is over
        if len(found.connections_by_wire_peer) >= MAX_PEER_CONNECTIONS:
            return None
        connection = self._add(found, relay, peer, wire_peer, ConnectionState.UNBOUND, now)
        self._announce(connection)
        return connection.connection_id

    def handle_peer_closed(self, connection_id: ConnectionId) -> None:
        """The plane could not connect, or the connection with the peer is over; nothing is left of it there."""
        connection = self._connections_by_id.get(connection_id)
        if connection is not None:
            self._forget(connection)
            self._fail(connection, Refusal(447, "peer-unreachable"))

    def handle_client_closed(self, client: Path) -> None:
        """A client's connection is gone; if it was bound to a peer's, that goes too."""
        connection = self._connections_by_data_client.get(client)
        if connection is not None:
            self._close(connection)

    def handle_timeout(self, now: Instant) -> None:
        """Close what nobody bound, and give up what did not connect in time."""
        while (connection_id := self._timers.pop_due(now)) is not None:
            connection = self._connections_by_id[connection_id]
            self._close(connection)
            self._fail(connection, Refusal(447, "peer-timeout"))

    # Commands

    def open_relay(self, relay: SocketAddress, allocation: Allocation) -> None:
        """From now on peers may connect to `relay`, and the client from it."""
        self._relays_by_address[relay] = _Relay(allocation)

    def close_relay(self, relay: SocketAddress) -> None:
        """Close everything that goes through `relay`. Connect requests that wait are not answered."""
        found = self._relays_by_address.pop(relay, None)
        if found is not None:
            for connection in list(found.connections_by_wire_peer.values()):
                self._close(connection)

    def connect(
        self, relay: SocketAddress, peer: SocketAddress, wire_peer: SocketAddress, request: ConnectRequest, now: Instant
    ) -> None:
        """Begin to connect to a peer that the policy allows; an outcome follows. Raises Refusal (section 5.2)."""
        found = self._relays_by_address[relay]
        if wire_peer == relay:
            # TCP would connect the socket with itself.
            raise Refusal(403, "own-relay")
        if wire_peer in found.connections_by_wire_peer:
            raise Refusal(446, "peer-connected")
        if len(found.connections_by_wire_peer) >= MAX_PEER_CONNECTIONS:
            raise Refusal(508, "too-many-peer-connections")
        connection = self._add(found, relay, peer, wire_peer, ConnectionState.CONNECTING, now)
        connection.request = request
        self._commands.append(ConnectPeer(connection.connection_id, relay, wire_peer))

    def bind(self, connection_id: ConnectionId, client: Path, username: str) -> None:
        """Give the connection to the client at the other end of `client`. Raises Refusal (section 5.4).

        TR-9: once, and only to the user who made the allocation. Others hear nothing that they would not hear of a
        connection that does not exist.
        """
        connection = self._connections_by_id.get(connection_id)
        if connection is None or connection.state is not ConnectionState.UNBOUND:
            raise Refusal(400, "connection-unknown")
        if connection.allocation.username != username:
            raise Refusal(400, "connection-of-another")
        connection.state = ConnectionState.BOUND
        connection.data_client = client
        self._connections_by_data_client[client] = connection
        self._timers.cancel(connection_id)

    def apply_policy(self, policy: PeerPolicy) -> None:
        """TR-7: close every connection with a peer that `policy` refuses."""
        for connection in list(self._connections_by_id.values()):
            verdict = policy.check(connection.peer, connection.relay.family)
            if not verdict.allowed:
                self._close(connection)
                self._fail(connection, Refusal(447, "peer-unreachable"))

    # Outputs

    def poll_outcome(self) -> ConnectOutcome | None:
        """The next Connect request that can be answered, or None."""
        return self._outcomes.popleft() if self._outcomes else None

    def next_timeout(self) -> Instant | None:
        """The earliest deadline; at once while an answer waits, as it does after a change of policy."""
        return Instant(0.0) if self._outcomes else self._timers.next()

    # Properties and privates

    def is_bound(self, client: Path) -> bool:
        """Whether that connection carries a peer's bytes and no messages any more."""
        return client in self._connections_by_data_client

    def owner_of(self, connection_id: ConnectionId | None) -> Path | None:
        """The client whose allocation a connection belongs to; None when there is no such connection."""
        connection = self._connections_by_id.get(connection_id) if connection_id is not None else None
        return connection.allocation.client if connection is not None else None

    def _add(
        self,
        found: _Relay,
        relay: SocketAddress,
        peer: SocketAddress,
        wire_peer: SocketAddress,
        state: ConnectionState,
        now: Instant,
    ) -> PeerConnection:
        connection = PeerConnection(
            connection_id=self._new_id(),
            allocation=found.allocation,
            relay=relay,
            peer=peer,
            wire_peer=wire_peer,
            state=state,
        )
        self._connections_by_id[connection.connection_id] = connection
        found.connections_by_wire_peer[wire_peer] = connection
        self._timers.set(connection.connection_id, later(now, self._timeout))
        return connection

    def _new_id(self) -> ConnectionId:
        while True:
            number = self._siblings.mark(self._entropy.below(_MAX_CONNECTION_ID), _MAX_CONNECTION_ID)
            connection_id = ConnectionId(number)
            if connection_id not in self._connections_by_id:
                return connection_id

    def _announce(self, connection: PeerConnection) -> None:
        """ConnectionAttempt (section 5.3), over the connection that the allocation belongs to."""
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        indication = MessageBuilder(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, transaction_id)
        indication.add(AttributeType.CONNECTION_ID, encode_uint32(connection.connection_id))
        indication.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(connection.peer, transaction_id))
        self._transmits.append(Transmit(connection.allocation.client, indication.build()))

    def _fail(self, connection: PeerConnection, refusal: Refusal) -> None:
        request, connection.request = connection.request, None
        if request is not None:
            self._outcomes.append(ConnectOutcome(connection, request, refusal))

    def _close(self, connection: PeerConnection) -> None:
        self._forget(connection)
        self._commands.append(ClosePeer(connection.connection_id))

    def _forget(self, connection: PeerConnection) -> None:
        del self._connections_by_id[connection.connection_id]
        self._timers.cancel(connection.connection_id)
        if connection.data_client is not None:
            del self._connections_by_data_client[connection.data_client]
        relay = self._relays_by_address.get(connection.relay)
        if relay is not None:
            del relay.connections_by_wire_peer[connection.wire_peer]


def _permitted(allocation: Allocation, wire_peer: SocketAddress) -> SocketAddress | None:
    """The peer as the client names it, None when it has no permission for it."""
    for permission in allocation.permissions_by_host.values():
        if permission.verdict.wire_host == wire_peer.host and permission.verdict.allows_port(wire_peer.port):
            return SocketAddress(permission.peer_host, wire_peer.port)
    return None
