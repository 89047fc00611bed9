"""A server that is right on paper and wrong on its sockets."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import socket
from typing import Any

from icelane.aio import stream, udp
from icelane.aio.udp import UdpSocket
from icelane.core.clock import Instant
from icelane.core.net import AddressFamily, Path, SocketAddress, canonical_host
from icelane.server.bandwidth import Meter, PythonBucket
from icelane.server.relay_plane import RelayedClient, RelaySocket
from icelane.server.turn_server import TurnServer as RunningServer
from icelane.stun.message import Message
from icelane.turn import server
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.binding import BindingAnswers
from icelane.turn.limiter import Allowance, SourceLimiter
from icelane.turn.peer_policy import PeerPolicy, Verdict
from icelane.turn.quota import AllocationQuota, QuotaSlot
from icelane.turn.refusal import Refusal
from icelane.turn.server import TurnServer
from icelane.turn.translation import parse_send_indication
from tests.broken.registry import breaks, swap

WIRE = "tests/server/test_peer_policy_on_the_wire.py::test_no_method_sends_a_packet_to_a_peer_that_is_refused"
PLANE = "tests/server/test_relay_plane.py"
SERVER = "tests/server/test_turn_server.py"
MONITORING = "tests/server/test_monitoring.py"
STREAMS = "tests/server/test_listeners.py"
FLOODS = "tests/server/test_floods.py"
ICMP = "tests/aio/test_icmp.py"


@breaks("TR-1", test=(f"{WIRE}[closed-udp]", f"{PLANE}::test_nothing_passes_without_a_permission_or_a_channel"))
def the_plane_sends_to_whom_a_client_likes() -> None:
    def relay_send(self: RelayedClient, data: bytes) -> None:
        indication = parse_send_indication(data)
        for relay in self.relays.values():
            assert isinstance(relay, RelaySocket)
            relay.send(indication.payload, tuple(indication.peer), indication.dont_fragment)

    swap(RelayedClient, "_relay_send", relay_send)


@breaks("TR-1", "TR-6", test=(f"{WIRE}[open-udp]", f"{WIRE}[open-tcp]"))
def the_running_server_opens_what_is_hard() -> None:
    check_host = PeerPolicy.check_host

    def lenient(self: PeerPolicy, host: str, family: AddressFamily) -> Verdict:
        verdict = check_host(self, host, family)
        return Verdict(allowed=True, wire_host=canonical_host(host)) if verdict.code == 403 else verdict

    swap(PeerPolicy, "check_host", lenient)


@breaks("TR-1", test=f"{WIRE}[closed-tcp]")
def the_running_server_binds_channels_unasked() -> None:
    handle = TurnServer._handle_channel_bind

    def unasked(self: TurnServer, *arguments: Any) -> None:
        policy, self._policy = self._policy, PeerPolicy(allow=("0.0.0.0/0", "::/0"))
        try:
            handle(self, *arguments)
        finally:
            self._policy = policy

    swap(TurnServer, "_handle_channel_bind", unasked)
    server._HANDLERS[9] = unasked


@breaks("TR-3", test=f"{WIRE}[closed-udp]")
def the_running_server_installs_permissions_one_by_one() -> None:
    judge = TurnServer._judge

    def at_once(self: TurnServer, allocation: Any, peer: SocketAddress, check: Any) -> Any:
        relay, verdict = judge(self, allocation, peer, check)
        self._table.permit(allocation, peer.host, relay, verdict, Instant(1e12))
        return relay, verdict

    swap(TurnServer, "_judge", at_once)


@breaks("TR-5", test=f"{MONITORING}::test_the_port_of_the_figures_is_no_peer_even_where_loopback_is_open[uvloop]")
def clients_are_kept_from_the_ports_of_clients_alone() -> None:
    swap(RunningServer, "_bound", lambda self: {listener.local for listener in self._listeners})


@breaks("TR-5", test=f"{SERVER}::test_send_indications_to_own_listeners_are_dropped_though_the_host_is_permitted")
def the_plane_asks_for_the_host_alone() -> None:
    swap(Verdict, "allows_port", lambda self, port: self.allowed)


@breaks("TR-5", test=f"{PLANE}::test_two_clients_behind_one_to_one_nat_reach_each_other_by_external_addresses")
def the_plane_knows_no_external_addresses() -> None:
    def permitted(self: RelaySocket, source: SocketAddress) -> SocketAddress | None:
        return source if source.host in self._permissions_by_wire_host else None

    swap(RelaySocket, "_permitted", permitted)


@breaks("TR-8", test=f"{PLANE}::test_nothing_passes_without_a_permission_or_a_channel")
def the_plane_takes_data_from_anybody() -> None:
    swap(RelaySocket, "_permitted", lambda self, source: source)


@breaks("TR-8", test=f"{PLANE}::test_permissions_channels_and_allocations_expire_without_any_traffic")
def the_plane_keeps_the_routes_that_expired() -> None:
    swap(RelaySocket, "remove_permission", lambda self, route: None)
    swap(RelaySocket, "remove_channel", lambda self, number, peer: None)


@breaks("TR-14", test=f"{ICMP}::test_a_datagram_that_is_too_long_is_dropped_and_leaves_the_loop_in_peace")
def nobody_reads_the_queue_of_errors() -> None:
    swap(UdpSocket, "_take_reports", lambda self: None)


_kept: list[Any] = []


@breaks("TQ-1", test=f"{FLOODS}::test_binding_requests_from_many_sources_are_all_answered_and_leave_nothing[uvloop]")
def whoever_asks_for_a_binding_is_remembered() -> None:
    answer = BindingAnswers.answer

    def remember(self: BindingAnswers, message: Message, path: Path, now: Instant) -> None:
        _kept.append((path, message, bytearray(2048)))
        answer(self, message, path, now)

    swap(BindingAnswers, "answer", remember)


@breaks("TQ-2", test=f"{FLOODS}::test_unauthenticated_allocates_leave_nothing_and_keep_nobody_out[scaled-uvloop]")
def a_port_is_opened_before_anybody_is_asked_who_he_is() -> None:
    refuse = TurnServer._refuse

    def opened(self: TurnServer, refusal: Refusal, *rest: Any) -> None:
        if len(_kept) < 1000:
            _kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        refuse(self, refusal, *rest)

    swap(TurnServer, "_refuse", opened)


@breaks("TQ-3", test=f"{FLOODS}::test_challenges_to_one_source_stop_and_nobody_else_notices")
def the_running_server_challenges_without_limit() -> None:
    swap(SourceLimiter, "allow", lambda self, host, now: Allowance(True))


@breaks("TQ-5", test=f"{SERVER}::test_the_quota_of_the_configuration_reaches_the_engine")
def the_quota_of_the_configuration_is_forgotten() -> None:
    swap(AllocationQuota, "reserve", lambda self, user_key: QuotaSlot(user_key, held=False))


@breaks("TQ-6", test=f"{FLOODS}::test_every_relay_port_is_usable_again_after_all_were_taken[uvloop]")
def relay_sockets_stay_open() -> None:
    def forget(self: RelaySocket) -> None:
        _kept.append(self)

    swap(RelaySocket, "close", forget)


@breaks("TQ-9", test=f"{SERVER}::test_an_allocation_beyond_its_limit_is_throttled_and_another_loses_nothing")
def everything_is_admitted() -> None:
    swap(Meter, "admit", lambda self, size, now: True)


@breaks(
    "TQ-9",
    test=(
        "tests/server/test_bandwidth.py::test_allocating_again_and_again_gains_nothing",
        f"{SERVER}::test_allocating_again_and_again_does_not_renew_what_a_user_may_send[uvloop]",
    ),
)
def a_user_is_forgotten_with_the_last_allocation() -> None:
    # A bucket that is full already is forgotten at once.
    swap(PythonBucket, "full_at", lambda self, now: now)


@breaks("TQ-9", test=f"{STREAMS}::test_a_client_that_does_not_read_costs_a_bounded_buffer_and_loses_packets")
def a_stalled_client_may_have_any_buffer() -> None:
    swap(stream, "MAX_RELAY_BUFFER", 1 << 40)


@breaks("OP-7", test=f"{SERVER}::test_stepping_the_wall_clock_moves_no_lifetime")
def allocations_end_by_the_calendar() -> None:
    def handle_timeout(self: TurnServer, now: Instant) -> None:
        calendar = self._authenticator._wall_clock
        started = _kept[0] if _kept else calendar.unix_time(now)
        _kept.append(started)
        if abs(calendar.unix_time(now) - started) > 600:
            self.close()

    swap(TurnServer, "handle_timeout", handle_timeout)


@breaks("TR-2", test=f"{PLANE}::test_an_ipv6_relay_socket_never_reaches_ipv4")
def relay_sockets_reach_ipv4_by_mapped_addresses() -> None:
    opened = udp._open

    def both(address: SocketAddress, *rest: Any) -> socket.socket:
        found = opened(address, *rest)
        if found.family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return found

    swap(udp, "_open", both)


@breaks("TR-8", test=f"{PLANE}::test_permissions_channels_and_allocations_expire_without_any_traffic")
def nothing_expires() -> None:
    swap(AllocationTable, "handle_timeout", lambda self, now: None)
