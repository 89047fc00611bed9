"""Many connections on one UDP port of loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from icelane import UdpMux
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.event_target import Event
from icelane.aio.interfaces import Interface
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    SyntaxError_,
    TransportClosedError,
)
from icelane.ice.check import Check, encode_check
from icelane.peer.reflexive import PROBE_TIMEOUT
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_text
from icelane.stun.message import MessageBuilder, MessageClass, Method
from tests.aio.peers import LOOPBACK, PATIENCE, configured, connect, exchange, until
from tests.loops import Run
from tests.server.clients import PASSWORD, USER, address_on, settings

HOST = "127.0.0.1"


@asynccontextmanager
async def shared(**more: Any) -> AsyncIterator[tuple[UdpMux, RTCConfiguration]]:
    """A mux on loopback, and the configuration of connections on it."""
    async with asyncio.timeout(PATIENCE * 3), await UdpMux.open(hosts=[HOST]) as mux:
        yield mux, configured(udp_mux=mux, **more)
        if mux.addresses:
            await until(lambda: mux.connections == 0)
            assert held(mux) == 0


def held(mux: UdpMux) -> int:
    """What its tables hold."""
    return sum(one.table.held for one in mux._sockets)


@asynccontextmanager
async def call(
    caller: RTCConfiguration, callee: RTCConfiguration
) -> AsyncIterator[tuple[RTCPeerConnection, RTCDataChannel, RTCPeerConnection, RTCDataChannel]]:
    """Two connections and both ends of their channel."""
    async with RTCPeerConnection(caller) as alice, RTCPeerConnection(callee) as bob:
        announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        bob.on("datachannel", announced.set_result)
        near = alice.createDataChannel("chat")
        await connect(alice, bob)
        yield alice, near, bob, await announced


async def assert_they_talk(near: RTCDataChannel, far: RTCDataChannel, text: str = "hello") -> None:
    await near.opened()
    near.send(text)
    assert await far.receive() == text
    far.send(text)
    assert await near.receive() == text


def selected_port(pc: RTCPeerConnection) -> int:
    """Of our end."""
    assert pc.sctp is not None
    pair = pc.sctp.transport.iceTransport.getSelectedCandidatePair()
    assert pair is not None
    assert pair.local.port is not None
    return pair.local.port


def test_several_connections_share_a_port_and_each_gets_its_own(run: Run) -> None:
    async def main() -> None:
        async with shared() as (mux, on_mux), AsyncExitStack() as stack:
            calls = []
            for number in range(6):
                # Both who offers and who answers may be on the port.
                pair = (LOOPBACK, on_mux) if number % 2 else (on_mux, LOOPBACK)
                calls.append(await stack.enter_async_context(call(*pair)))
            assert mux.connections == 6
            for number, (alice, near, bob, far) in enumerate(calls):
                await assert_they_talk(near, far, f"call {number}")
                assert mux.port in (selected_port(alice), selected_port(bob))
                ours = bob if number % 2 else alice
                assert ours._driver.bases == [SocketAddress(HOST, mux.port)]

    run(main())


def test_bytes_arrive_unchanged_and_in_runs(run: Run) -> None:
    async def main() -> None:
        async with shared() as (_, on_mux), call(LOOPBACK, on_mux) as (_, near, _, far):
            chunks = [bytes([number]) * 60_000 for number in range(100)]
            for source, sink in ((near, far), (far, near)):
                for chunk in chunks:
                    source.send(chunk)
                assert [await sink.receive() for _ in chunks] == chunks

    run(main())


def test_a_lite_agent_serves_all_of_its_peers_on_one_port(run: Run) -> None:
    """It checks nobody, so a source is validated by the nomination; what comes before that is held."""

    async def main() -> None:
        async with shared(ice_lite=True) as (mux, on_mux), AsyncExitStack() as stack:
            calls = [await stack.enter_async_context(call(LOOPBACK, on_mux)) for _ in range(4)]
            for number, (_, near, bob, far) in enumerate(calls):
                await assert_they_talk(near, far, f"call {number}")
                assert selected_port(bob) == mux.port

    run(main())


def test_a_restart_has_new_ufrags_and_the_channel_stays(run: Run) -> None:
    async def main() -> None:
        async with shared() as (mux, on_mux), call(on_mux, LOOPBACK) as (alice, near, bob, far):
            table = mux._sockets[0].table
            (before,) = table._connections_by_ufrag
            for offerer, answerer in ((alice, bob), (bob, alice)):
                offerer.restartIce()
                await exchange(offerer, answerer)
                await until(lambda: len(table._connections_by_ufrag) == 1)
                assert before not in table._connections_by_ufrag
                await assert_they_talk(near, far)

    run(main())


def forged_check(ufrag: str) -> bytes:
    """A Binding request without a signature, for who has that ufrag."""
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
    builder.add(AttributeType.USERNAME, encode_text(f"{ufrag}:peer"))
    return builder.build()


def test_strangers_are_dropped_and_take_no_room(run: Run) -> None:
    """IC-3: neither datagrams of any kind nor checks without a signature, for a connection that is there."""

    async def main() -> None:
        async with shared() as (mux, on_mux), call(on_mux, LOOPBACK) as (_, near, bob, far):
            await assert_they_talk(near, far)
            table = mux._sockets[0].table
            (ufrag,) = table._connections_by_ufrag
            unknown = mux.unknown
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for number in range(100):
                    for data in (b"\x16\xfe\xfd" + bytes([number]), forged_check("nobody"), b"\x80" * 20, b"?", b""):
                        stranger.sendto(data, (HOST, mux.port))
                        stranger.sendto(forged_check(ufrag), (HOST, mux.port))
                await until(lambda: mux.unknown >= unknown + 500)
                assert stranger.getsockname()[1] != selected_port(bob)
            assert table._connections_by_source.keys() == {SocketAddress(HOST, selected_port(bob))}
            assert table._connections_by_ufrag.keys() == {ufrag}
            await assert_they_talk(near, far)

    run(main())


def test_all_that_ask_one_stun_server_from_one_port_hear_its_answer(run: Run) -> None:
    async def main() -> None:
        async with TurnServer(settings(relay_addresses=[HOST])) as server:
            stun = [RTCIceServer(urls=f"stun:{address_on(server, Transport.UDP)}")]
            async with shared(iceServers=stun) as (_, on_mux), AsyncExitStack() as stack:
                errors: list[Event] = []
                peers = [await stack.enter_async_context(RTCPeerConnection(on_mux)) for _ in range(4)]
                for pc in peers:
                    pc.onicecandidateerror = errors.append
                    pc.createDataChannel("any")
                async with asyncio.timeout(PROBE_TIMEOUT):
                    await asyncio.gather(*(pc.setLocalDescription() for pc in peers))
                    await asyncio.gather(*(pc.gathering_complete() for pc in peers))
                assert errors == []

    run(main())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=str)
def test_each_connection_has_an_allocation_of_its_own(run: Run, transport: Transport) -> None:
    """Over UDP from a socket of its own, within the range, and gone with it."""

    async def main() -> None:
        async with TurnServer(
            settings(listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0"], relay_addresses=[HOST])
        ) as server:
            url = f"turn:{address_on(server, transport)}?transport={transport.value}"
            turn = [RTCIceServer(urls=url, username=USER, credential=PASSWORD)]
            async with (
                shared(iceServers=turn, port_range=(61_000, 61_999), addresses=[HOST]) as (mux, on_mux),
                AsyncExitStack() as stack,
            ):
                relayed = set()
                for _ in range(3):
                    alice, near, _, far = await stack.enter_async_context(call(on_mux, LOOPBACK))
                    await assert_they_talk(near, far)
                    locals_ = (await alice.getStats()).of_type("local-candidate")
                    relayed |= {one.port for one in locals_ if one.candidateType == "relay"}
                    own = [base for base in alice._driver.bases if base.port != mux.port]
                    assert all(61_000 <= base.port <= 61_999 for base in own)
                    assert len(own) == (transport is Transport.UDP)
                assert len(relayed) == 3
            await until(lambda: len(server.allocations) == 0)

    run(main())


def test_a_server_over_tcp_is_asked_for_both_families_beside_a_mux_too(run: Run) -> None:
    """As it is where the connection has sockets of its own: the machine has IPv6, whatever the mux is bound to."""

    async def main() -> None:
        async with TurnServer(settings(listen=["tcp://127.0.0.1:0"], relay_addresses=[HOST, "::1"])) as server:
            url = f"turn:{address_on(server, Transport.TCP)}?transport=tcp"
            turn = [RTCIceServer(urls=url, username=USER, credential=PASSWORD)]
            async with shared(iceServers=turn) as (_, on_mux), RTCPeerConnection(on_mux) as pc:
                pc.createDataChannel("x")
                await pc.setLocalDescription()
                await pc.gathering_complete()
                found = (await pc.getStats()).of_type("local-candidate")
                assert {one.address for one in found if one.candidateType == "relay"} == {HOST, "::1"}

    run(main())


def test_relay_only_leaves_the_shared_port_alone(run: Run) -> None:
    """IC-8: not a candidate of it, and not a packet from it."""

    async def main() -> None:
        async with TurnServer(settings(relay_addresses=[HOST])) as server:
            url = f"turn:{address_on(server, Transport.UDP)}?transport=udp"
            turn = [RTCIceServer(urls=url, username=USER, credential=PASSWORD)]
            async with (
                shared(iceServers=turn, iceTransportPolicy="relay") as (mux, on_mux),
                call(on_mux, LOOPBACK) as (alice, near, _, far),
            ):
                await assert_they_talk(near, far)
                assert alice.localDescription is not None
                assert f" {mux.port} " not in alice.localDescription.sdp
                assert {one.candidateType for one in (await alice.getStats()).of_type("local-candidate")} == {"relay"}

    run(main())


def test_a_client_that_has_crashed_comes_back_from_the_same_port_at_once(run: Run) -> None:
    async def main() -> None:
        async with shared() as (_, on_mux):
            client = configured(port_range=(free_port(),) * 2, ice_tcp="off")
            servers = []
            for number in range(3):
                caller, callee = RTCPeerConnection(client), RTCPeerConnection(on_mux)
                announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
                callee.on("datachannel", announced.set_result)
                near = caller.createDataChannel("chat")
                await exchange(caller, callee)
                await asyncio.wait_for(near.opened(), 6.0)
                await assert_they_talk(near, await announced, f"life {number}")
                servers.append(callee)
                caller._driver.abandon()  # its process is gone, and says nothing to anybody
            assert [pc.iceConnectionState for pc in servers[:2]] == ["disconnected"] * 2
            for pc in servers:
                await pc.close()

    run(main())


def test_a_signed_check_with_another_source_on_it_moves_nothing(run: Run) -> None:
    """IC-3: who has a connection of his own on the port, and writes the source of another client on his checks."""

    async def main() -> None:
        async with (
            shared() as (mux, on_mux),
            call(LOOPBACK, on_mux) as (alice, near, bob, far),
            RTCPeerConnection(on_mux) as carol,
            RTCPeerConnection(LOOPBACK) as mallory,
        ):
            await assert_they_talk(near, far)
            mallory.createDataChannel("x")
            await exchange(mallory, carol)
            (udp,) = (one for one in alice._driver._sockets_by_base.values() if one.local.host == HOST)
            asked = await consent_requests(bob)
            for number in range(20):
                udp.send_all([forged(mallory, number)], (HOST, mux.port))
                await assert_they_talk(near, far, f"message {number}")
            await asyncio.sleep(1.5)  # longer than consent may stay without an answer
            await assert_they_talk(near, far, "at the end")
            source = SocketAddress(HOST, udp.local.port)
            assert carol._driver._engine.transport is not None
            met = carol._driver._engine.transport.ice.agent.authenticated
            assert source in {path.remote for path in met}
            assert bob.iceConnectionState in ("connected", "completed")
            assert asked < await consent_requests(bob) <= asked + 2, "one for all of them, and one that was due"

    run(main())


def test_a_forged_source_does_not_lock_its_owner_out_of_a_lite_agent_s_port(run: Run) -> None:
    """IC-3: who has a connection of his own there, and wrote the source of a client on his checks before it came."""

    async def main() -> None:
        port = free_port()
        async with (
            shared(ice_lite=True, ice_tcp="off") as (mux, on_mux),
            RTCPeerConnection(on_mux) as carol,
            RTCPeerConnection(LOOPBACK) as mallory,
        ):
            mallory.createDataChannel("x")
            await connect(mallory, carol)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forging:
                forging.bind((HOST, port))
                forging.sendto(forged(mallory, 1), (HOST, mux.port))
                await until(lambda: port in {path.remote.port for path in accepted(carol)})
            async with call(configured(port_range=(port, port)), on_mux) as (alice, near, bob, far):
                (udp,) = (one for one in alice._driver._sockets_by_base.values() if one.local.host == HOST)
                for number in range(2, 10):
                    udp.send_all([forged(mallory, number)], (HOST, mux.port))
                    await assert_they_talk(near, far, f"message {number}")
                assert port in {path.remote.port for path in accepted(bob)}

    run(main())


def forged(pc: RTCPeerConnection, number: int) -> bytes:
    """A check that `pc` signs, and that may be sent from elsewhere."""
    assert pc._driver._engine.transport is not None
    agent = pc._driver._engine.transport.ice.agent
    assert agent.remote_credentials is not None
    check = Check(priority=1, use_candidate=True, role=agent.role, tie_breaker=number)
    return encode_check(number.to_bytes(12, "big"), check, local=agent.credentials, remote=agent.remote_credentials)


def accepted(pc: RTCPeerConnection) -> frozenset[Path]:
    """The paths that its agent believes in."""
    assert pc._driver._engine.transport is not None
    return pc._driver._engine.transport.ice.agent.accepted


async def consent_requests(pc: RTCPeerConnection) -> int:
    """How many it has sent."""
    (pair,) = (await pc.getStats()).of_type("candidate-pair")
    assert isinstance(pair.consentRequestsSent, int)
    return pair.consentRequestsSent


def free_port() -> int:
    """One that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def test_two_shared_ports_carry_one_connection_and_the_next_one_does_not_harm_it(run: Run) -> None:
    async def main() -> None:
        impatient = {"patience": 2.0}
        async with (
            shared(**impatient) as (_, one),
            shared(**impatient) as (_, other),
            call(one, other) as (_, near, _, far),
        ):
            await assert_they_talk(near, far)
            async with RTCPeerConnection(one) as alice, RTCPeerConnection(other) as bob:
                alice.createDataChannel("second")
                await exchange(alice, bob)
                await until(lambda: alice.connectionState == bob.connectionState == "failed")
            await assert_they_talk(near, far)
        async with shared() as (_, one), shared() as (_, other):
            for _ in range(2):  # after the first is gone, the ports are free for another
                async with call(one, other) as (_, near, _, far):
                    await assert_they_talk(near, far)

    run(main())


def test_a_mux_that_is_closed_takes_its_paths_along(run: Run) -> None:
    async def main() -> None:
        async with shared() as (mux, on_mux), call(on_mux, LOOPBACK) as (alice, near, _, far):
            await assert_they_talk(near, far)
            port = mux.port
            await mux.close()
            await mux.close()
            assert alice._driver.bases == []
            await until(lambda: alice.iceConnectionState == "disconnected")
            assert repr(mux) == "UdpMux(closed, 0 connections)"
            with pytest.raises(InvalidStateError):
                _ = mux.port
            with pytest.raises(InvalidStateError, match="closed"):
                RTCPeerConnection(on_mux)
            async with await UdpMux.open(port=port, hosts=[HOST]) as again:
                assert again.port == port

    run(main())


def test_several_addresses_have_the_same_port(run: Run) -> None:
    async def main() -> None:
        async with await UdpMux.open(hosts=["127.0.0.1", "127.0.0.2", "::1"]) as mux:
            assert [address.host for address in mux.addresses] == ["127.0.0.1", "127.0.0.2", "::1"]
            assert {address.port for address in mux.addresses} == {mux.port}
            on_mux = configured(udp_mux=mux)
            async with call(on_mux, configured(addresses=["::1"])) as (alice, near, _, far):
                await assert_they_talk(near, far)
                assert alice._driver.bases == mux.addresses

    run(main())


def test_what_stands_for_all_addresses_is_bound_as_these(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that was told "0.0.0.0" would look for us on its own machine."""

    def interfaces(*, accepts: Callable[[str], bool]) -> list[Interface]:
        return [Interface("lo", host) for host in ("::1", "127.0.0.2", "127.0.0.1") if accepts(host)]

    monkeypatch.setattr("icelane.aio.udp_mux.usable_interfaces", interfaces)

    async def main() -> None:
        for hosts, bound in (
            (["0.0.0.0"], ["127.0.0.2", "127.0.0.1"]),
            (["::"], ["::1"]),
            (["127.0.0.1", "0.0.0.0", "0:0::0"], ["127.0.0.1", "127.0.0.2", "::1"]),
        ):
            async with await UdpMux.open(hosts=hosts) as mux:
                assert [address.host for address in mux.addresses] == bound
        async with await UdpMux.open(hosts=["0.0.0.0"]) as mux, call(configured(udp_mux=mux), LOOPBACK) as parts:
            alice, near, _, far = parts
            await assert_they_talk(near, far)
            assert alice.localDescription is not None
            assert f" 127.0.0.2 {mux.port} typ host" in alice.localDescription.sdp
            assert f" 0.0.0.0 {mux.port} " not in alice.localDescription.sdp

    run(main())


def test_the_public_address_of_a_one_to_one_nat_goes_with_the_shared_port(run: Run) -> None:
    async def main() -> None:
        async with (
            shared(external_addresses="192.0.2.5") as (mux, on_mux),
            call(on_mux, LOOPBACK) as (alice, near, _, far),
        ):
            await assert_they_talk(near, far)
            assert alice.localDescription is not None
            assert f" 192.0.2.5 {mux.port} typ host" in alice.localDescription.sdp

    run(main())


def test_a_port_that_is_taken_is_an_error_and_nothing_stays_bound(run: Run) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.2", 0))
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use") as caught:
                await UdpMux.open(port=port, hosts=["127.0.0.1", "127.0.0.2"])
            assert caught.value.errno == errno.EADDRINUSE
        async with await UdpMux.open(port=port, hosts=["127.0.0.1", "127.0.0.2"]) as mux:
            assert mux.port == port

    run(main())


@pytest.mark.parametrize(
    ("wrong", "error", "names"),
    [
        ({"port": 65_536}, TypeError, "65536"),
        ({"port": -1}, TypeError, "-1"),
        ({"port": "4242"}, TypeError, "'4242'"),
        ({"hosts": "127.0.0.1"}, TypeError, "127.0.0.1"),
        ({"hosts": [7]}, TypeError, "7"),
        ({"hosts": ["localhost"]}, SyntaxError_, "localhost"),
        ({"hosts": ["224.0.0.1"]}, SyntaxError_, "'224.0.0.1' is the address of many"),
        ({"hosts": ["ff02::1"]}, SyntaxError_, "'ff02::1' is the address of many"),
        ({"hosts": ["255.255.255.255"]}, SyntaxError_, "the address of many"),
        ({"hosts": []}, TransportClosedError, "no usable address"),
        ({"hosts": ["127.0.0.1", "203.0.113.5"]}, OSError, "203.0.113.5:.* cannot be bound"),
    ],
)
def test_what_cannot_be_bound_is_named(run: Run, wrong: dict[str, Any], error: type[Exception], names: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=names):
            await UdpMux.open(**wrong)

    run(main())


def test_the_setting_is_a_mux_and_does_not_change(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="udp_mux is a UdpMux"):
            RTCPeerConnection(RTCConfiguration(udp_mux=4242))  # type: ignore[arg-type]  # a mistake
        async with shared() as (_, on_mux), RTCPeerConnection(on_mux) as pc:
            with pytest.raises(InvalidModificationError, match="udp_mux"):
                pc.setConfiguration(LOOPBACK)
            pc.setConfiguration({"iceTransportPolicy": "all"})
            assert pc.getConfiguration().udp_mux is on_mux.udp_mux

    run(main())


def test_a_mux_of_another_loop_is_refused() -> None:
    mux = asyncio.run(UdpMux.open(hosts=[HOST]))

    async def main() -> None:
        with pytest.raises(InvalidAccessError, match="another event loop"):
            RTCPeerConnection(configured(udp_mux=mux))

    asyncio.run(main())
    for shared_socket in mux._sockets:
        shared_socket.udp._socket.close()
