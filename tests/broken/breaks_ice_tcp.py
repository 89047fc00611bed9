"""Candidates of TCP, and lite agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from icelane.aio import ice_streams
from icelane.aio.configuration import RTCConfiguration
from icelane.aio.device import Device
from icelane.aio.ice_streams import IceStream, IceStreams
from icelane.aio.interfaces import Interface
from icelane.core.clock import Instant
from icelane.core.net import SocketAddress
from icelane.ice import checklist, connections
from icelane.ice.connections import Connections
from icelane.ice.event import IceRole
from icelane.ice.role import RoleArbiter
from icelane.peer.ice_transport import IceTransport
from tests.broken.registry import breaks, swap

AGENT = "tests/ice/test_tcp_agent.py"
STREAMS = "tests/aio/test_ice_streams.py"


@breaks("IC-3", test=f"{STREAMS}::test_who_does_not_begin_with_a_check_is_closed_and_forgotten[asyncio-DTLS]")
def connections_are_accepted_without_a_proof() -> None:
    def take(self: IceStreams, stream: IceStream, first: bytes) -> bool:
        self.handle_datagrams(stream, [first])
        return True

    swap(IceStreams, "prove", take)


@breaks("IC-3", test=f"{STREAMS}::test_who_does_not_begin_with_a_check_is_closed_and_forgotten[asyncio-HTTP]")
def a_first_frame_may_have_any_length() -> None:
    swap(ice_streams, "FIRST_FRAME", 65_535)


@breaks("IC-3", test=f"{STREAMS}::test_who_says_nothing_is_closed_at_the_deadline[asyncio]")
def who_says_nothing_may_stay() -> None:
    opened = IceStreams.stream_opened

    def without_a_deadline(self: IceStreams, stream: IceStream) -> None:
        opened(self, stream)
        self._cancel_deadline(stream)

    swap(IceStreams, "stream_opened", without_a_deadline)


@breaks("IC-3", test=f"{STREAMS}::test_one_source_has_few_connections_that_prove_nothing[asyncio]")
def one_source_may_have_any_number_of_connections() -> None:
    swap(IceStreams, "_admits", lambda *_: True)


@breaks("IC-6", test=f"{AGENT}::test_nobody_has_us_connect_to_a_port_of_the_system[25]")
def any_port_is_knocked_at() -> None:
    swap(checklist, "LOWEST_TCP_PORT", 1)


@breaks("IC-6", test=f"{AGENT}::test_connections_are_begun_no_faster_than_checks_and_no_more_than_the_bound_at_once")
def any_number_of_connections_is_under_way() -> None:
    swap(connections, "MAX_OPENING", 1000)
    swap(Connections, "full", property(lambda _: False))


@breaks("IC-8", test=f"{STREAMS}::test_with_relay_only_nothing_listens_and_nothing_of_tcp_is_told[asyncio]")
def relay_only_listens_all_the_same() -> None:
    find = IceStreams.find_bases

    async def find_always(
        self: IceStreams,
        interfaces: Sequence[Interface],
        devices: Mapping[str, Device],
        configuration: RTCConfiguration,
        tell: Callable[[Callable[[Instant], None]], None],
    ) -> None:
        await find(self, interfaces, devices, replace(configuration, iceTransportPolicy="all"), tell)

    swap(IceStreams, "find_bases", find_always)


@breaks(
    "IC-8",
    test="tests/scenarios/test_peers_connect_over_tcp.py::test_relay_only_makes_no_connection_and_names_no_candidate",
)
def relay_only_has_candidates_of_tcp() -> None:
    def add(self: IceTransport, base: SocketAddress, tcp_type: str, preference: int, now: Instant) -> None:
        self._tcp_bases.add(base)
        for candidate in self._make.tcp(base, tcp_type, preference):
            self._add_local(candidate, base, None, now)
        self._settle(now)

    swap(IceTransport, "add_tcp_base", add)


@breaks("IC-11", test="tests/ice/test_lite.py::test_the_full_agent_stays_in_control_whatever_a_lite_peer_claims")
def a_lite_peer_may_fight_for_control() -> None:
    def change(self: RoleArbiter, role: IceRole) -> bool:
        self.role = role
        return True

    swap(RoleArbiter, "_change", change)
