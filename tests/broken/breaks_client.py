"""Weaknesses of the TURN client and of the sockets under client and server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from icelane.aio import stream, udp
from icelane.aio.stream import StreamConnection
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress
from icelane.stun.message import Message
from icelane.turn import redirect
from icelane.turn.client import TurnClient
from icelane.turn.client_peer import PeerTable
from icelane.turn.exchange import Exchanges
from tests.broken.registry import breaks, swap

CLIENT = "tests/turn/test_client.py"
UDP = "tests/aio/test_udp.py"
STREAM = "tests/aio/test_stream.py"


@breaks("IC-12", test=(f"{CLIENT}::test_a_redirection_into_a_network_of_ours_is_refused",
                       f"{CLIENT}::test_redirections_in_a_circle_and_more_than_three_are_refused"))  # fmt: skip
def a_server_redirects_wherever_it_likes() -> None:
    swap(redirect, "check_redirect", lambda *_, **__: None)


@breaks("IC-12", test=f"{CLIENT}::test_through_a_proxy_no_redirection_leads_into_the_network_behind_it")
def a_proxy_stands_for_the_server_it_leads_to() -> None:
    follow = redirect.check_redirect
    swap(redirect, "check_redirect", lambda visited, target, **_: follow(visited, target))


@breaks("IC-12", test=f"{CLIENT}::test_a_redirection_within_the_class_of_the_first_server_is_followed")
def no_redirection_leads_to_a_private_network() -> None:
    follow = redirect.check_redirect

    def check(visited: list[SocketAddress], target: SocketAddress, **_: bool) -> None:
        follow([SocketAddress("8.8.8.8", 3478), *visited], target)

    swap(redirect, "check_redirect", check)


@breaks("TA-14", "ST-5", test=(f"{CLIENT}::test_an_unsigned_success_over_udp_is_as_if_it_never_came",
                               f"{CLIENT}::test_a_forged_answer_over_tcp_ends_the_request_at_once"))  # fmt: skip
def the_client_does_not_judge_responses() -> None:
    judge = Exchanges._judge

    def without_authentication(self: Exchanges[Any], message: Message, exchange: Any) -> Any:
        if exchange.key is not None:
            self._authentication = None
        return judge(self, message, exchange)

    swap(Exchanges, "_judge", without_authentication)


@breaks("TR-8", test=f"{CLIENT}::test_data_comes_in_by_both_ways_from_permitted_peers_only")
def the_client_takes_data_from_anybody() -> None:
    swap(PeerTable, "permits", lambda *_: True)


@breaks("TR-8", test=f"{CLIENT}::test_nothing_is_taken_from_anywhere_but_the_server")
def the_client_takes_messages_from_anywhere() -> None:
    handle: Callable[..., None] = TurnClient.handle_datagram

    def from_anywhere(self: TurnClient, data: bytes, path: Path, now: Instant) -> None:
        handle(self, data, self.path, now)

    swap(TurnClient, "handle_datagram", from_anywhere)


@breaks("TR-2", test=f"{UDP}::test_an_ipv6_socket_never_reaches_ipv4")
def ipv6_sockets_reach_ipv4() -> None:
    opened = udp._open

    def both(address: SocketAddress, *rest: Any) -> socket.socket:
        found = opened(address, *rest)
        if found.family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return found

    swap(udp, "_open", both)


@breaks(
    "TQ-9", test=f"{STREAM}::test_relayed_data_is_dropped_and_control_ends_the_connection_when_the_peer_does_not_read"
)
def a_stalled_stream_is_buffered_without_end() -> None:
    stream.MAX_RELAY_BUFFER = 1 << 40  # type: ignore[misc]  # broken on purpose


@breaks("TL-3", test=f"{STREAM}::test_a_stream_of_something_else_is_closed_at_once")
def a_foreign_stream_is_kept_open() -> None:
    swap(StreamConnection, "abort", lambda *_: None)
