"""A way through proxies on loopback: good ones, and each kind of bad one in words."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from icelane.aio import proxy_tunnel
from icelane.aio.connect_method import MAX_HEAD
from icelane.aio.proxy import HttpProxy, parse_proxy
from icelane.aio.proxy_tunnel import open_tunnel
from icelane.aio.resolver import SystemLookup
from icelane.core.net import NamedPlace, SocketAddress
from icelane.errors import ProxyError, ResolutionError
from tests import certificates
from tests.aio.proxies import HANG_UP, SILENT, fake_proxy
from tests.loops import Run

SERVER = NamedPlace("turn.example.org", 443)
SECRET = "wonderland"


def with_user(url: str) -> HttpProxy:
    return parse_proxy(url.replace("://", f"://alice:{SECRET}@"))


class Listener(asyncio.Protocol):
    """Hears one piece."""

    def __init__(self) -> None:
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.heard.set_result(data)


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    writer.close()


async def refused(proxy: HttpProxy, *, authority: Path | None = None) -> ProxyError:
    """What comes of asking."""
    with pytest.raises(ProxyError) as caught:
        (await open_tunnel(proxy, SERVER, authority=authority)).abort()
    await asyncio.sleep(0.01)  # the transport closes in a turn of the loop
    assert SECRET not in str(caught.value)
    assert "alice" not in str(caught.value)
    return caught.value


def test_the_proxy_looks_the_name_up_and_connects(run: Run) -> None:
    async def scenario() -> None:
        async with fake_proxy(hosts={"turn.example.org": "127.0.0.1"}) as proxy:
            echo = await asyncio.start_server(echoed, "127.0.0.1", 0)
            place = NamedPlace("turn.example.org", echo.sockets[0].getsockname()[1])
            tunnel = await open_tunnel(parse_proxy(proxy.url), place)
            listener = Listener()
            tunnel.set_protocol(listener)
            tunnel.resume_reading()
            tunnel.write(b"hello")
            assert await asyncio.wait_for(listener.heard, 5) == b"hello"
            assert proxy.targets == [str(place)]
            assert "Proxy-Authorization" not in proxy.requests[0]
            tunnel.abort()
            echo.close()
            await asyncio.sleep(0.01)

    run(scenario())


def test_an_ipv6_address_is_asked_for_in_brackets(run: Run) -> None:
    async def scenario() -> None:
        async with fake_proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
            with pytest.raises(ProxyError, match=r"does not allow connections to \[2001:db8::1\]:443"):
                await open_tunnel(parse_proxy(proxy.url), SocketAddress("2001:db8::1", 443))
            assert proxy.targets == ["[2001:db8::1]:443"]
            await asyncio.sleep(0.01)

    run(scenario())


def test_a_user_is_told_to_the_proxy_without_being_asked_for(run: Run) -> None:
    async def scenario() -> None:
        async with fake_proxy(b"HTTP/1.1 502 x\r\n\r\n") as proxy:
            await refused(with_user(proxy.url))
            assert "\r\nProxy-Authorization: Basic YWxpY2U6d29uZGVybGFuZA==\r\n" in proxy.requests[0]
            assert len(proxy.requests) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "does not understand"),
        (403, "does not allow connections to turn.example.org:443"),
        (405, "allows no CONNECT"),
        (418, "does not connect to turn.example.org:443"),
        (301, "does not connect to turn.example.org:443"),
        (500, "has failed"),
        (501, "knows no CONNECT"),
        (502, "cannot reach turn.example.org:443"),
        (503, "cannot connect to turn.example.org:443 now"),
        (504, "got no answer from turn.example.org:443"),
    ],
)
def test_a_refusal_is_told_in_words(run: Run, status: int, words: str) -> None:
    async def scenario() -> None:
        async with fake_proxy(b"HTTP/1.1 %d wonderland, alice?\r\n\r\n<html>" % status) as proxy:
            error = await refused(with_user(proxy.url))
            assert error.status == status
            assert words in str(error)
            assert str(error).endswith(f"it answered {status}")
            assert proxy.place in str(error)

    run(scenario())


@pytest.mark.parametrize(
    ("fields", "has_user", "words"),
    [
        (b"Proxy-Authenticate: Basic realm=x\r\n", False, "by Basic: it answered 407, and no user and password were"),
        (b"Proxy-Authenticate: Basic realm=x\r\n", True, "does not take the user and password that it was given"),
        (b"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Digest\r\n", True, "by NTLM or Digest: it answered 407"),
        (b"Proxy-Authenticate: NTLM\r\n", True, "of these none is supported, only Basic is"),
        (b"Proxy-Authenticate: Negotiate, BASIC\r\n", False, "no user and password were given"),
        (b"", True, "by nothing that it names"),
    ],
)
def test_a_407_says_what_is_asked_for_and_whether_it_was_given(
    run: Run, fields: bytes, has_user: bool, words: str
) -> None:
    async def scenario() -> None:
        async with fake_proxy(b"HTTP/1.1 407 x\r\n" + fields + b"\r\n") as proxy:
            error = await refused(with_user(proxy.url) if has_user else parse_proxy(proxy.url))
            assert error.status == 407
            assert words in str(error)
            assert len(proxy.requests) == 1, "a user is told once"

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP as a proxy does"),
        (b"HTTP/1.1 200 OK\r\nx: " + bytes(2 * MAX_HEAD), f"no end within {MAX_HEAD} bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "sent more than its answer"),
        (HANG_UP, "closed the connection instead of answering"),
    ],
)
def test_what_is_no_proxy_is_told_in_words(run: Run, behaviour: str | bytes, words: str) -> None:
    async def scenario() -> None:
        async with fake_proxy(behaviour) as proxy:
            error = await refused(with_user(proxy.url))
            assert error.status is None
            assert words in str(error)

    run(scenario())


@pytest.mark.parametrize("behaviour", [SILENT, b"HTTP/1.1 200 OK\r\n"])
def test_a_proxy_that_does_not_finish_its_answer_is_given_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, behaviour: str | bytes
) -> None:
    monkeypatch.setattr(proxy_tunnel, "PROXY_TIMEOUT", 0.1)

    async def scenario() -> None:
        async with fake_proxy(behaviour) as proxy:
            error = await refused(with_user(proxy.url))
            assert "does not answer CONNECT within 0.1 s" in str(error)
            async with asyncio.timeout(5):
                while proxy.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run(scenario())


def test_nobody_listening_is_told_at_once(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            place = f"127.0.0.1:{closed.getsockname()[1]}"
        assert f"cannot connect to the proxy http://{place}: " in str(await refused(with_user(f"http://{place}")))

    run(scenario())


def test_a_proxy_whose_name_leads_nowhere_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(_: object, host: str) -> list[str]:
        raise ResolutionError(f"{host}: Name or service not known")

    monkeypatch.setattr(SystemLookup, "addresses", nowhere)

    async def scenario() -> None:
        error = await refused(with_user("http://proxy.invalid:3128"))
        assert "http://proxy.invalid:3128 was not found by its name" in str(error)

    run(scenario())


def test_a_proxy_over_tls_is_verified_by_its_own_name_before_it_is_told_anything(run: Run, tmp_path: Path) -> None:
    authority = certificates.authority_file(tmp_path)
    good, bad = certificates.good(tmp_path, "localhost"), certificates.misnamed(tmp_path)

    async def scenario() -> None:
        async with fake_proxy(b"HTTP/1.1 403 x\r\n\r\n", context=certificates.serving(good)) as proxy:
            assert (await refused(with_user(proxy.secure_url), authority=authority)).status == 403
            assert "Proxy-Authorization" in proxy.requests[0]
        async with fake_proxy(b"HTTP/1.1 403 x\r\n\r\n", context=certificates.serving(bad)) as proxy:
            error = await refused(with_user(proxy.secure_url), authority=authority)
            assert "the certificate of the proxy" in str(error)
            assert "is refused" in str(error)
            assert proxy.requests == []

    run(scenario())


def test_a_proxy_that_speaks_no_tls_is_told(run: Run, tmp_path: Path) -> None:
    authority = certificates.authority_file(tmp_path)

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            error = await refused(with_user(url), authority=authority)
            assert "the TLS handshake with the proxy" in str(error)

    run(scenario())


def test_who_stops_waiting_at_any_time_leaves_nothing_behind(run: Run) -> None:
    """Neither a connection nor an error that nobody has asked for: `run` would tell of that."""

    async def scenario() -> None:
        async with fake_proxy(SILENT) as proxy:
            for turns in range(12):
                asking = asyncio.ensure_future(open_tunnel(with_user(proxy.url), SERVER))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            async with asyncio.timeout(5):
                while proxy.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run(scenario())
