"""Names in place of our addresses, on real links and over loopback."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace

import pytest

from icelane import RTCConfiguration, RTCPeerConnection, UdpMux
from icelane.aio import mdns_responder
from icelane.aio.interfaces import Interface
from icelane.aio.mdns import MdnsResolver
from icelane.aio.mdns_responder import MdnsResponder, is_on_link
from icelane.errors import InvalidModificationError
from icelane.ice.candidate import is_mdns_name
from tests.aio.peers import LOOPBACK, configured, connect, pair
from tests.loops import Run
from tests.server.namespaces import run_module

NAME = "6a1f4c1e-0000-4000-8000-000000000000.local"
OTHER = "6a1f4c1e-0000-4000-8000-000000000001.local"
LO = [Interface("lo", "127.0.0.1")]
HIDDEN = configured(hide_addresses=True, addresses=["127.0.0.1"])


@pytest.mark.parametrize("family", ["4", "6"])
def test_a_neighbour_finds_who_hides_and_another_link_learns_nothing(family: str) -> None:
    """IC-9: over IPv4 and over IPv6 alone; no address in anything that is told, nor in the log at info."""
    found = json.loads(run_module("tests.aio.hidden_addresses", family))
    assert len(found["names"]) == 2
    assert all(is_mdns_name(name) for name in found["names"])
    near, far = found["answered"]
    assert sorted([*near, *far]) == found["names"], "each name is known on its own link"
    assert [*near.values(), *far.values()] == found["hosts"]
    assert found["hosts"][0] in found["reached"], "the neighbour came straight"
    assert any(name in text for name in found["names"] for text in found["told"])
    told = [*found["told"], *found["logs"]]
    assert [host for host in found["hosts"] for text in told if host in text] == []
    assert found["left"] == 0


def test_two_that_hide_find_each_other_and_share_a_socket(run: Run) -> None:
    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))
        async with pair(HIDDEN, HIDDEN) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            responder = MdnsResponder.of_this_loop()
            assert len(responder._names) == 2
            assert len(responder._sockets_by_link) == 1
            for pc in (alice, bob):
                stats = await pc.getStats()
                for one in stats.of_type("local-candidate"):
                    assert is_mdns_name(str(one.address))
                with pytest.raises(InvalidModificationError, match="hide_addresses"):
                    pc.setConfiguration(LOOPBACK)
        assert not mdns_responder._RESPONDERS
        assert responder._sockets_by_link == {}
        assert len(os.listdir("/proc/self/fd")) <= before

    run(main())


def test_names_are_fresh_for_each_connection(run: Run) -> None:
    """IC-9: two of them cannot be told to be the same machine's."""

    async def main() -> None:
        names = set()
        for _ in range(3):
            async with RTCPeerConnection(HIDDEN) as pc:
                pc.createDataChannel("any")
                await pc.setLocalDescription()
                await pc.gathering_complete()
                assert pc.localDescription is not None
                names |= {word for word in pc.localDescription.sdp.split() if word.endswith(".local")}
        assert len(names) == 3

    run(main())


def test_an_end_at_once_takes_the_names_along(run: Run) -> None:
    async def main() -> None:
        pc = RTCPeerConnection(HIDDEN)
        pc.createDataChannel("any")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert mdns_responder._RESPONDERS
        await pc.close(timeout=0)
        assert not mdns_responder._RESPONDERS

    run(main())


def test_names_stand_for_the_addresses_of_a_shared_port_too(run: Run) -> None:
    async def main() -> None:
        async with await UdpMux.open(hosts=["127.0.0.1"]) as mux:
            hidden = RTCConfiguration(hide_addresses=True, udp_mux=mux)
            async with pair(hidden, replace(LOOPBACK, addresses=["127.0.0.1"])) as (alice, bob):
                alice.createDataChannel("chat")
                await connect(alice, bob)
                (remote,) = {one.address for one in (await bob.getStats()).of_type("remote-candidate")}
                assert remote == "127.0.0.1", "it was resolved"
                assert alice.localDescription is not None
                assert f".local {mux.port} typ host" in alice.localDescription.sdp

    run(main())


def test_a_name_is_known_as_long_as_it_is_published(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.aio.mdns.TIMEOUT", 0.5)

    async def main() -> None:
        responder, resolver = MdnsResponder.of_this_loop(), MdnsResolver(LO)
        responder.publish(NAME, "127.0.0.1", LO)
        responder.publish(OTHER, "127.0.0.1", LO)
        for name in (NAME, OTHER):
            assert await resolver.resolve(name) == "127.0.0.1"
        responder.withdraw(NAME)
        assert await resolver.resolve(NAME) is None
        assert MdnsResponder.of_this_loop() is responder
        responder.withdraw(OTHER)
        responder.withdraw(OTHER)
        assert MdnsResponder.of_this_loop() is not responder
        resolver.close()

    run(main())


@pytest.mark.parametrize("family", ["4", "6"])
def test_an_interface_that_went_and_came_back_answers_again(family: str) -> None:
    """It has another number, and whoever was in the group on the old one is in none on the new."""
    assert json.loads(run_module("tests.aio.mdns_returning", family)) == {
        "before": [True], "back": [True, True], "moved": [True], "looked": [True], "sockets": 1,
    }  # fmt: skip


def test_a_connection_has_its_names_looked_after_when_the_network_has_changed(run: Run) -> None:
    async def main() -> None:
        async with RTCPeerConnection(HIDDEN) as pc:
            pc.createDataChannel("any")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            held_by_link = MdnsResponder.of_this_loop()._sockets_by_link
            ((link, first),) = held_by_link.items()
            pc._driver.look_at_interfaces()
            assert held_by_link[link] is first, "nothing has changed"
            held_by_link[link] = first._replace(number=first.number + 1_000)  # what came back would have another one
            pc._driver.look_at_interfaces()
            assert held_by_link[link].number == first.number
            assert first.socket.fileno() == -1, "closed"

    run(main())


def test_a_link_without_multicast_is_told_of_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(host: str) -> None:
        raise OSError(19, "No such device")

    monkeypatch.setattr("icelane.aio.mdns_responder.open_on_address", fail)

    async def main() -> None:
        responder = MdnsResponder.of_this_loop()
        for name in (NAME, OTHER):
            responder.publish(name, "127.0.0.1", LO)
        responder.publish("unknown.local", "192.0.2.99", LO)
        for name in (NAME, OTHER):
            responder.withdraw(name)

    run(main())
    assert caplog.messages == ["names in place of addresses cannot be answered for on lo: [Errno 19] No such device"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_direct_answers_stay_on_the_link() -> None:
    assert is_on_link(("192.0.2.1", 5353)), "its socket does not route"
    assert is_on_link(("fe80::1%eth0", 5353, 0, 2))
    assert is_on_link(("::1", 5353, 0, 0))
    assert not is_on_link(("2001:db8::1", 5353, 0, 0))
