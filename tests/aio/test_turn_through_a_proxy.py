"""TURN over TCP and TLS through an HTTP proxy: `connect_turn`, and calls of two peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from icelane.aio import proxy_tunnel
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.event_target import Event
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.core.net import SocketAddress, Transport
from icelane.errors import (
    CertificateRefusedError,
    IcelaneError,
    MalformedError,
    ProxyError,
    TlsHandshakeError,
    TransportClosedError,
)
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from icelane.turn.client_request import AllocateOptions
from tests import certificates
from tests.aio.peers import LOOPBACK, configured, connect, pair, until
from tests.aio.proxies import HANG_UP, HANG_UP_LATER, SILENT, WELL, FakeProxy, fake_proxy
from tests.loops import Run

USER = "alice"
PASSWORD = "correct-horse-battery"
SECRET = "wonderland"
# Nobody but the proxy of a test knows this name: RFC 6761 section 6.4.
NAME = "turn.invalid"
HOSTS = {NAME: "127.0.0.1"}


@asynccontextmanager
async def relay_server(tmp_path: Path) -> AsyncIterator[TurnServer]:
    turn = {
        "realm": "example.org",
        "listen": ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        "relay_addresses": ["127.0.0.1"],
        "dangerously_allow_loopback_peers": True,
        "tcp_allocations": True,
        "users": {USER: PASSWORD},
    }
    tls = certificates.good(tmp_path, NAME)
    async with TurnServer(parse_config({"turn": turn, "tls": tls.section()})) as server:
        yield server


def url_of(server: TurnServer, transport: Transport, name: str = NAME) -> str:
    (port,) = [found.port for found in server.listening if found.transport is transport]
    return f"turns:{name}:{port}" if transport is Transport.TLS else f"turn:{name}:{port}?transport={transport.value}"


async def allocate(
    url: str | SocketAddress, proxy: str, tmp_path: Path, *, options: AllocateOptions | None = None, timeout: float = 8
) -> TurnRelay:
    return await connect_turn(
        url,
        username=USER,
        password=PASSWORD,
        authority=certificates.authority_file(tmp_path),
        http_proxy=proxy,
        options=options,
        timeout=timeout,
        transport=Transport.TCP if isinstance(url, SocketAddress) else None,
    )


async def carry(a: TurnRelay, b: TurnRelay) -> None:
    """A datagram each way."""
    await a.permit(b.relayed_address)
    await b.permit(a.relayed_address)
    for source, sink in ((a, b), (b, a)):
        source.send(b"x" * 1000, sink.relayed_address)
        assert await asyncio.wait_for(sink.receive(), 5) == (b"x" * 1000, source.relayed_address)


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_datagrams_pass_through_a_proxy_that_alone_knows_the_name_of_the_server(
    run: Run, tmp_path: Path, transport: Transport, is_secure: bool
) -> None:
    own = certificates.good(tmp_path, "localhost", file="proxy")

    async def scenario() -> None:
        context = certificates.serving(own) if is_secure else None
        async with relay_server(tmp_path) as server, fake_proxy(hosts=HOSTS, context=context) as proxy:
            url = url_of(server, transport)
            way = proxy.secure_url if is_secure else proxy.url
            async with await allocate(url, way, tmp_path) as a, await allocate(url, way, tmp_path) as b:
                await carry(a, b)
                assert a.path.transport is transport
                assert str(a.path.remote) == proxy.place
            assert len(proxy.targets) == 2
            assert proxy.carried > 2000

    run(scenario())


def test_a_connection_with_a_peer_goes_through_the_proxy_too(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(hosts=HOSTS) as proxy:
            url = url_of(server, Transport.TCP)
            tcp = AllocateOptions(tcp=True)
            async with (
                await allocate(url, proxy.url, tmp_path, options=tcp) as a,
                await allocate(url, proxy.url, tmp_path, options=tcp) as b,
            ):
                await a.permit(b.relayed_address)
                await b.permit(a.relayed_address)
                (_, writer), (reader, back, _) = await asyncio.gather(a.connect(b.relayed_address), b.accept())
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                assert len(proxy.targets) == 4
                writer.close()
                back.close()

    run(scenario())


def test_the_certificate_behind_the_proxy_is_verified_by_the_name_of_the_server(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        hosts = {**HOSTS, "elsewhere.invalid": "127.0.0.1"}
        async with relay_server(tmp_path) as server, fake_proxy(hosts=hosts) as proxy:
            with pytest.raises(CertificateRefusedError):
                await allocate(url_of(server, Transport.TLS, "elsewhere.invalid"), proxy.url, tmp_path)
            tcp = url_of(server, Transport.TCP).partition(":")[2].partition("?")[0]
            with pytest.raises(TlsHandshakeError):
                await allocate(f"turns:{tcp}", proxy.url, tmp_path)

    run(scenario())


def test_an_address_is_asked_for_as_it_is(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy() as proxy:
            (port,) = [found.port for found in server.listening if found.transport is Transport.TCP]
            async with await allocate(SocketAddress("127.0.0.1", port), proxy.url, tmp_path):
                assert proxy.targets == [f"127.0.0.1:{port}"]

    run(scenario())


@pytest.mark.parametrize(
    ("transport", "behaviour", "kind", "words"),
    [
        (Transport.TCP, b"HTTP/1.1 403 x\r\n\r\n", ProxyError, "does not allow connections to turn.invalid:"),
        (Transport.TLS, HANG_UP, ProxyError, "closed the connection instead of answering"),
        (Transport.TLS, SILENT, ProxyError, "does not answer CONNECT within 0."),
        (Transport.TLS, HANG_UP_LATER, TlsHandshakeError, "the connection ended during the TLS handshake"),
        (Transport.TCP, HANG_UP_LATER, TransportClosedError, "closed"),
    ],
)
def test_what_goes_wrong_at_the_proxy_is_said_in_words(
    run: Run, tmp_path: Path, transport: Transport, behaviour: str | bytes, kind: type[IcelaneError], words: str
) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(behaviour, hosts=HOSTS) as proxy:
            way = proxy.url.replace("://", f"://{USER}:{SECRET}@")
            with pytest.raises(kind) as caught:
                await allocate(url_of(server, transport), way, tmp_path, timeout=0.3 if behaviour == SILENT else 8)
            assert words in str(caught.value)
            assert SECRET not in str(caught.value)
            await until(lambda: not proxy.connections)

    run(scenario())


def test_a_url_of_a_proxy_that_does_not_parse_is_malformed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(MalformedError):
            await allocate("turns:turn.invalid", "socks5://proxy", tmp_path)

    run(scenario())


def through(proxy: FakeProxy, url: str, tmp_path: Path, *, policy: str = "relay", user: str = "") -> RTCConfiguration:
    return configured(
        iceServers=[RTCIceServer(urls=url, username=USER, credential=PASSWORD)],
        iceTransportPolicy=policy,
        authority=certificates.authority_file(tmp_path),
        http_proxy=proxy.url.replace("://", f"://{user}"),
    )


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_two_peers_call_each_other_through_the_proxy_alone(run: Run, tmp_path: Path, transport: Transport) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(hosts=HOSTS) as proxy:
            url = url_of(server, transport)
            configuration = through(proxy, url, tmp_path)
            async with pair(configuration, configuration) as (alice, bob):
                bob.on("datachannel", lambda channel: channel.on("message", channel.send))
                channel = alice.createDataChannel("echo")
                await connect(alice, bob)
                await channel.opened()
                channel.send(bytes(50_000))
                assert await asyncio.wait_for(channel.receive(), 10) == bytes(50_000)
                stats = await alice.getStats()
                (local,) = stats.of_type("local-candidate")
                assert (local.url, local.relayProtocol) == (url, transport.value)
                assert local.relatedAddress == "0.0.0.0"
            assert len(proxy.targets) == 2
            assert proxy.carried > 2 * 50_000

    run(scenario())


def test_through_a_proxy_a_peer_still_tries_what_needs_none(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(SILENT) as proxy:
            configuration = through(proxy, url_of(server, Transport.TLS), tmp_path, policy="all")
            udp = url_of(server, Transport.UDP, "127.0.0.1")
            configuration.iceServers = [
                *(configuration.iceServers or ()),
                RTCIceServer(urls=udp, username=USER, credential=PASSWORD),
            ]
            async with RTCPeerConnection(configuration) as pc:
                pc.createDataChannel("x")
                found: list[str] = []
                pc.on("icecandidate", lambda one: found.append(one.candidate) if one else None)
                await pc.setLocalDescription()
                await until(lambda: [one for one in found if "typ host" in one])
                await until(lambda: [one for one in found if "typ relay" in one])
                assert pc.iceGatheringState == "gathering"

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n", "does not take the user and password"),
        (SILENT, "does not answer CONNECT within 0.2 s"),
        (HANG_UP_LATER, "turn.invalid:443: the connection ended during the TLS handshake"),
        (WELL, "cannot reach turn.invalid:443"),
    ],
)
def test_icecandidateerror_tells_what_the_proxy_did(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str | bytes, words: str
) -> None:
    monkeypatch.setattr(proxy_tunnel, "PROXY_TIMEOUT", 0.2)

    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(behaviour) as proxy:
            if behaviour == HANG_UP_LATER:
                (port,) = [found.port for found in server.listening if found.transport is Transport.TLS]
                proxy.hosts = HOSTS
                url = f"turns:turn.invalid:{port}"
            else:
                url = "turns:turn.invalid:443"
            configuration = through(proxy, url, tmp_path, user=f"bob:{SECRET}@")
            assert SECRET not in repr(configuration)
            errors: list[Event] = []
            async with RTCPeerConnection(configuration) as pc:
                pc.onicecandidateerror = errors.append
                pc.createDataChannel("x")
                await pc.setLocalDescription()
                await asyncio.wait_for(pc.gathering_complete(), 10)
            (error,) = errors
            assert error.url == url
            assert error.errorCode == 701
            assert words.replace(":443", url.removeprefix("turns:turn.invalid")) in str(error.errorText)
            assert SECRET not in str(error.errorText)

    run(scenario())


def test_a_proxy_can_be_set_later_and_counts_from_the_next_gathering(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relay_server(tmp_path) as server, fake_proxy(hosts=HOSTS) as proxy:
            later = through(proxy, url_of(server, Transport.TLS), tmp_path)
            async with pair(LOOPBACK, LOOPBACK) as (alice, bob):
                alice.createDataChannel("x")
                await connect(alice, bob)
                alice.setConfiguration(later)
                assert alice.getConfiguration().http_proxy == proxy.url
                await connect(alice, bob)
                assert len(proxy.targets) == 1
                await until(lambda: "relay" in str(alice.security_report()))

    run(scenario())
