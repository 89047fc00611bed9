"""Peer connections whose machine gets other addresses, as those of 127.0.0.0/8 that a test says it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from icelane import UdpMux
from icelane.aio import network_watch, system
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.device import Device
from icelane.aio.interfaces import Interface
from icelane.aio.mdns import MdnsResolver
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.stream import StreamConnection
from icelane.aio.udp_runs import RunUdpSocket
from icelane.core.clock import Instant
from icelane.core.net import Transport
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from tests.aio.peers import PATIENCE, Signaling, configured, until
from tests.loops import Run


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that this machine has, for peer connections; a test changes them."""
    hosts = ["127.0.0.1"]
    monkeypatch.setattr(
        "icelane.aio.chosen_interfaces.usable_interfaces", lambda **_: [Interface("lo", host) for host in hosts]
    )
    return hosts


class Sleep:
    """How long the machine has slept, in seconds."""

    passed = 0.0


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Sleep:
    """Lets time pass at once, by `sleep.passed`; it is noticed within a twentieth of a second."""
    monkeypatch.setattr(network_watch, "TICK", 0.05)
    awake, slept = system._read_clock, Sleep()
    monkeypatch.setattr(system, "_read_clock", lambda: awake() + slept.passed)
    return slept


ROAMING = configured(restart_on_network_change=True)


@asynccontextmanager
async def call(
    one: RTCConfiguration, other: RTCConfiguration
) -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection, RTCDataChannel, Signaling]]:
    """Two that have negotiated and go on doing it, and a channel whose other end sends back what comes."""
    async with (
        asyncio.timeout(PATIENCE * 3),
        RTCPeerConnection(one) as alice,
        RTCPeerConnection(other) as bob,
        Signaling(alice, bob) as signaling,
    ):
        bob.on("datachannel", lambda channel: channel.on("message", channel.send))
        channel = alice.createDataChannel("echo")
        await channel.opened()
        await signaling.stable()
        signaling.log.clear()
        yield alice, bob, channel, signaling


def has_told_all(pc: RTCPeerConnection) -> bool:
    """Whether gathering for what is being negotiated has ended: from here on new addresses are not told."""
    return pc.localDescription is not None and "a=end-of-candidates" in pc.localDescription.sdp


async def echo(channel: RTCDataChannel, text: str) -> None:
    channel.send(text)
    assert await asyncio.wait_for(channel.receive(), PATIENCE) == text


def addresses(pc: RTCPeerConnection) -> set[str]:
    return {base.host for base in pc._driver.bases}


async def consent_requests(pc: RTCPeerConnection) -> int:
    (pair,) = (await pc.getStats()).of_type("candidate-pair")
    assert isinstance(pair.consentRequestsSent, int)
    return pair.consentRequestsSent


def look(*peers: RTCPeerConnection) -> None:
    """The kernel says that something has changed."""
    for pc in peers:
        pc._driver._network.handle_network_change()


def test_where_it_is_asked_for_ice_restarts_when_the_address_moves(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, ROAMING) as (alice, bob, channel, signaling):
            machine[:] = ["127.0.0.2"]
            look(alice, bob)
            assert addresses(alice) == addresses(bob) == {"127.0.0.2"}
            await echo(channel, "from the new address")
            await signaling.stable()
            assert "offer" in signaling.log
            assert "127.0.0.2" in str(alice.security_report())
            assert alice.connectionState == bob.connectionState == "connected"

    run(scenario())


def test_a_change_while_a_call_is_being_set_up_is_made_good_at_once(run: Run, machine: list[str]) -> None:
    """Both have told each other addresses that are gone before the first check."""

    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with (
            asyncio.timeout(PATIENCE * 3),
            RTCPeerConnection(ROAMING) as alice,
            RTCPeerConnection(configured()) as bob,
            Signaling(alice, bob) as signaling,
        ):
            go_on = signaling.hold(alice)
            channel = alice.createDataChannel("x")
            await until(lambda: has_told_all(alice) and has_told_all(bob))
            machine[:] = ["127.0.0.2"]
            look(alice, bob)
            go_on()
            await asyncio.wait_for(channel.opened(), 5.0)
            await until(lambda: signaling.log.count("offer") == 2)

    run(scenario())


def test_so_is_a_change_in_the_middle_of_a_restart(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, configured()) as (alice, bob, channel, signaling):
            go_on = signaling.hold(alice)
            machine[:] = ["127.0.0.2"]
            look(alice, bob)
            await until(lambda: "answer" in signaling.log and has_told_all(alice) and has_told_all(bob))
            machine[:] = ["127.0.0.3"]
            look(alice, bob)
            go_on()
            channel.send("twice")
            assert await asyncio.wait_for(channel.receive(), 5.0) == "twice"
            await until(lambda: signaling.log.count("offer") == 2)

    run(scenario())


def test_otherwise_nobody_is_asked_and_nothing_is_stuck(run: Run, machine: list[str]) -> None:
    """The controlling side moves: it tries its new address on the paths that it knows, and needs no negotiation."""

    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(configured(), configured()) as (alice, _, channel, signaling):
            machine[:] = ["127.0.0.2"]
            look(alice)
            await echo(channel, "still here")
            await until(lambda: "127.0.0.2" in str(alice.security_report()))
            assert "offer" not in signaling.log

    run(scenario())


def test_a_path_that_nobody_replaces_ends_in_failed(run: Run, machine: list[str], sleep: Sleep) -> None:
    async def scenario() -> None:
        sleep.passed = 0.0
        machine[:] = ["127.0.0.1"]
        async with call(configured(), configured()) as (alice, _, _, signaling):
            machine.clear()
            look(alice)
            assert addresses(alice) == set()
            await until(lambda: alice.iceConnectionState == "disconnected")
            sleep.passed = 31.0  # longer than consent lasts
            await until(lambda: alice.iceConnectionState == "failed")
            assert "offer" not in signaling.log
            machine[:] = ["127.0.0.2"]
            look(alice)
            assert addresses(alice) == {"127.0.0.2"}

    run(scenario())


def test_a_restart_waits_until_there_is_an_address_again(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, configured()) as (alice, _, channel, signaling):
            machine.clear()
            look(alice)
            await signaling.stable()
            assert "offer" not in signaling.log
            machine[:] = ["127.0.0.3"]
            look(alice)
            await echo(channel, "back again")
            assert "offer" in signaling.log

    run(scenario())


def test_sockets_are_bound_anew_when_another_device_has_their_address(
    run: Run, machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that was pulled out and put in again, or was made part of a bridge."""
    devices = {"127.0.0.1": Device("missing0", 7)}  # which is missing, so that the routes decide after all
    monkeypatch.setattr("icelane.aio.peer_driver.chosen_devices", lambda *_: dict(devices))

    async def scenario() -> None:
        machine[:], devices["127.0.0.1"] = ["127.0.0.1"], Device("missing0", 7)
        async with call(ROAMING, ROAMING) as (alice, _, channel, signaling):
            before = alice._driver.bases
            look(alice)
            assert alice._driver.bases == before
            devices["127.0.0.1"] = Device("missing0", 8)
            look(alice)
            assert addresses(alice) == {"127.0.0.1"}
            assert alice._driver.bases != before
            await echo(channel, "by the same name")
            assert "offer" in signaling.log
            before = alice._driver.bases
            del devices["127.0.0.1"]
            alice.setConfiguration(configured(restart_on_network_change=True, addresses=["127.0.0.0/8"]))
            look(alice)
            assert alice._driver.bases != before
            await echo(channel, "by any")

    run(scenario())


def test_an_address_that_comes_beside_is_used_and_disturbs_nothing(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, ROAMING) as (alice, _, channel, signaling):
            machine[:] = ["127.0.0.1", "127.0.0.2"]
            look(alice)
            await echo(channel, "as before")
            await signaling.stable()
            assert addresses(alice) == {"127.0.0.1", "127.0.0.2"}
            assert "offer" not in signaling.log
            machine[:] = ["127.0.0.2"]
            look(alice)
            await echo(channel, "by the other one")
            assert addresses(alice) == {"127.0.0.2"}

    run(scenario())


def test_candidates_of_a_new_address_are_told_while_they_are_gathered(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        silent = RTCIceServer(urls="stun:127.0.0.1:9")
        async with RTCPeerConnection(configured(iceServers=[silent])) as pc:
            found: list[str] = []
            pc.on("icecandidate", lambda one: found.append(one.candidate) if one is not None else None)
            pc.createDataChannel("x")
            await pc.setLocalDescription()
            await until(lambda: found)
            assert pc.iceGatheringState == "gathering"
            machine.append("127.0.0.2")
            look(pc)
            await until(lambda: [one for one in found if " 127.0.0.2 " in one])

    run(scenario())


def test_a_send_that_fails_is_as_good_as_word_from_the_kernel(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, configured()) as (alice, _, channel, signaling):
            (udp,) = alice._driver._sockets_by_base.values()
            assert isinstance(udp, RunUdpSocket)

            def gone(*_: object) -> int:
                raise OSError(99, "Cannot assign requested address")

            machine[:] = ["127.0.0.2"]
            udp.sendto = gone
            alice._driver._network._looked_at = Instant(0.0)  # long ago
            channel.send("x")
            await until(lambda: addresses(alice) == {"127.0.0.2"})
            assert udp.closed
            assert await asyncio.wait_for(channel.receive(), PATIENCE) == "x"
            assert "offer" in signaling.log

    run(scenario())


def test_what_ran_out_while_the_machine_slept_is_noticed_at_once(run: Run, machine: list[str], sleep: Sleep) -> None:
    async def scenario() -> None:
        sleep.passed = 0.0
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, configured()) as (alice, bob, channel, signaling):
            states: list[str] = []
            alice.on("iceconnectionstatechange", lambda: states.append(alice.iceConnectionState))
            sleep.passed = 7200.0
            await until(lambda: "failed" in states)
            await echo(channel, "awake again")
            assert "offer" in signaling.log
            assert alice.connectionState == bob.connectionState == "connected"

    run(scenario())


def test_a_short_sleep_costs_nothing_where_the_path_is_still_there(run: Run, machine: list[str], sleep: Sleep) -> None:
    async def scenario() -> None:
        sleep.passed = 0.0
        machine[:] = ["127.0.0.1"]
        async with call(ROAMING, ROAMING) as (alice, _, channel, signaling):
            before = await consent_requests(alice)
            sleep.passed = 10.0
            await echo(channel, "awake again")

            async with asyncio.timeout(3):
                while await consent_requests(alice) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert alice.connectionState == "connected"
            assert "offer" not in signaling.log

    run(scenario())


def test_a_connection_with_a_turn_server_from_an_address_that_is_gone_is_given_up(
    run: Run, machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = {
        "realm": "example.org",
        "listen": ["tcp://127.0.0.1:0"],
        "relay_addresses": ["127.0.0.1"],
        "dangerously_allow_loopback_peers": True,
        "users": {"alice": "wonderland-and-back"},
    }

    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        monkeypatch.setattr("icelane.aio.peer_driver.gone_addresses", lambda _: set())
        async with TurnServer(parse_config({"turn": turn})) as server:
            url = f"turn:127.0.0.1:{server.listening[0].port}?transport={Transport.TCP.value}"
            servers = [RTCIceServer(urls=url, username="alice", credential="wonderland-and-back")]
            async with RTCPeerConnection(configured(iceServers=servers)) as pc:
                pc.createDataChannel("x")
                await pc.setLocalDescription()
                await pc.gathering_complete()
                (stream,) = pc._driver._streams_by_path.values()
                assert isinstance(stream, StreamConnection)
                look(pc)
                assert stream in pc._driver._streams_by_path.values()
                monkeypatch.setattr("icelane.aio.peer_driver.gone_addresses", set)
                look(pc)
                assert stream.closed
                await until(lambda: not pc._driver._streams_by_path)
                stats = await pc.getStats()
                assert {one.candidateType for one in stats.of_type("local-candidate")} == {"host"}

    run(scenario())


def test_the_sockets_of_a_mux_are_the_programs_and_stay(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with await UdpMux.open(hosts=["127.0.0.1"]) as mux, call(configured(udp_mux=mux), configured()) as parts:
            alice, _, channel, signaling = parts
            for hosts in (["127.0.0.1", "127.0.0.2"], ["127.0.0.2"]):
                machine[:] = hosts
                look(alice)
                assert addresses(alice) == {"127.0.0.1"}
                await echo(channel, "as before")
            assert "offer" not in signaling.log

    run(scenario())


def test_names_of_the_network_are_asked_for_on_the_links_that_there_are_now(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(configured(), configured()) as (alice, _, _, _):
            driver = alice._driver
            first = driver._mdns = MdnsResolver([Interface("lo", "127.0.0.1")])
            look(alice)
            assert driver._mdns is first
            machine[:] = ["127.0.0.2"]
            look(alice)
            assert driver._mdns is None

    run(scenario())


def test_nothing_is_watched_any_more_after_the_end(run: Run, machine: list[str]) -> None:
    async def scenario() -> None:
        machine[:] = ["127.0.0.1"]
        async with call(configured(), configured()) as (alice, bob, _, _):
            assert len(network_watch._watches) == 1
        assert not network_watch._watches
        look(alice, bob)
        assert addresses(alice) == set()

    run(scenario())
