"""Chromium behind a symmetric NAT that lets no UDP out, and our peer behind another NAT: TURN in TLS on port 443.

In half of the calls neither is told to use the relay alone: it is what is left of all paths.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest

from icelane.testing.lab import Firewall, Host, Nat, Network
from tests.interop.peers.calls import assert_bytes_arrive_unchanged, connect
from tests.interop.peers.remote import RemotePeer
from tests.interop.peers.stage import Stage, stage
from tests.testing.lab.sockets import connect as connect_by_tcp
from tests.testing.lab.sockets import datagrams, echoing, source_seen

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAYLOAD: Final = 2_000_000  # bytes each way
TLS_PORT: Final = 443
ECHO_PORT: Final = 7

OFFICE: Final = Network("office", Host("left"), nat=Nat.SYMMETRIC, firewall=Firewall.UDP_BLOCKED)
HOME: Final = Network("home", Host("right"), nat=Nat.PORT_PRESERVING)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), OFFICE, HOME, tls_port=TLS_PORT) as ready:
        yield ready


def test_the_office_lets_no_udp_out_and_changes_the_port_of_tcp_and_the_home_keeps_that_of_udp(scene: Stage) -> None:
    """Or the calls below would show less than they say."""
    lab = scene.lab
    with datagrams(lab["relay"]) as receiver, datagrams(lab["left"]) as left, datagrams(lab["right"]) as right:
        assert source_seen(left, receiver) is None
        assert source_seen(right, receiver) == (lab["home"].ipv4, right.getsockname()[1])
    relay = lab["relay"].ipv4
    assert relay is not None
    with echoing(lab["relay"], ECHO_PORT) as came:
        opened = connect_by_tcp(lab["left"], relay, ECHO_PORT)
        assert opened is not None
        with opened:
            opened.sendall(b"hello")
            assert opened.recv(5) == b"hello"
            ((host, port),) = came
            assert host == lab["office"].ipv4
            assert port != opened.getsockname()[1]


@pytest.mark.parametrize("policy", ["all", "relay"])
@pytest.mark.parametrize("they_offer", [True, False], ids=["Chromium calls", "Chromium is called"])
def test_they_call_each_other_through_turn_in_tls_on_port_443(scene: Stage, policy: str, they_offer: bool) -> None:
    async def call() -> None:
        async with scene.peers("chromium", "icelane") as (theirs, ours):
            await theirs.start([scene.relay_by("tls")], policy)
            await ours.start([scene.relay_by("tls")], policy)
            await connect(*((theirs, ours) if they_offer else (ours, theirs)), trickle=True)
            await assert_bytes_arrive_unchanged(theirs, ours, PAYLOAD)
            await asyncio.gather(assert_relayed_over_tls(scene, theirs), assert_relayed_over_tls(scene, ours))

    lab = scene.lab
    with lab["office"].capture() as of_office, lab["home"].capture() as of_home:
        scene.run(call())
    assert scene.relay.tls_port == TLS_PORT
    way = ("tcp", scene.relay.host, TLS_PORT)
    assert of_office.sent() == {way}
    assert way in of_home.sent()
    if policy == "relay":
        assert of_home.sent() == {way}


async def assert_relayed_over_tls(scene: Stage, peer: RemotePeer) -> None:
    pair = await peer.selected_pair()
    assert pair is not None
    assert (pair.local, pair.relay_protocol) == ("relay", "tls")
    assert pair.remote in ("relay", "prflx")  # the latter when a check came before the candidate
    assert (pair.local_address, pair.remote_address) == (scene.relay.host, scene.relay.host)
