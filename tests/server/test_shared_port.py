"""One port: HTTPS, WebSocket and TURN over TLS, by ALPN and by the first byte, with PROXY headers before each."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from icelane.core.net import SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server import entrance, http_websocket
from icelane.server.config import Config, parse_config
from icelane.server.http_connection import MAX_WRITE_BUFFER
from icelane.server.http_gate import MAX_HEAD_SIZE
from icelane.server.http_server import MAX_FRAME_SIZE, HttpDeadlines, HttpServer
from icelane.server.http_websocket import MAX_BARE_FRAMES, MIN_FRAGMENT
from icelane.server.stream_listener import StreamDeadlines
from icelane.server.turn_server import TurnServer
from tests import certificates
from tests.certificates import NAME
from tests.loops import Run
from tests.server.clients import PASSWORD, REALM, USER, Client, Peer, Refused, eventually
from tests.server.test_stream_listener import version_1, version_2
from tests.server.web_clients import App, Wire, binding_request, connected, context

Make = Callable[..., tuple[Config, HttpServer, App]]
SHORT = HttpDeadlines(head=0.3, request=0.6, keep_alive=1, shutdown=0.5)
SHORT_STREAMS = StreamDeadlines(proxy_header=0.3, handshake=0.3, first_message=0.3, allocate=0.6)

HEADERS = pytest.mark.parametrize("header", [None, version_1, version_2], ids=["no header", "v1", "v2"])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A configuration with one https:// and one http:// listener, and an application behind them."""
    pair = certificates.good(tmp_path)

    def made(
        *, server: dict[str, Any] | None = None, deadlines: HttpDeadlines | None = None, **turn: Any
    ) -> tuple[Config, HttpServer, App]:
        defaults = {
            "realm": REALM,
            "listen": ["udp://127.0.0.1:0"],
            "relay_addresses": ["127.0.0.1"],
            "dangerously_allow_loopback_peers": True,
            "users": {USER: PASSWORD},
            "hostname": NAME,
        }
        web = {"listen": ["https://127.0.0.1:0", "http://127.0.0.1:0"], "public_url": f"https://{NAME}"}
        config = parse_config({"turn": defaults | turn, "server": web | (server or {}), "tls": pair.section()})
        app = App()
        return config, HttpServer(app, hsts=config.server.hsts, deadlines=deadlines), app

    return made


def https(server: TurnServer) -> SocketAddress:
    return next(one.address for one in server.web_listening if one.secure)


def in_clear(server: TurnServer) -> SocketAddress:
    return next(one.address for one in server.web_listening if not one.secure)


def is_empty(server: TurnServer) -> bool:
    return len(server._entrance.limit) == 0 and (server.web is None or len(server.web) == 0)


def header_of(header: Callable[[str], bytes] | None) -> tuple[bytes, str | None]:
    return (b"", None) if header is None else (header("203.0.113.7"), "203.0.113.7")


def upgrade(headers: bytes = b"", *, target: bytes = b"/", method: bytes = b"GET") -> bytes:
    """The head of a WebSocket."""
    return (
        method + b" " + target + b" HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + headers + b"\r\n"
    )


# Three protocols


@HEADERS
@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("h2", "http/1.1")], ids=["no ALPN", "http/1.1", "h2 too"])
def test_https_is_served_and_the_client_is_whom_the_proxy_names(
    run: Run, make: Make, header: Callable[[str], bytes] | None, alpn: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        sent, host = header_of(header)
        config, web, app = make(proxy_protocol_from=["127.0.0.1"] if header else [])
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server), *alpn, header=sent)
            for _ in range(2):  # the connection is kept
                answer = await wire.ask("/where")
                assert answer.status == 200
                expected = [host, 50000] if host else list(wire.own)
                assert answer.json == {"client": expected, "scheme": "https", "tls": "TLSv1.3"}
            wire.writer.close()
            await eventually(lambda: is_empty(server))
        assert (app.started, app.ended) == (1, 1)

    run(scenario())


@HEADERS
@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["no ALPN", "http/1.1"])
def test_websocket_is_served(
    run: Run, make: Make, header: Callable[[str], bytes] | None, alpn: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        sent, host = header_of(header)
        config, web, app = make(proxy_protocol_from=["127.0.0.1"] if header else [])
        async with TurnServer(config, web=web) as server:
            sock = connected(https(server), sent)
            uri = f"wss://{NAME}/v1/signal?x=1"
            async with connect_websocket(uri, sock=sock, ssl=context(*alpn), server_hostname=NAME) as socket:
                for text in ("one", "two" * 1000):
                    await socket.send(text)
                    assert await socket.recv() == text
            scope = app.scopes[0]
            assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "wss", "/v1/signal")
            assert host is None or scope["client"] == (host, 50000)
            await eventually(lambda: is_empty(server))

    run(scenario())


@HEADERS
@pytest.mark.parametrize("alpn", [(), ("stun.turn",), ("stun.nat-discovery",)], ids=["no ALPN", "stun.turn", "stun"])
def test_turn_over_tls_is_served(
    run: Run, make: Make, header: Callable[[str], bytes] | None, alpn: tuple[str, ...]
) -> None:
    """TR-2 holds here too: the port counts as a listener of TURN."""

    async def scenario() -> None:
        sent, host = header_of(header)
        config, web, _ = make(proxy_protocol_from=["127.0.0.1"] if header else [])
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server), *alpn, header=sent)
            expected = SocketAddress(host, 50000) if host else wire.own
            assert await wire.ask_stun() == expected
            wire.writer.close()
            await eventually(lambda: is_empty(server))

    run(scenario())


def test_a_call_is_relayed_over_the_port_that_serves_https(run: Run, make: Make) -> None:
    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            browser = await Wire.connect(https(server))
            client = await Client.connect(https(server), Transport.TLS)
            await client.allocate()
            peer = Peer()
            await client.permit(peer.address)
            client.send_to(peer.address, b"ping")
            assert (await peer.inbox.take())[0] == b"ping"
            assert (await browser.ask()).status == 200
            client.close()

    run(scenario())


def test_the_first_byte_may_come_late_and_alone(run: Run, make: Make) -> None:
    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            for data, answer in ((binding_request(), b"\x01\x01"), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HT")):
                wire = await Wire.connect(https(server))
                for index in range(len(data)):
                    wire.send(data[index : index + 1])
                    await wire.writer.drain()
                    await asyncio.sleep(0)
                assert (await wire.reader.readexactly(2)) == answer

    run(scenario())


@pytest.mark.parametrize(
    ("first", "turn"),
    [(0, True), (3, True), (64, True), (65, True), (78, True)]
    + [(byte, False) for byte in (4, 20, 63, *b"CDGHO", 80, 128, 255)],
)
def test_the_first_byte_decides(run: Run, make: Make, first: int, turn: bool) -> None:
    """RFC 7983: below 4 it is STUN, 64 to 79 is ChannelData, but for the letters that methods of HTTP begin with."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web, deadlines=SHORT_STREAMS) as server:
            wire = await Wire.connect(https(server))
            wire.send(bytes([first]) + b"\r\n\r\n" * 5)
            found = await wire.end()
            assert found.startswith(b"HTTP/1.1 400") is not turn
            await eventually(lambda: is_empty(server))

    run(scenario())


def test_alpn_decides_whatever_comes_then(run: Run, make: Make) -> None:
    """TL-6: what was agreed on is spoken, so that one protocol is never played against the other."""

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            http = await Wire.connect(https(server), "http/1.1")
            http.send(binding_request())
            assert (await http.end()).startswith(b"HTTP/1.1 400")
            turn = await Wire.connect(https(server), "stun.turn")
            turn.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await turn.end() == b""
        assert app.scopes == []

    run(scenario())


def test_what_was_not_agreed_on_is_not_spoken(run: Run, make: Make) -> None:
    """TL-6: who offers HTTP/2 alone gets no protocol by ALPN, which Python cannot refuse, and no HTTP/2 either."""

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server), "h2")
            assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None
            wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await wire.end()).startswith(b"HTTP/1.1 505")
        assert app.scopes == []

    run(scenario())


def test_a_listener_of_turn_alone_agrees_on_no_http(run: Run, make: Make, tmp_path: Path) -> None:
    """TL-6: only ports that have HTTP say so."""

    async def scenario() -> None:
        config, web, _ = make(listen=["tls://127.0.0.1:0"])
        async with TurnServer(config, web=web) as server:
            for address, agreed in ((server.listening[0].address, None), (https(server), "http/1.1")):
                wire = await Wire.connect(address, "h2", "http/1.1")
                assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed

    run(scenario())


def test_without_an_application_there_is_404_and_turn(run: Run, make: Make) -> None:
    async def scenario() -> None:
        config, _, _ = make()
        async with TurnServer(config) as server:
            assert (await (await Wire.connect(https(server))).ask()).status == 404
            await (await Wire.connect(https(server))).ask_stun()

    run(scenario())


# TLS only


def test_plain_http_is_sent_to_https_whatever_it_says_in_host(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SG-17, CR-9: and a WebSocket in clear is refused before it is one."""
    monkeypatch.setattr(entrance, "serves_in_clear", lambda *_: False)  # as elsewhere than on loopback

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            for path, target in (("/a/b?c=d", "/a/b?c=d"), ("//evil.example/", "//evil.example/"), ("*", "/")):
                wire = await Wire.connect(in_clear(server), secure=False)
                method = "OPTIONS" if path == "*" else "POST"
                answer = await wire.ask(path, method=method, headers={"Host": "evil.example"})
                assert (answer.status, answer.headers["location"]) == (308, f"https://{NAME}{target}")
            absolute = await Wire.connect(in_clear(server), secure=False)
            assert (await absolute.ask("http://evil.example/x")).headers["location"] == f"https://{NAME}/"
            with pytest.raises(InvalidStatus) as refused:
                await connect_websocket(f"ws://{NAME}/v1/signal", sock=connected(in_clear(server)))
            assert refused.value.response.status_code == 403
        assert app.scopes == []

    run(scenario())


def test_on_loopback_a_proxy_of_this_machine_is_served_in_clear(run: Run, make: Make) -> None:
    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            socket = await connect_websocket(f"ws://{NAME}/", sock=connected(in_clear(server)))
            await socket.send("hello")
            assert await socket.recv() == "hello"
            await socket.close()
        assert app.scopes[0]["scheme"] == "ws"

    run(scenario())


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"listen": ["http://192.0.2.1:80"]}, "tokens in clear"),
        ({"listen": ["https://127.0.0.1:0"], "public_url": "http://call.example.org"}, "https:// only"),
    ],
    ids=["listener", "public URL"],
)
def test_signaling_in_clear_needs_a_setting_that_says_so(tmp_path: Path, server: dict[str, Any], problem: str) -> None:
    """SG-17: refused at the start, unless somebody means it."""
    turn = {"users": {USER: PASSWORD}, "relay_addresses": ["127.0.0.1"], "listen": ["udp://127.0.0.1:0"]}
    document = {"turn": turn, "tls": certificates.good(tmp_path).section()}
    with pytest.raises(ConfigurationError, match=problem):
        parse_config(document | {"server": server})
    config = parse_config(document | {"server": server | {"dangerously_serve_in_clear": True}})
    assert config.server.dangerously_serve_in_clear


def test_a_port_of_turn_and_of_https_is_named(tmp_path: Path) -> None:
    turn = {"users": {USER: PASSWORD}, "relay_addresses": ["127.0.0.1"], "listen": ["tls://127.0.0.1:8443"]}
    document = {"turn": turn, "tls": certificates.good(tmp_path).section()}
    with pytest.raises(ConfigurationError, match="takes TURN over TLS by itself"):
        parse_config(document | {"server": {"listen": ["https://127.0.0.1:8443"]}})


def test_browsers_are_told_to_stay_with_https(run: Run, make: Make) -> None:
    """SG-17: HSTS over TLS, and never without, where anybody could say it."""

    async def scenario() -> None:
        for hsts, told in (("30d", "max-age=2592000"), ("0s", None)):
            config, web, _ = make(server={"hsts": hsts})
            async with TurnServer(config, web=web) as server:
                secure = await (await Wire.connect(https(server))).ask("/body")
                plain = await (await Wire.connect(in_clear(server), secure=False)).ask("/body")
                assert secure.headers.get("strict-transport-security") == told
                assert "strict-transport-security" not in plain.headers

    run(scenario())


# Slow and hostile clients


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["nothing", "a byte", "half"])
def test_a_request_that_does_not_come_ends_the_connection(
    run: Run, make: Make, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """SG-11: slow headers, whose drops do not prolong it; and the next client is served."""

    async def scenario() -> None:
        config, web, _ = make(deadlines=SHORT)
        async with TurnServer(config, web=web, deadlines=SHORT_STREAMS) as server:
            wire = await Wire.connect(https(server))
            wire.send(sent)

            async def trickle() -> None:
                while True:
                    await asyncio.sleep(0.02)
                    if len(sent) > 1:
                        wire.send(b"x: y\r\n")

            trickling = asyncio.create_task(trickle())
            await wire.end()
            trickling.cancel()
            await asyncio.gather(trickling, return_exceptions=True)
            assert (await (await Wire.connect(https(server))).ask()).status == 200
            wire.writer.close()

    run(scenario())
    reasons = {getattr(record, "reason", "") for record in caplog.records if record.message == "turn.connection_closed"}
    assert reasons == {"no-request" if sent else "no-message"}


def test_a_second_request_that_does_not_come_ends_the_connection_too(run: Run, make: Make) -> None:
    """SG-11: keeping a connection is no way around it."""

    async def scenario() -> None:
        config, web, _ = make(deadlines=SHORT)
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            assert (await wire.ask()).status == 200
            wire.send(b"GET / HT")
            await wire.end()
            idle = await Wire.connect(https(server))
            assert (await idle.ask()).status == 200
            await idle.end()
            await eventually(lambda: is_empty(server))

    run(scenario())


def test_a_body_that_trickles_in_ends_with_the_request(run: Run, make: Make) -> None:
    """SG-11, CR-7: a request has its time, however it spends it."""

    async def scenario() -> None:
        config, web, _ = make(deadlines=SHORT)
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
            await wire.end()
            await eventually(lambda: is_empty(server))

    run(scenario())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD_SIZE + 1000), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD_SIZE + 1) + b"\r\n\r\n", 431),
        (b"GET /?" + b"x" * (MAX_HEAD_SIZE + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
    ],
    ids=[
        "long head",
        "long head at once",
        "long target",
        "many headers",
        "both lengths",
        "two lengths",
        "negative",
        "two hosts",
        "version",
    ],
)
def test_a_request_that_may_be_read_in_two_ways_is_refused(run: Run, make: Make, request_: bytes, status: int) -> None:
    """CR-7: and the connection ends, so that what follows is nobody's request."""

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(request_)
            assert (await wire.end()).startswith(b"HTTP/1.1 %d" % status)
        assert app.scopes == []

    run(scenario())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (upgrade(b"".join(b"x%d: y\r\n" % n for n in range(120))), 431),
        (upgrade(b"".join(b"x%d: y\r\n" % n for n in range(140))), 431),
        (upgrade(b"X: " + b"x" * (MAX_HEAD_SIZE + 1) + b"\r\n"), 431),
        (upgrade(b"Content-Length: 10\r\n") + b"0123456789", 400),
        (upgrade(b"Transfer-Encoding: chunked\r\n"), 400),
        (upgrade(b"Host: b\r\n"), 400),
        (upgrade(target=b"/?" + b"x" * 8200), 414),
        (upgrade(method=b"POST"), 405),
    ],
    ids=["headers", "more headers", "long head", "length", "chunked", "two hosts", "long target", "POST"],
)
def test_an_upgrade_that_is_not_taken_is_answered(run: Run, make: Make, request_: bytes, status: int) -> None:
    """CR-7, SG-9: at once, and the application never hears of it."""

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(request_)
            assert (await wire.end()).startswith(b"HTTP/1.1 %d " % status)
            await eventually(lambda: is_empty(server))
        assert app.scopes == []

    run(scenario())


def test_an_upgrade_may_have_long_headers(run: Run, make: Make) -> None:
    """SG-5: a thousand hops that somebody made up, and the longest token, reach the application whole."""

    async def scenario() -> None:
        config, web, app = make()
        hops = b", ".join([b"198.51.100.1"] * 1000)
        token = b"Bearer " + b"t" * 8192
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(
                upgrade(b"X-Forwarded-For: " + hops + b"\r\nAuthorization: " + token + b"\r\nX-Two: a\r\nX-Two: b\r\n")
            )
            assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            headers = app.scopes[0]["headers"]
            assert (b"x-forwarded-for", hops) in headers
            assert (b"authorization", token) in headers
            assert [value for name, value in headers if name == b"x-two"] == [b"a", b"b"]

    run(scenario())


PING = b"\x89\x80" + bytes(4)
PONG = b"\x8a\x80" + bytes(4)
FRAGMENT = b"\x00\x80" + bytes(4)


@pytest.mark.parametrize("frames", [PING, PONG, FRAGMENT], ids=["pings", "pongs", "fragments"])
def test_a_flood_of_frames_that_carry_nothing_ends_the_connection(run: Run, make: Make, frames: bytes) -> None:
    """SG-14: with 1008, for pings, pongs and parts of a message that has no end."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(upgrade())
            await wire.reader.readuntil(b"\r\n\r\n")
            if frames == FRAGMENT:
                wire.send(b"\x01\x80" + bytes(4))
            wire.send(frames * MAX_BARE_FRAMES * 100)
            assert (await wire.end()).endswith(b"\x88\x11\x03\xf0too many frames")
            await eventually(lambda: is_empty(server))

    run(scenario())


def test_pings_now_and_then_and_long_fragments_are_nothing_to_worry_about(run: Run, make: Make) -> None:
    """SG-14: what clients of this world do."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            sock = connected(https(server))
            async with connect_websocket(f"wss://{NAME}/", sock=sock, ssl=context(), server_hostname=NAME) as socket:
                for _ in range(MAX_BARE_FRAMES // 2):
                    await (await socket.ping())
                for _ in range(10):
                    await socket.send(["x" * MIN_FRAGMENT] * 60)
                    assert len(await socket.recv()) == 60 * MIN_FRAGMENT

    run(scenario())


def test_a_frame_above_the_limit_is_closed_with_1009(run: Run, make: Make) -> None:
    """SG-8: in one frame or in fragments, and nothing is compressed that could grow here."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            for message in ("x" * (MAX_FRAME_SIZE + 1), ["x" * 1024] * 65):
                sock = connected(https(server))
                socket = await connect_websocket(f"wss://{NAME}/", sock=sock, ssl=context(), server_hostname=NAME)
                assert not socket.protocol.extensions
                sending = asyncio.create_task(socket.send(message))
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                await asyncio.gather(sending, return_exceptions=True)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009
                await socket.close()

    run(scenario())


def test_the_longest_frame_passes(run: Run, make: Make) -> None:
    """SG-8: the limit is what it says."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            sock = connected(https(server))
            async with connect_websocket(f"wss://{NAME}/", sock=sock, ssl=context(), server_hostname=NAME) as socket:
                await socket.send("x" * MAX_FRAME_SIZE)
                assert len(await socket.recv()) == MAX_FRAME_SIZE

    run(scenario())


def test_pings_of_somebody_who_does_not_read_are_not_answered_for_ever(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SG-14: answers to pings wait for nobody's permission, so their bytes are bounded as well as their number."""
    monkeypatch.setattr(http_websocket, "MAX_BARE_FRAMES", 1 << 30)

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(in_clear(server), secure=False)
            wire.send(upgrade())
            await wire.reader.readuntil(b"\r\n\r\n")
            transport = wire.writer.transport
            assert hasattr(transport, "pause_reading")
            transport.pause_reading()
            ping = b"\x89\xfd" + bytes(4) + bytes(125)
            sent = 0
            async with asyncio.timeout(30):
                while not transport.is_closing() and server.web is not None and len(server.web):
                    wire.send(ping * 1000)
                    sent += 129_000
                    await asyncio.sleep(0)
                    if transport.get_write_buffer_size() > 1 << 20:
                        await asyncio.sleep(0.01)
            assert sent > MAX_WRITE_BUFFER

    run(scenario())


def test_connections_of_one_source_are_bounded_before_anybody_asks_who_it_is(run: Run, make: Make) -> None:
    """SG-11: the quota of connections holds for HTTP as for TURN, and places come back."""

    async def scenario() -> None:
        config, web, _ = make(quota={"connections_per_source": 3})
        async with TurnServer(config, web=web) as server:
            wires = [await Wire.connect(https(server)) for _ in range(3)]
            assert [(await wire.ask()).status for wire in wires] == [200] * 3
            with pytest.raises((ConnectionError, OSError)):
                await Wire.connect(https(server))
            other = await Wire.connect(https(server), source="127.0.0.2")
            assert (await other.ask()).status == 200
            for wire in wires:
                wire.writer.close()
            await eventually(lambda: len(server._entrance.limit) == 1)
            assert (await (await Wire.connect(https(server))).ask()).status == 200

    run(scenario())


def test_hundreds_of_silent_connections_keep_nobody_out(run: Run, make: Make) -> None:
    """SG-11: idle sockets and half handshakes end by themselves, and new clients are served meanwhile."""

    async def scenario() -> None:
        config, web, _ = make(deadlines=SHORT)
        async with TurnServer(config, web=web, deadlines=SHORT_STREAMS) as server:
            sockets = [connected(https(server)) for _ in range(200)]
            for half in sockets[:100]:
                half.send(b"\x16\x03\x01\x02\x00\x01")
            assert (await (await Wire.connect(https(server))).ask()).status == 200
            await eventually(lambda: len(server._entrance.limit) <= 1)
            for one in sockets:
                one.close()

    run(scenario())


def test_an_application_that_raises_is_a_500_and_its_text_stays_here(
    run: Run, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """SG-7, CR-6: what an exception says may hold a token; where it came from is told once per ten seconds."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            for _ in range(5):
                wire = await Wire.connect(https(server))
                answer = await wire.ask("/raises?token=secret-token")
                assert (answer.status, answer.body) == (500, b"Internal Server Error")

    run(scenario())
    failures = [record for record in caplog.records if record.message == "http.failed"]
    assert len(failures) == 1
    assert getattr(failures[0], "error", "") == "RuntimeError"
    assert "secret-token" not in caplog.text + str([vars(record) for record in caplog.records])


def test_targets_and_frames_of_clients_are_in_no_log(run: Run, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """SG-7: uvicorn would write the target of every WebSocket, and a traceback for bad UTF-8."""
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            sock = connected(https(server))
            uri = f"wss://{NAME}/?token=secret-token"
            async with connect_websocket(
                uri, sock=sock, ssl=context(), server_hostname=NAME, logger=logging.getLogger("quiet.client")
            ) as socket:
                await socket.send(b"\xff\xfe secret-token", text=True)
                with pytest.raises(ConnectionClosed):
                    await socket.recv()

    logging.getLogger("quiet.client").setLevel(logging.CRITICAL)
    run(scenario())
    written = [str(vars(record)) for record in caplog.records if not record.name.startswith(("quiet", "asyncio"))]
    assert not [line for line in written if "secret-token" in line]


# The end


def test_while_it_drains_health_is_told_and_everything_else_refused(run: Run, make: Make) -> None:
    """OP-1: 503 over HTTP and before a WebSocket, at once; what is being answered is answered."""

    async def scenario() -> None:
        config, web, app = make()
        async with TurnServer(config, web=web) as server:
            slow = await Wire.connect(https(server))
            slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            sock = connected(https(server))
            socket = await connect_websocket(f"wss://{NAME}/", sock=sock, ssl=context(), server_hostname=NAME)
            await socket.send("before")
            assert await socket.recv() == "before"
            await eventually(lambda: len(app.scopes) == 2)
            server.begin_drain()
            refused = await (await Wire.connect(https(server))).ask("/v1/ice-servers")
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert (await (await Wire.connect(https(server))).ask("/readyz")).status == 200
            with pytest.raises(InvalidStatus) as late:
                await connect_websocket(
                    f"wss://{NAME}/", sock=connected(https(server)), ssl=context(), server_hostname=NAME
                )
            assert late.value.response.status_code == 503
            await socket.send("still")  # the application says when it is over for those who are there
            assert await socket.recv() == "still"
            app.release.set()
            assert (await slow.answer()).body == b"late"
            await server.close()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            await socket.close()
        assert app.ended == 1

    run(scenario())


def test_a_server_closes_though_a_request_hangs(run: Run, make: Make) -> None:
    """OP-1: within the time that a shutdown has, whatever clients and application do."""

    async def scenario() -> None:
        config, web, app = make(deadlines=HttpDeadlines(shutdown=0.3))
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            wire.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await eventually(lambda: len(app.scopes) == 1)
            async with asyncio.timeout(5):
                await server.close()
            assert is_empty(server)
        assert app.ended == 1

    run(scenario())


def test_an_application_that_cannot_start_stops_the_start(run: Run, make: Make) -> None:
    async def scenario() -> None:
        config, web, app = make()
        app.fail = True
        server = TurnServer(config, web=web)
        with pytest.raises(ConfigurationError, match="failed to start"):
            await server.start()

    run(scenario())


def test_a_new_certificate_counts_for_https_websocket_and_turn(run: Run, make: Make, tmp_path: Path) -> None:
    """OP-4: one reload for all three, and connections of before live on."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            old = await Wire.connect(https(server))
            before = old.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
            certificates.good(tmp_path)
            assert server.reload_certificates()
            for alpn in (("http/1.1",), ("stun.turn",), ()):
                wire = await Wire.connect(https(server), *alpn)
                assert wire.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"] != before
            assert (await old.ask()).status == 200

    run(scenario())


def test_what_the_bytes_say_of_the_client_is_not_believed(run: Run, make: Make) -> None:
    """SG-5: forwarding headers are the application's business; the server's word about the client is the socket's."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            wire = await Wire.connect(https(server))
            headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "Forwarded": "for=203.0.113.9"}
            answer = await wire.ask(headers=headers)
            assert json.loads(answer.body)["client"] == list(wire.own)
            assert answer.json["scheme"] == "https"

    run(scenario())


def test_no_client_reaches_the_https_port_through_the_relay(run: Run, make: Make) -> None:
    """TR-5: it is a listener of ours like the others."""

    async def scenario() -> None:
        config, web, _ = make()
        async with TurnServer(config, web=web) as server:
            client = await Client.allocated(https(server), Transport.TLS)
            for address in (https(server), in_clear(server)):
                with pytest.raises(Refused, match="403"):
                    await client.bind(0x4000, address)

    run(scenario())
