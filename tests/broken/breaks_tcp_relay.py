"""TCP allocations that let in whom they should not, or keep what they should let go."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress
from icelane.server.splice import Flow
from icelane.stun.message import Message, Method
from icelane.turn import request, server, tcp_relay
from icelane.turn.allocation import Allocation
from icelane.turn.authentication import Identity
from icelane.turn.request import parse_connect
from icelane.turn.routes import ConnectionId
from icelane.turn.tcp_relay import ConnectionState, ConnectRequest, PeerConnections
from tests.broken.registry import breaks, swap

ENGINE = "tests/turn/test_tcp_relay.py"
PLANE = "tests/server/test_tcp_relay_plane.py"
WIRE = "tests/server/test_peer_policy_on_the_wire.py"


@breaks("TR-9", test=f"{ENGINE}::test_tcp_allocations_are_off_unless_they_are_turned_on")
def tcp_allocations_are_on_for_everybody() -> None:
    check = request._requested_transport
    swap(request, "_requested_transport", lambda message, tcp_allocations: check(message, True))


@breaks("TR-9", test=(f"{ENGINE}::test_only_the_user_of_the_allocation_may_bind_its_connections",
                      f"{PLANE}::test_another_user_does_not_get_the_connection"))  # fmt: skip
def anybody_may_bind_a_connection() -> None:
    bind = PeerConnections.bind

    def bind_for_owner(self: PeerConnections, connection_id: ConnectionId, client: Path, username: str) -> None:
        connection = self._connections_by_id.get(connection_id)
        bind(self, connection_id, client, connection.allocation.username if connection is not None else username)

    swap(PeerConnections, "bind", bind_for_owner)


@breaks(
    "TA-9",
    "TA-11",
    test=(
        f"{ENGINE}::test_a_connection_is_bound_by_the_credential_of_its_allocation_after_that_has_expired",
        f"{ENGINE}::test_a_connection_is_bound_by_the_credential_of_its_allocation_after_its_secret_was_removed",
    ),
)
def a_connection_is_bound_by_whatever_credentials_count_now() -> None:
    swap(PeerConnections, "owner_of", lambda self, connection_id: None)


@breaks("TR-9", test=f"{ENGINE}::test_a_connection_is_bound_once")
def a_connection_may_be_bound_again() -> None:
    bind = PeerConnections.bind

    def bind_again(self: PeerConnections, connection_id: ConnectionId, client: Path, username: str) -> None:
        connection = self._connections_by_id.get(connection_id)
        if connection is not None:
            connection.state = ConnectionState.UNBOUND
        bind(self, connection_id, client, username)

    swap(PeerConnections, "bind", bind_again)


@breaks("TR-9", test=(f"{ENGINE}::test_a_connection_that_nobody_binds_is_closed_after_thirty_seconds",
                      f"{PLANE}::test_connections_that_nobody_binds_are_closed_in_time"))  # fmt: skip
def connections_wait_for_ever() -> None:
    swap(PeerConnections, "next_timeout", lambda self: None)
    swap(PeerConnections, "handle_timeout", lambda self, now: None)


@breaks("TR-9", test=(f"{ENGINE}::test_a_peer_without_permission_that_connects_is_closed_in_silence",
                      f"{PLANE}::test_a_peer_that_connects_is_let_in_with_a_permission_only"))  # fmt: skip
def every_peer_may_connect() -> None:
    def permitted(allocation: Allocation, wire_peer: SocketAddress) -> SocketAddress:
        return wire_peer

    swap(tcp_relay, "_permitted", permitted)


@breaks("TR-1", "TR-9", test=(f"{ENGINE}::test_connect_goes_nowhere_that_a_permission_would_not",
                              f"{WIRE}::test_no_method_sends_a_packet_to_a_peer_that_is_refused"))  # fmt: skip
def connect_does_not_ask_the_policy() -> None:
    def connect(self: server.TurnServer, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        peer = parse_connect(message)
        (relay,) = self._existing(path).relays.values()
        self._connections.connect(relay.local, peer, peer, ConnectRequest(message, identity), now)

    server._HANDLERS[Method.CONNECT] = connect


@breaks("TR-7", test=f"{ENGINE}::test_a_changed_policy_closes_connections_with_whom_it_refuses")
def connections_outlive_the_policy() -> None:
    swap(PeerConnections, "apply_policy", lambda self, policy: None)


@breaks("TR-9", "TR-12", test=f"{ENGINE}::test_the_end_of_the_allocation_ends_its_connections")
def connections_outlive_the_allocation() -> None:
    swap(PeerConnections, "close_relay", lambda self, relay: None)


@breaks("TQ-9", test=f"{PLANE}::test_a_side_that_does_not_read_makes_the_other_wait_and_loses_nothing")
def a_stalled_side_is_buffered_for() -> None:
    swap(Flow, "set_full", lambda self, full: None)
