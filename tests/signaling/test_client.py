"""SignalClient on real sockets: uvicorn on loopback, calls between two of our own peer connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme
import uvicorn

import icelane
from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection, SignalClient
from icelane.aio.system import monotonic
from icelane.errors import (
    CertificateRefusedError,
    InvalidStateError,
    LocalProtocolError,
    ProxyError,
    SignalError,
    SignalRefusedError,
    TransportClosedError,
)
from icelane.signaling.admitted import Admission, Grant, IcePolicy, IceTransportPolicy, Refusal
from icelane.signaling.app import signaling_app
from icelane.signaling.client_connection import signal_url
from icelane.signaling.client_event import Continuity, Peer
from icelane.signaling.close_code import CloseCode
from icelane.signaling.engine import RoomOptions
from icelane.signaling.limits import SignalingLimits
from tests.loops import Run
from tests.signaling.fake_gate import FakeGate, FakeIce
from tests.signaling.http_server import serving

LOOPBACK = RTCConfiguration(interfaces=["lo"])
TIMEOUT = 20.0


def client(url: str, name: str, room: str | None = "demo", **options: object) -> SignalClient:
    """Somebody in a room, whose calls stay on this machine."""
    return SignalClient(url, token=name, room=room, configuration=LOOPBACK, **options)  # type: ignore[arg-type]  # as its caller wrote it


async def chat(signal: SignalClient, text: str) -> str | bytes:
    """The ten lines of the documentation."""
    peer = await signal.next_peer()
    async with signal.connect_peer(peer) as pc:
        channel = pc.createDataChannel("chat", negotiated=True, id=0)
        await channel.opened()
        channel.send(text)
        heard = await channel.receive()
        await channel.drain()
        await asyncio.sleep(0.1)
        return heard


def test_the_client_is_exported() -> None:
    assert "SignalClient" in icelane.__all__
    assert icelane.SignalClient is SignalClient


def test_the_client_needs_nothing_of_the_server_extra() -> None:
    extra = ("httpx", "joserfc", "prometheus_client", "pydantic", "starlette", "structlog", "uvicorn", "uvloop")
    program = f"import sys, icelane; icelane.SignalClient; print([name for name in {extra} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_programs_of_ten_lines_call_each_other(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(gate)) as url,
            client(url, "ann") as ann,
            client(url, "bob") as bob,
        ):
            heard = await asyncio.gather(chat(ann, "from ann"), chat(bob, "from bob"))
            assert list(heard) == ["from bob", "from ann"]
            assert (ann.identity, bob.identity) == ("ann", "bob")
        assert gate.requests[0].carried
        assert gate.places == 0

    run(scenario())


def test_who_is_called_before_he_has_a_connection_misses_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate())) as url,
            client(url, "ann") as ann,
            client(url, "bob") as bob,
        ):
            calling = asyncio.create_task(chat(ann, "first"))
            await asyncio.sleep(0.5)
            assert await chat(bob, "second") == "first"
            assert await calling == "second"

    run(scenario())


def test_both_sides_change_the_call_at_once_and_both_changes_come_through(run: Run) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate())) as url,
            client(url, "ann") as ann,
            client(url, "bob") as bob,
        ):
            pcs = [signal.connect_peer(await signal.next_peer()) for signal in (ann, bob)]
            received = [expect_channel(pc) for pc in pcs]
            for _ in range(3):
                channels = [pc.createDataChannel("mine") for pc in pcs]
                for pc in pcs:
                    pc.restartIce()
                await asyncio.gather(*(channel.opened() for channel in channels))
            await asyncio.gather(*(until(lambda found=found: len(found) == 3) for found in received))  # type: ignore[misc]  # bound now
            await until(lambda: [pc.signalingState for pc in pcs] == ["stable", "stable"])

    run(scenario())


def expect_channel(pc: RTCPeerConnection) -> list[RTCDataChannel]:
    """The channels that come in."""
    found: list[RTCDataChannel] = []
    pc.on("datachannel", found.append)
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait, in small steps, for what another task does."""
    while not condition():  # noqa: ASYNC110  (nobody sets an event for us)
        await asyncio.sleep(0.02)


def test_messages_go_to_one_and_to_all(run: Run) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate())) as url,
            client(url, "ann") as ann,
            client(url, "bob") as bob,
            client(url, "eve") as eve,
        ):
            await ann.send({"to": "all"})
            await ann.send("for bob", to=next(peer for peer in ann.peers if peer.identity == "bob"))
            for hearer in (bob, eve):
                data, sender = await hearer.receive()
                assert data == {"to": "all"}
                assert sender is not None
                assert sender.identity == "ann"
            assert (await bob.receive())[0] == "for bob"
            with pytest.raises(SignalError) as caught:
                await ann.send("hello", to="p_nobody")
            assert caught.value.code == "peer_not_found"

    run(scenario())


def test_what_happens_in_a_room_is_told_by_events(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["ann"] = Admission(identity="ann", rooms=("*",), grants=frozenset(Grant))
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(gate)) as url,
            client(url, "ann") as ann,
            client(url, "bob", room=None) as bob,
        ):
            told: list[object] = []
            ann.on("peerjoined", lambda peer: told.append(("joined", peer.identity, peer.meta)))
            ann.on("peerupdated", lambda peer: told.append(("updated", peer.meta)))
            ann.on("peerleft", lambda peer, reason: told.append(("left", peer.identity, reason)))
            ann.on("message", lambda data, sender: told.append(("message", data, sender.identity)))
            bob.on("roomleft", lambda room, reason: told.append(("out", room, reason)))
            assert [peer.identity for peer in await bob.join("demo", {"hat": 1})] == ["ann"]
            await bob.update({"hat": 2})
            await bob.send("hello")
            await until(lambda: len(told) == 3)
            await ann.kick(ann.peers[0], "noise")
            await until(lambda: len(told) == 5)
            assert told == [
                ("joined", "bob", {"hat": 1}),
                ("updated", {"hat": 2}),
                ("message", "hello", "bob"),
                *sorted([("out", "demo", "kicked"), ("left", "bob", "kicked")], key=told.index),
            ]
            await ann.lock()
            with pytest.raises(SignalError) as caught:
                await bob.join("demo")
            assert (caught.value.code, caught.value.retryable) == ("room_locked", True)

    run(scenario())


def test_a_refused_client_sees_the_reason(run: Run) -> None:
    """SG-4, CR-1: the reason of the hook is what the program gets."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["eve"] = Refusal(code=CloseCode.DENIED, error="banned", reason="until Monday")
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(gate)) as url:
            with pytest.raises(SignalRefusedError, match="banned: until Monday") as caught:
                await client(url, "eve").connect()
            assert caught.value.close_code == 4403
            with pytest.raises(SignalRefusedError, match="unauthorized"):
                async with SignalClient(url):
                    raise AssertionError("nobody comes in without a token")
        assert gate.places == 0

    run(scenario())


def test_a_refusal_before_the_upgrade_is_one_as_well(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        gate.screened = Refusal(code=CloseCode.DENIED, error="denied", reason="no", status=403)
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(gate)) as url:
            with pytest.raises(SignalRefusedError) as caught:
                await client(url, "ann").connect()
            assert caught.value.close_code == 403

    run(scenario())


def test_a_room_that_is_refused_is_an_error_of_the_join(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        gate.refuse_joins.add("demo")
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(gate)) as url:
            with pytest.raises(SignalError, match="not_today: come tomorrow"):
                await client(url, "ann").connect()
        assert gate.places == 0

    run(scenario())


def test_who_is_sent_away_while_he_waits_for_an_answer_is_told_why(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(gate)) as url,
            client(url, "ann") as ann,
        ):
            ann._session.handle_frame(
                '{"type":"goodbye","code":4403,"reason":"banned","message":"bye","reconnect":false}', monotonic()
            )
            asking = asyncio.create_task(ann.join("other"))
            await asyncio.sleep(0)
            ann._driver.run(lambda now: ann._session.handle_closed(4403, "", now))
            with pytest.raises(SignalRefusedError, match="banned: bye"):
                await asking

    run(scenario())


def test_a_function_that_gets_tokens_is_asked_again_when_one_is_refused(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["old"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_expired")
        tokens = ["old", "ann"]

        async def token() -> str:
            return tokens.pop(0)

        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(gate)) as url,
            SignalClient(url, token=token, room="demo") as ann,
        ):
            assert ann.identity == "ann"
            assert tokens == []

    run(scenario())


def test_a_function_that_gets_no_token_ends_the_first_attempt(run: Run) -> None:
    async def scenario() -> None:
        def token() -> str:
            raise RuntimeError("no backend")

        async with asyncio.timeout(TIMEOUT), serving(signaling_app(FakeGate())) as url:
            with pytest.raises(RuntimeError, match="no backend"):
                await SignalClient(url, token=token).connect()

    run(scenario())


@contextlib.asynccontextmanager
async def through_a_wire(url: str) -> AsyncIterator[tuple[str, list[asyncio.Transport]]]:
    """The same server by way of a port whose connections the test can cut."""
    port = int(url.rsplit(":", 1)[1])
    cut: list[asyncio.Transport] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        cut.extend((writer.transport, back.transport))  # type: ignore[arg-type]  # of TCP

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
            target.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", cut
    for transport in cut:
        transport.abort()


def test_a_cut_connection_is_resumed_and_a_call_goes_on(run: Run) -> None:
    """OP-10: over real sockets: what is said during a cut arrives, once and in order, and the call hears nothing."""

    async def scenario() -> None:
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate())) as url,
            through_a_wire(url) as (wire, cut),
            client(wire, "ann") as ann,
            client(url, "bob") as bob,
        ):
            how: list[Continuity] = []
            ann.on("connected", how.append)
            pcs = [signal.connect_peer(await signal.next_peer()) for signal in (ann, bob)]
            channels = [pc.createDataChannel("chat", negotiated=True, id=0) for pc in pcs]
            await asyncio.gather(*(channel.opened() for channel in channels))
            for round_ in range(2):
                for transport in cut:
                    transport.abort()
                cut.clear()
                await asyncio.gather(*(ann.send([round_, number]) for number in range(5)), bob.send(round_))
            assert [(await bob.receive())[0] for _ in range(10)] == [[r, n] for r in range(2) for n in range(5)]
            assert [(await ann.receive())[0] for _ in range(2)] == [0, 1]
            assert set(how) == {Continuity.RESUMED}
            channels[0].send("still here")
            assert await channels[1].receive() == "still here"

    run(scenario())


def test_a_server_that_restarts_gets_its_clients_back(run: Run) -> None:
    """OP-2: with nothing of theirs in its memory; the call between them goes on."""

    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT), contextlib.AsyncExitStack() as stack:
            first = contextlib.AsyncExitStack()
            url = await first.enter_async_context(serving(signaling_app(FakeGate())))
            ann, bob = client(url, "ann"), client(url, "bob")
            await stack.enter_async_context(ann)
            await stack.enter_async_context(bob)
            left: list[str] = []
            ann.on("peerleft", lambda _, reason: left.append(reason))
            pcs = [signal.connect_peer(await signal.next_peer()) for signal in (ann, bob)]
            channels = [pc.createDataChannel("chat", negotiated=True, id=0) for pc in pcs]
            await asyncio.gather(*(channel.opened() for channel in channels))
            before = ann.peer_id
            await first.aclose()
            server = uvicorn.Server(
                uvicorn.Config(
                    signaling_app(FakeGate()), port=int(url.rsplit(":", 1)[1]), ws="websockets-sansio", log_config=None
                )
            )
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # older ones have it
            running = asyncio.create_task(server.serve())
            try:
                peer = await ann.next_peer()
                assert peer.identity == "bob"
                assert ann.peer_id != before
                assert left
                channels[0].send("still here")
                assert await channels[1].receive() == "still here"
            finally:
                await ann.close()
                await bob.close()
                server.should_exit = True
                await running

    run(scenario())


def test_a_room_that_becomes_relay_only_reaches_the_calls_that_there_are(run: Run) -> None:
    async def scenario() -> None:
        app = signaling_app(FakeGate())
        async with asyncio.timeout(TIMEOUT), serving(app) as url, client(url, "ann") as ann, client(url, "bob"):
            pc = ann.connect_peer(await ann.next_peer())
            assert pc.getConfiguration().iceTransportPolicy == "all"
            told: list[object] = []
            ann.on("roomchanged", lambda *about: told.append(about))
            service, options = app.state.signaling, RoomOptions(relay_only=True)
            service.run(lambda now: service.moderation.configure(ann.peers[0].room, options, now))
            await until(lambda: told)
            assert pc.getConfiguration().iceTransportPolicy == "relay"

    run(scenario())


def test_fresh_ice_servers_reach_the_calls_that_there_are(run: Run) -> None:
    async def scenario() -> None:
        gate, ice = FakeGate(), FakeIce(ttl=2)
        gate.admissions["ann"] = Admission(
            identity="ann", rooms=("*",), ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY)
        )
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(gate, ice=ice)) as url,
            client(url, "ann") as ann,
            client(url, "bob"),
        ):
            pc = ann.connect_peer(await ann.next_peer())
            assert pc.getConfiguration().iceTransportPolicy == "relay"
            assert [server.username for server in pc.getConfiguration().iceServers or ()] == ["9:ann"]
            told: list[object] = []
            ann.on("iceservers", told.append)
            await until(lambda: told)
            assert pc.getConfiguration().iceTransportPolicy == "relay"
            assert ann.rtc_configuration().iceServers == pc.getConfiguration().iceServers == told[0]
            own = RTCConfiguration(iceServers=[], interfaces=["lo"])
            with pytest.raises(InvalidStateError, match="already"):
                ann.connect_peer(ann.peers[0], own)

    run(scenario())


def test_a_peer_that_leaves_ends_the_call_and_the_rest_stays(run: Run) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(FakeGate())) as url, client(url, "ann") as ann:
            async with client(url, "bob") as bob:
                pcs = [signal.connect_peer(await signal.next_peer()) for signal in (ann, bob)]
                channels = [pc.createDataChannel("chat", negotiated=True, id=0) for pc in pcs]
                await asyncio.gather(*(channel.opened() for channel in channels))
            await until(lambda: pcs[0].signalingState == "closed")
            assert ann.peers == ()
            assert ann.is_connected

    run(scenario())


def test_every_peer_comes_by_iteration_until_the_end(run: Run) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(FakeGate())) as url:
            ann = client(url, "ann")
            await ann.connect()
            seen: list[str] = []

            async def look() -> None:
                async for peer in ann:
                    seen.append(peer.identity)  # noqa: PERF401  (looked at meanwhile)

            looking = asyncio.create_task(look())
            async with client(url, "bob"), client(url, "eve"):
                await until(lambda: len(seen) == 2)
            await ann.close()
            await looking
            assert sorted(seen) == ["bob", "eve"]
            with pytest.raises(InvalidStateError):
                await ann.next_peer()
            with pytest.raises(InvalidStateError):
                await ann.send("hello", room="demo")

    run(scenario())


def test_a_newer_client_of_the_same_identity_takes_over(run: Run) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(FakeGate())) as url, client(url, "ann") as first:
            ended: list[object] = []
            first.on("closed", ended.append)
            async with client(url, "ann"):
                with pytest.raises(SignalRefusedError, match="superseded"):
                    await first.next_peer()
                assert isinstance(ended[0], SignalRefusedError)

    run(scenario())


def test_a_server_that_is_not_there_is_an_error_after_the_timeout(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(TransportClosedError, match=r"127\.0\.0\.1: "):
            await client("ws://127.0.0.1:1", "ann", timeout=0.5).connect()

    run(scenario())


def test_what_is_no_signaling_server_is_an_error(run: Run) -> None:
    async def scenario() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-nonsense\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(TransportClosedError):
                await client(f"ws://127.0.0.1:{port}", "ann", timeout=0.5).connect()

    run(scenario())


@contextlib.asynccontextmanager
async def serving_tls(app: object, authority: trustme.CA, name: str) -> AsyncIterator[int]:
    """A port with a certificate for `name`."""
    certificate = authority.issue_cert(name)
    config = uvicorn.Config(app, port=0, ws="websockets-sansio", log_config=None)  # type: ignore[arg-type]  # an application
    config.load()
    config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(config.ssl)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


def test_the_name_and_the_chain_of_the_server_are_verified(run: Run, tmp_path: Path) -> None:
    """SG-17: over TLS, a certificate of another authority or for another name ends the first attempt at once."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))

    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT), serving_tls(signaling_app(FakeGate()), authority, "localhost") as port:
            async with client(f"https://localhost:{port}", "ann", authority=tmp_path / "ca.pem") as ann:
                assert ann.is_connected
            with pytest.raises(CertificateRefusedError):
                await client(f"wss://localhost:{port}", "ann", authority=tmp_path / "other.pem").connect()
            with pytest.raises(CertificateRefusedError):
                await client(f"wss://127.0.0.1:{port}", "ann", authority=tmp_path / "ca.pem").connect()

    run(scenario())


def test_a_proxy_leads_to_the_server_or_says_why_not(run: Run) -> None:
    async def scenario() -> None:
        asked: list[bytes] = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            asked.append(request)
            if b"Proxy-Authorization: Basic YW5uOmE6Yg==" not in request:
                writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                writer.close()
                return
            host, _, port = request.split(b" ")[1].decode().rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

            async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        target.write(data)
                target.close()

            await asyncio.gather(copy(reader, back), copy(there, writer))

        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate())) as url,
            await asyncio.start_server(proxy, "127.0.0.1", 0) as server,
        ):
            where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with client(url, "ann", http_proxy=f"http://ann:a%3Ab@{where}") as ann:
                assert ann.is_connected
            with pytest.raises(ProxyError, match="407"):
                await client(url, "ann", http_proxy=f"http://{where}", timeout=0.5).connect()
        assert asked[0].startswith(b"CONNECT 127.0.0.1:")

    run(scenario())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("wss://call.example.org", "wss://call.example.org/v1/signal"),
        ("https://call.example.org/", "wss://call.example.org/v1/signal"),
        ("wss://call.example.org:8443/rtc/v1/signal", "wss://call.example.org:8443/rtc/v1/signal"),
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/v1/signal"),
        ("http://[::1]:8000", "ws://[::1]:8000/v1/signal"),
        ("http://localhost", "ws://localhost/v1/signal"),
        ("wss://call.example.org?ticket=once", "wss://call.example.org/v1/signal?ticket=once"),
    ],
)
def test_a_url_names_the_server_or_the_websocket(text: str, url: str) -> None:
    assert signal_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["call.example.org", "ftp://call.example.org", "wss://", "ws://call.example.org", "http://192.0.2.1",
     "wss://ann:secret@call.example.org", "wss://call.example.org/#token",
     "wss://call.example.org/v1/signal?token=secret", "wss://call.example.org/?a=b&To%6ben=secret"],
)  # fmt: skip
def test_cleartext_and_secrets_in_the_url_are_refused(text: str) -> None:
    """SG-7, SG-17: nothing of a refused URL is repeated but its host."""
    with pytest.raises(LocalProtocolError) as caught:
        signal_url(text)
    assert "secret" not in str(caught.value)


def test_cleartext_is_possible_for_who_says_so() -> None:
    assert signal_url("ws://lab.example.org", allow_cleartext=True) == "ws://lab.example.org/v1/signal"


def test_no_repr_and_no_record_holds_the_token(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """SG-7: not the client's repr, not its logs, not its errors."""
    caplog.set_level("DEBUG")

    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["s3cret-token"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_expired")
        async with asyncio.timeout(TIMEOUT), serving(signaling_app(gate)) as url:
            signal = client(url, "s3cret-token")
            with pytest.raises(SignalRefusedError) as caught:
                await signal.connect()
            assert "s3cret" not in f"{signal!r} {caught.value!r} {signal._session!r}"

    run(scenario())
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("icelane")]
    assert "s3cret" not in "\n".join(ours)


def test_limits_of_the_server_are_kept_by_the_client(run: Run) -> None:
    async def scenario() -> None:
        limits = SignalingLimits(frames_per_second=50, frame_burst=10)
        async with (
            asyncio.timeout(TIMEOUT),
            serving(signaling_app(FakeGate(), limits=limits)) as url,
            client(url, "ann") as ann,
            client(url, "bob") as bob,
        ):
            await asyncio.gather(*(ann.send(number) for number in range(60)))
            assert [(await bob.receive())[0] for _ in range(60)] == list(range(60))

    run(scenario())


def test_a_peer_is_what_the_room_says() -> None:
    peer = Peer(id="p_a", room="demo", identity="ann", polite=True)
    assert peer.meta == {}
