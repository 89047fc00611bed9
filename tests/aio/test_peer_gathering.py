"""Where a peer connection meets the machine: servers of every kind, names, sockets, and what is left of them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from icelane.aio import peer_driver
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.event_target import Event
from icelane.aio.interfaces import Interface
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.resolver import Target, resolve
from icelane.aio.session_description import RTCIceCandidate
from icelane.aio.system import monotonic
from icelane.core.net import AddressFamily, Transport
from icelane.errors import InvalidModificationError, ResolutionError
from icelane.ice.candidate import ACTIVE_PORT
from icelane.peer.ice_server import MAX_URLS
from icelane.server.turn_server import TurnServer
from icelane.stun.uri import StunUri, TurnUri
from tests import certificates
from tests.aio.peers import LOOPBACK, PATIENCE, configured, connect, exchange, pair, until
from tests.loops import Run
from tests.server.clients import PASSWORD, USER, address_on, settings

MDNS = "6a1f4c1e-0000-4000-8000-000000000000.local"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificates.authority_file(folder)
    return folder


@asynccontextmanager
async def turn_server(folder: Path) -> AsyncIterator[TurnServer]:
    """One that listens on loopback by UDP, TCP and TLS."""
    listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]
    tls = certificates.good(folder, "localhost").section()
    async with TurnServer(settings(tls=tls, listen=listen, relay_addresses=["127.0.0.1"])) as server:
        yield server


def relaying(server: TurnServer, folder: Path, *transports: Transport, **more: Any) -> RTCConfiguration:
    """Relay-only through the server, reached by each of the transports."""
    urls = []
    for transport in transports:
        port = address_on(server, transport, AddressFamily.IPV4).port
        if transport is Transport.TLS:
            urls.append(f"turns:localhost:{port}?transport=tcp")
        else:
            urls.append(f"turn:127.0.0.1:{port}?transport={transport.value}")
    servers = [RTCIceServer(urls=urls, username=USER, credential=PASSWORD)]
    wanted = {"iceServers": servers, "iceTransportPolicy": "relay", "authority": folder / "authority.pem"}
    return configured(**(wanted | more))


def candidates(pc: RTCPeerConnection) -> list[str]:
    """The lines of its description."""
    assert pc.localDescription is not None
    return [line for line in pc.localDescription.sdp.splitlines() if line.startswith("a=candidate:")]


def errors_of(pc: RTCPeerConnection) -> list[Event]:
    """The events icecandidateerror from now on."""
    errors: list[Event] = []
    pc.onicecandidateerror = errors.append
    return errors


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS], ids=str)
def test_relay_only_connects_through_a_server_in_the_same_loop(run: Run, folder: Path, transport: Transport) -> None:
    """IC-8: and what each knows of itself is the relay's address and the server's URL."""

    async def main() -> None:
        async with turn_server(folder) as server:
            configuration = relaying(server, folder, transport)
            async with pair(configuration, configuration) as (alice, bob):
                bob.on("datachannel", lambda channel: channel.on("message", channel.send))
                told: list[RTCIceCandidate] = []
                alice.on("icecandidate", lambda candidate: told.append(candidate) if candidate else None)
                channel = alice.createDataChannel("echo")
                await connect(alice, bob)
                await channel.opened()
                url = str(configuration.check()[0][1])
                assert {(candidate.relayProtocol, candidate.url) for candidate in told} == {(transport.value, url)}
                assert alice.sctp is not None
                ice = alice.sctp.transport.iceTransport
                selected = ice.getSelectedCandidatePair()
                assert selected is not None
                assert (selected.local.relayProtocol, selected.local.url) == (transport.value, url)
                for number in range(20):
                    channel.send(bytes([number]) * 10_000)
                    assert await channel.receive() == bytes([number]) * 10_000
                for peer in (alice, bob):
                    assert candidates(peer)
                    assert all(" typ relay raddr 0.0.0.0 rport 9" in line for line in candidates(peer))
                    await until(lambda peer=peer: peer.security_report().relay_url)  # type: ignore[misc]
                    stats = await peer.getStats()
                    for local in stats.of_type("local-candidate"):
                        assert local.candidateType in ("relay", "prflx")
                        assert local.relayProtocol == transport.value
                        assert local.port not in ports_of(peer)
                    assert not any(f" {port} " in line for port in ports_of(peer) for line in candidates(peer))
            await until(lambda: not server.plane.ports)

    run(main())


def ports_of(pc: RTCPeerConnection) -> set[int]:
    return {base.port for base in pc._driver.bases}


def test_a_server_whose_certificate_nobody_vouches_for_gives_no_candidate(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with turn_server(folder) as server:
            stranger = folder / "stranger"
            stranger.mkdir(exist_ok=True)
            certificates.authority_file(stranger, certificates.stranger())
            async with pair(relaying(server, stranger, Transport.TLS)) as (alice, _):
                errors = errors_of(alice)
                alice.createDataChannel("chat")
                await alice.setLocalDescription()
                await alice.gathering_complete()
                assert candidates(alice) == []
                assert {error.errorCode for error in errors} == {701}

    run(main())


def test_a_wrong_password_is_told_with_the_server_s_code(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with turn_server(folder) as server:
            configuration = relaying(server, folder, Transport.UDP)
            assert configuration.iceServers is not None
            configuration.iceServers[0].credential = "wrong"
            async with pair(configuration) as (alice, _):
                errors = errors_of(alice)
                alice.createDataChannel("chat")
                await alice.setLocalDescription()
                await alice.gathering_complete()
                assert candidates(alice) == []
                for error in errors:
                    assert error.errorCode == 401
                    assert error.address is None  # IC-8
                    assert str(error.url).startswith("turn:127.0.0.1:")

    run(main())


def test_several_servers_at_once_give_a_candidate_each(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with turn_server(folder) as server, turn_server(folder) as other:
            configuration = relaying(
                server, folder, Transport.UDP, Transport.TCP, Transport.TLS, iceTransportPolicy="all"
            )
            more = relaying(other, folder, Transport.UDP)
            assert configuration.iceServers is not None
            assert more.iceServers is not None
            stun = RTCIceServer(urls=f"stun:127.0.0.1:{address_on(server, Transport.UDP).port}")
            configuration.iceServers = [*configuration.iceServers, *more.iceServers, stun]
            async with pair(configuration) as (alice, bob):
                found: list[RTCIceCandidate] = []
                alice.on("icecandidate", lambda candidate: found.append(candidate) if candidate is not None else None)
                alice.createDataChannel("chat")
                await connect(alice, bob)
                urls = sorted(str(candidate.url).partition(":")[0] for candidate in found if candidate.url is not None)
                assert urls == ["turn", "turn", "turn", "turns"]
                assert sum(" typ host" in candidate.candidate for candidate in found) >= 1

    run(main())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TLS], ids=str)
def test_a_server_that_the_configuration_names_no_more_gives_no_candidate_and_gets_its_address_back(
    run: Run, folder: Path, transport: Transport
) -> None:
    async def main() -> None:
        async with turn_server(folder) as server:
            configuration = relaying(
                server, folder, transport, iceTransportPolicy="all", iceCandidatePoolSize=1, include_loopback=True
            )
            async with pair(configuration) as (alice, bob):
                await until(lambda: server.plane.ports)
                left = configured(iceCandidatePoolSize=1, authority=configuration.authority, include_loopback=True)
                alice.setConfiguration(left)
                channel = alice.createDataChannel("chat")
                await connect(alice, bob)
                await channel.opened()
                assert candidates(alice)
                assert not any(" typ relay" in line for line in candidates(alice))
                await until(lambda: not server.plane.ports)
                assert channel.readyState == "open"

    run(main())


@pytest.mark.parametrize("trickle", [True, False])
def test_a_dead_server_delays_nothing_but_completeness(run: Run, trickle: bool) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead, socket.socket() as deaf:
            dead.bind(("127.0.0.1", 0))
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            servers = [
                RTCIceServer(urls=f"stun:127.0.0.1:{dead.getsockname()[1]}"),
                RTCIceServer(
                    urls=[
                        f"turn:127.0.0.1:{dead.getsockname()[1]}",
                        f"turn:127.0.0.1:{deaf.getsockname()[1]}?transport=tcp",
                    ],
                    username=USER,
                    credential=PASSWORD,
                ),
            ]
            loop = asyncio.get_running_loop()
            async with pair(configured(iceServers=servers)) as (alice, bob):
                channel = alice.createDataChannel("chat")
                begun = loop.time()
                await alice.setLocalDescription()
                await until(lambda: candidates(alice))
                assert alice.localDescription is not None
                if trickle:
                    alice.on("icecandidate", bob.addIceCandidate)
                await bob.setRemoteDescription(alice.localDescription)
                await bob.setLocalDescription()
                await bob.gathering_complete()
                assert bob.localDescription is not None
                await alice.setRemoteDescription(bob.localDescription)
                await channel.opened()
                assert loop.time() - begun < 2.0
                assert alice.iceGatheringState == "gathering"

    run(main())


@pytest.mark.parametrize(
    "url", ["stun:no-such-host.invalid", "turn:no-such-host.invalid", "stuns:127.0.0.1", "turns:127.0.0.1:1"]
)
def test_a_server_that_cannot_be_asked_is_told_with_701_and_delays_nobody(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(peer_driver, "resolve", resolving_nothing)
        server = RTCIceServer(urls=url, username="a", credential="b")
        async with pair(configured(iceServers=[server])) as (alice, bob):
            errors = errors_of(alice)
            bare: list[Any] = []
            alice.on("icecandidateerror", bare.append)
            alice.createDataChannel("chat")
            await connect(alice, bob)
            assert [error.errorCode for error in errors] == [701]
            assert errors[0].url == url
            assert errors[0].errorText
            assert bare[0].errorCode == 701
            assert candidates(alice)

    run(main())


def test_an_error_that_nobody_foresaw_is_of_one_server_alone(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(uri: StunUri | TurnUri, proxy: str | None) -> list[Target]:
        if isinstance(uri, TurnUri) and uri.host == "localhost":
            raise RuntimeError("out of order")
        return await resolve(uri)

    async def main() -> None:
        monkeypatch.setattr(peer_driver, "resolve_by_proxy", breaks)
        async with turn_server(folder) as server, RTCPeerConnection(relaying(server, folder, *Transport)) as pc:
            errors = errors_of(pc)
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            async with asyncio.timeout(PATIENCE):
                await pc.gathering_complete()
            assert [(error.errorCode, error.errorText) for error in errors] == [(701, "RuntimeError: out of order")]
            assert candidates(pc)
            assert "cannot be asked" in caplog.text

    run(main())


def test_a_stream_that_breaks_in_a_way_that_nobody_foresaw_is_told_at_once(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(authority: Path | str | None) -> None:
        raise RuntimeError("out of order")

    async def main() -> None:
        monkeypatch.setattr(peer_driver, "client_context", breaks)
        loop = asyncio.get_running_loop()
        async with turn_server(folder) as server, RTCPeerConnection(relaying(server, folder, Transport.TLS)) as pc:
            errors = errors_of(pc)
            pc.createDataChannel("chat")
            begun = loop.time()
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert loop.time() - begun < 5
            assert [(error.errorCode, error.errorText) for error in errors] == [(701, "RuntimeError: out of order")]
            assert "cannot be reached" in caplog.text

    run(main())


@pytest.mark.parametrize("by_proxy", [False, True], ids=["itself", "through a proxy"])
@pytest.mark.parametrize(
    "narrowed", [{"addresses": ["127.0.0.0/8"]}, {"addresses": ["!::1"]}, {"interfaces": ["none"]}], ids=str
)
def test_no_stream_to_a_server_leaves_from_an_address_that_may_not_be_used(
    run: Run, narrowed: dict[str, object], by_proxy: bool
) -> None:
    async def main() -> None:
        seen: list[object] = []
        listening = await asyncio.start_server(lambda _, writer: seen.append(writer), "::1", 0)
        place = f"[::1]:{listening.sockets[0].getsockname()[1]}"
        turn = "turn:turn.invalid?transport=tcp" if by_proxy else f"turn:{place}?transport=tcp"
        servers = [RTCIceServer(urls=turn, username=USER, credential=PASSWORD)]
        more: dict[str, Any] = {"http_proxy": f"http://{place}"} if by_proxy else {}
        async with listening, RTCPeerConnection(configured(iceServers=servers, **more, **narrowed)) as pc:
            errors = errors_of(pc)
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            async with asyncio.timeout(PATIENCE):
                await pc.gathering_complete()
            (error,) = [error for error in errors if error.url]
            assert "of the addresses that may be used here none is one of IPv6" in str(error.errorText)
            assert not seen

    run(main())


@pytest.mark.parametrize(
    "narrowed", [{"addresses": ["127.0.0.1"]}, {"port_range": (51_100, 51_140)}, {"interfaces": ["none"]}], ids=str
)
@pytest.mark.parametrize("is_offerer", [True, False], ids=["offerer", "answerer"])
def test_after_a_restart_nothing_is_told_that_may_not_be_used_any_more(
    run: Run, narrowed: dict[str, Any], is_offerer: bool
) -> None:
    async def main() -> None:
        async with pair(configured(ice_tcp="both"), configured(ice_tcp="both")) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            one, other = (alice, bob) if is_offerer else (bob, alice)
            before = {line.partition(" ufrag ")[0] for line in candidates(one)}
            one.setConfiguration(replace(one.getConfiguration(), **narrowed))
            told: list[str] = []
            one.on("icecandidate", lambda found: told.append(found.candidate if found else ""))
            alice.restartIce()
            await exchange(alice, bob)
            lines = [line.split() for line in told if line]
            assert sorted(f"a={line}" for line in told if line) == sorted(candidates(one))
            assert told[-1] == ""
            hosts, ports = {line[4] for line in lines}, {int(line[5]) for line in lines} - {ACTIVE_PORT}
            if "addresses" in narrowed:
                assert hosts == {"127.0.0.1"}
                assert {f"a={line}".partition(" ufrag ")[0] for line in told if line} <= before
            elif "port_range" in narrowed:
                first, last = narrowed["port_range"]
                assert ports
                assert all(first <= port <= last for port in ports)
            else:
                assert not lines
            if "interfaces" not in narrowed:
                await asyncio.gather(one.connected(PATIENCE), other.connected(PATIENCE))

    run(main())


def test_a_stream_from_an_address_that_may_not_be_used_any_more_ends_before_its_relay_is_told_again(
    run: Run, folder: Path
) -> None:
    async def main() -> None:
        async with turn_server(folder) as server, RTCPeerConnection(relaying(server, folder, Transport.TCP)) as pc:
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert candidates(pc)
            pc.setConfiguration(replace(pc.getConfiguration(), addresses=["::1"]))
            told: list[object] = []
            pc.on("icecandidate", lambda found: told.append(found and found.candidate))
            errors = errors_of(pc)
            assert pc._engine.transport is not None
            pc._engine.transport.ice.restart(pc._engine.transport.ice.agent.credentials, monotonic(), relay_only=True)
            pc._driver.run(lambda _: pc._driver._gather_anew())
            await until(lambda: pc._engine.transport and pc._engine.transport.ice._sources_done and errors)
            assert "none is one of IPv4" in str(errors[0].errorText)
            assert not pc._driver._streams_by_path
            assert not [one for one in told if one]

    run(main())


def test_every_server_that_a_configuration_may_name_is_asked(run: Run) -> None:
    async def main() -> None:
        urls = [f"turn:127.0.0.1:{1 + number}?transport=tcp" for number in range(MAX_URLS)]
        servers = [RTCIceServer(urls=urls, username="a", credential="b")]
        async with RTCPeerConnection(configured(iceServers=servers)) as pc:
            errors = errors_of(pc)
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            async with asyncio.timeout(PATIENCE):
                await pc.gathering_complete()
            assert sorted(str(error.url) for error in errors) == sorted(urls)

    run(main())


@pytest.mark.parametrize(("kind", "module"), [("stun", "reflexive"), ("turn", "relays")])
def test_a_server_beyond_the_bound_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, module: str) -> None:
    monkeypatch.setattr(f"icelane.peer.{module}.MAX_SERVERS", 1)

    async def main() -> None:
        servers = [RTCIceServer(urls=[f"{kind}:127.0.0.1:9", f"{kind}:127.0.0.1:10"], username="a", credential="b")]
        async with RTCPeerConnection(configured(iceServers=servers)) as pc:
            errors = errors_of(pc)
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            await until(lambda: errors)
            assert (errors[0].url, errors[0].errorCode) == (f"{kind}:127.0.0.1:10", 701)
            assert "not asked" in str(errors[0].errorText)

    run(main())


def test_gathering_ends_when_a_function_of_the_program_raises(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(address: str) -> bool:
        raise RuntimeError("out of order")

    async def main() -> None:
        async with RTCPeerConnection(configured(addresses=breaks)) as pc:
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            async with asyncio.timeout(PATIENCE):
                await pc.gathering_complete()
            assert not candidates(pc)
            assert "out of order" in caplog.text

    run(main())


@pytest.mark.parametrize("stubborn", [False, True])
def test_what_a_round_finds_when_another_has_begun_counts_for_nobody(
    run: Run, stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the old configuration are resolved late, by one who even overhears that nobody waits any more."""

    async def main() -> None:
        asked: dict[str, asyncio.Event] = {}

        async def slowly(uri: StunUri | TurnUri) -> list[Target]:
            may_go = asked[uri.host] = asyncio.Event()
            try:
                await may_go.wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise
            raise ResolutionError(f"{uri.host}: no address")

        monkeypatch.setattr(peer_driver, "resolve", slowly)
        async with pair(configured(iceServers=[RTCIceServer(urls="stun:old.invalid")])) as (alice, _):
            errors = errors_of(alice)
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await until(lambda: "old.invalid" in asked)
            alice.setConfiguration(configured(iceServers=[RTCIceServer(urls="stun:new.invalid")]))
            await alice.setLocalDescription()
            await until(lambda: "new.invalid" in asked)
            asked["old.invalid"].set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert errors == []
            assert alice.iceGatheringState == "gathering"
            asked["new.invalid"].set()
            await alice.gathering_complete()
            assert [error.url for error in errors] == ["stun:new.invalid"]
            assert alice.iceGatheringState == "complete"

    run(main())


async def resolving_nothing(uri: StunUri | TurnUri) -> list[Target]:
    """The machine that tests run on may have no name server, and one that answers slowly is no use here."""
    if "invalid" in uri.host:
        raise ResolutionError(f"{uri.host}: no address")
    return await resolve(uri)


class FakeMdns:
    """Who is asked for names of the local network, and by whom."""

    asked: ClassVar[list[str]] = []

    def __init__(self, interfaces: list[Interface]) -> None:
        self.interfaces = interfaces

    async def resolve(self, name: str) -> str | None:
        self.asked.append(name)
        return "127.0.0.1" if name == MDNS else None

    def close(self) -> None:
        self.interfaces = []


NAMES = [
    "example.org", "localhost", "printer.local", "a.b.local", f"{MDNS}.example.org", "internal.corp.example",
    "6a1f4c1e-0000-4000-8000-00000000000.local", "metadata.google.internal", "x" * 63 + ".org",
]  # fmt: skip


@pytest.mark.parametrize("policy", ["all", "relay"])
def test_of_the_peer_s_names_only_those_of_mdns_are_looked_up(
    run: Run, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IC-7: no DNS query whatever the peer names; `<uuid>.local` by mDNS, and with relay-only not even that."""
    looked_up: list[object] = []
    monkeypatch.setattr(FakeMdns, "asked", [])
    monkeypatch.setattr(peer_driver, "MdnsResolver", FakeMdns)
    monkeypatch.setattr(peer_driver, "resolve", lambda uri: looked_up.append(uri))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: looked_up.append(arguments))
    monkeypatch.setattr(socket, "gethostbyname", looked_up.append)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with pair(configured(iceTransportPolicy=policy)) as (alice, bob):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            await bob.setLocalDescription()
            await bob.gathering_complete()
            assert bob.localDescription is not None
            answer = bob.localDescription.toJSON()
            in_answer = "".join(f"a=candidate:{line(name)}\r\n" for name in (*NAMES, MDNS))
            answer["sdp"] += in_answer
            await alice.setRemoteDescription(answer)
            for name in NAMES:
                await alice.addIceCandidate(RTCIceCandidate("candidate:" + line(name, 5), "0"))
            await asyncio.sleep(0.05)
            assert loop is asyncio.get_running_loop()
            assert looked_up == []
            assert FakeMdns.asked == ([MDNS] if policy == "all" else [])

    def line(name: str, port: int = 9) -> str:
        return f"{port}{abs(hash(name)) % 1000} 1 udp 2122260223 {name} {port} typ host"

    run(main())


def test_a_name_of_mdns_leads_to_the_peer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeMdns, "asked", [])
    monkeypatch.setattr(peer_driver, "MdnsResolver", FakeMdns)

    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            assert alice.localDescription is not None
            hidden = alice.localDescription.toJSON()
            hidden["sdp"] = hidden["sdp"].replace(" 127.0.0.1 ", f" {MDNS} ").replace(" ::1 ", f" {MDNS} ")
            assert hidden["sdp"].count(MDNS) >= 2  # one name, two candidates, each with a port of its own
            await bob.setRemoteDescription(hidden)
            await bob.setLocalDescription()
            await bob.connected(5.0) if bob.connectionState == "connected" else None
            await bob.gathering_complete()
            assert bob.localDescription is not None
            # Nothing of Bob's address in it, so that his checks are what must find the way.
            lines = [one for one in bob.localDescription.sdp.splitlines() if not one.startswith("a=candidate:")]
            answer = bob.localDescription.toJSON()
            answer["sdp"] = "\r\n".join(lines) + "\r\n"
            await alice.setRemoteDescription(answer)
            await asyncio.gather(alice.connected(5.0), bob.connected(5.0))
            assert FakeMdns.asked == [MDNS]

    run(main())


def test_nothing_is_left_of_a_connection_that_ends_while_it_looks_around(run: Run, folder: Path) -> None:
    async def main() -> None:
        opened: list[int] = []
        for _ in range(2):  # a loop keeps what it has opened once
            async with turn_server(folder) as server:
                await begin_and_end(relaying(server, folder, Transport.UDP, Transport.TCP, Transport.TLS))
            await until(lambda: not opened or len(os.listdir("/proc/self/fd")) <= opened[0])
            opened.append(len(os.listdir("/proc/self/fd")))

    async def begin_and_end(configuration: RTCConfiguration) -> None:
        for turns in range(12):
            alice = RTCPeerConnection(configuration)
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            for _ in range(turns):
                await asyncio.sleep(0.001)
            await alice.close(timeout=0 if turns % 2 else 1.0)
            driver = alice._driver
            held = driver._tasks, driver._sockets_by_base, driver._streams_by_path, driver._wakeup.armed
            assert not any(held)

    run(main())


def test_a_handler_that_raises_in_the_middle_of_a_drain_loses_no_packet(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            logging.getLogger("icelane").setLevel(logging.CRITICAL)

            def fails(*_: object) -> None:
                raise RuntimeError("out of order")

            for event in bob.EVENTS:
                bob.on(event, fails)
            got: list[object] = []
            bob.on("datachannel", lambda channel: [channel.on("message", fails), channel.on("message", got.append)])
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            for number in range(50):
                channel.send(str(number))
            await until(lambda: len(got) == 50)
            logging.getLogger("icelane").setLevel(logging.NOTSET)

    run(main())


def test_strangers_in_great_number_leave_no_trace_in_the_driver(run: Run) -> None:
    """IC-3: on a real socket; paths are remembered for so many sources, and no more."""

    async def main() -> None:
        async with pair() as (alice, bob):
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            (base,) = [base for base in alice._driver.bases if base.host == "127.0.0.1"]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for burst in range(40):
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                        other.bind((f"127.0.0.{burst + 2}", 0))
                        for _ in range(50):
                            other.sendto(b"\x16\xfe\xfd" + bytes(50), tuple(base))
                            stranger.sendto(bytes([0x80]) * 50, tuple(base))
                    await asyncio.sleep(0)
            transport = alice._engine.transport
            assert transport is not None
            await until(lambda: transport.discarded > 1000)
            assert len(alice._driver._paths) <= peer_driver.MAX_PATHS
            assert not transport._held
            channel.send("still here")

    run(main())


def test_two_connections_of_one_program_do_not_share_a_socket(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob), pair() as (carol, dave):
            for one, other in ((alice, bob), (carol, dave)):
                one.createDataChannel("chat")
                await connect(one, other)
            bases = [base for peer in (alice, bob, carol, dave) for base in peer._driver.bases]
            assert len(set(bases)) == len(bases)
            assert LOOPBACK.interfaces == ["lo"]

    run(main())


def test_sockets_are_bound_within_the_range(run: Run) -> None:
    async def main() -> None:
        async with pair(configured(port_range=(61_000, 61_999)), LOOPBACK) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            assert alice._driver.bases
            assert all(61_000 <= base.port <= 61_999 for base in alice._driver.bases)

    run(main())


def test_a_range_without_a_free_port_is_told(run: Run) -> None:
    """The address, the range and the reason; and gathering comes to its end."""

    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            settings = configured(port_range=(port, port), addresses=["127.0.0.1"], ice_tcp="off")
            async with pair(settings) as (alice, _):
                errors = errors_of(alice)
                alice.createDataChannel("chat")
                await alice.setLocalDescription()
                await alice.gathering_complete()
                assert candidates(alice) == []
                (error,) = errors
                assert (error.address, error.port, error.url, error.errorCode) == ("127.0.0.1", 0, "", 701)
                assert error.errorText == f"no port from {port} to {port} is free"

    run(main())


def test_only_addresses_of_the_named_networks_are_used(run: Run) -> None:
    async def main() -> None:
        async with pair(configured(addresses=["127.0.0.0/8"]), configured(addresses=["!::/0"])) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            for peer in (alice, bob):
                assert {base.host for base in peer._driver.bases} == {"127.0.0.1"}

    run(main())


@pytest.mark.parametrize("kind", ["host", "srflx"])
def test_a_public_address_that_is_translated_to_ours_is_told(run: Run, kind: str) -> None:
    async def main() -> None:
        public = configured(
            addresses=["127.0.0.1"],
            external_addresses={"127.0.0.1": "192.0.2.5"},
            external_address_type=kind,
            ice_tcp="off",
        )
        async with pair(public, configured(addresses=["127.0.0.1"])) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            (base,) = alice._driver.bases
            found = [line.split(" ufrag ")[0].split(" ", 4)[4] for line in candidates(alice)]
            if kind == "host":
                assert found == [f"192.0.2.5 {base.port} typ host"]
            else:
                assert found == [
                    f"127.0.0.1 {base.port} typ host",
                    f"192.0.2.5 {base.port} typ srflx raddr 127.0.0.1 rport {base.port}",
                ]
            with pytest.raises(InvalidModificationError, match="external_addresses"):
                alice.setConfiguration(configured(external_addresses="192.0.2.6"))

    run(main())
