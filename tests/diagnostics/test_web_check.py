"""HTTPS, WebSocket and the clock, at servers that are broken in one way each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest

from icelane.aio.system import SystemWallClock
from icelane.diagnostics import Cause, CheckResult, CheckStatus
from icelane.diagnostics.site import FixedLookup, Site, parse_site
from icelane.diagnostics.web_check import check_clock, check_https, check_name, check_websocket
from icelane.errors import MalformedError
from tests.interop.running import free_port

WHOAMI = b'{"ip":"192.0.2.7","port":1,"tls":true,"httpVersion":"1.1","headersSeen":[]}'


def answer(body: bytes = WHOAMI, *, status: str = "200 OK", ahead: float = 0.0) -> bytes:
    date = formatdate(time.time() + ahead, usegmt=True)
    head = f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def site_that_says(said: bytes) -> AsyncIterator[Site]:
    """Whatever it is asked."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Site(host="call.example", port=port, secure=False, lookup=FixedLookup({"call.example": "127.0.0.1"}))


def found(said: bytes, check: Callable[[Site], Awaitable[CheckResult]]) -> CheckResult:
    async def run() -> CheckResult:
        async with site_that_says(said) as site:
            return await check(site)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("ahead", "status", "said"),
    [
        (0.0, CheckStatus.PASSED, "differs by"),
        (60.0, CheckStatus.WARNED, "ahead of"),
        (3600.0, CheckStatus.FAILED, "60 minutes ahead of"),
        (-3600.0, CheckStatus.FAILED, "60 minutes behind"),
        (86_400.0, CheckStatus.FAILED, "24.0 hours ahead"),
    ],
)
def test_a_clock_that_is_off_is_named_with_its_direction(ahead: float, status: CheckStatus, said: str) -> None:
    result = found(answer(ahead=ahead), lambda site: check_clock(site, SystemWallClock()))
    assert result.status is status, result
    assert said in result.detail
    assert (result.cause is Cause.CLOCK_WRONG) == (status is not CheckStatus.PASSED)


def test_a_server_that_does_not_say_the_time_is_no_failure() -> None:
    result = found(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", lambda site: check_clock(site, SystemWallClock()))
    assert result.status is CheckStatus.SKIPPED


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (answer(), None),
        (answer(b"<html>welcome to nginx</html>"), Cause.HTTPS_WRONG),
        (answer(b"[]"), Cause.HTTPS_WRONG),
        (answer(b"{}", status="404 Not Found"), Cause.HTTPS_WRONG),
        (answer(b"[" * 50_000), Cause.HTTPS_WRONG),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Cause.HTTPS_WRONG),
        (b"", Cause.HTTPS_WRONG),
    ],
    ids=["ours", "a page", "a list", "nothing there", "brackets", "SSH", "silence"],
)
def test_what_is_not_our_server_is_named(said: bytes, cause: Cause | None) -> None:
    assert found(said, check_https).cause is cause


@pytest.mark.parametrize("status", ["200 OK", "502 Bad Gateway", "426 Upgrade Required"])
def test_a_proxy_that_does_not_forward_the_upgrade_is_named(status: str) -> None:
    result = found(answer(b"", status=status), check_websocket)
    assert result.cause is Cause.WEBSOCKET_BLOCKED
    assert "Upgrade" in (result.mend or "")


def test_a_closed_port_is_silence() -> None:
    site = parse_site(f"http://127.0.0.1:{free_port()}")
    assert asyncio.run(check_https(site)).cause is Cause.HTTPS_SILENT
    assert asyncio.run(check_websocket(site)).cause is Cause.HTTPS_SILENT


def test_a_name_that_leads_nowhere_is_named() -> None:
    assert asyncio.run(check_name(parse_site("https://nobody.invalid"))).cause is Cause.NAME_UNKNOWN


@pytest.mark.parametrize(
    "text", ["call.example.org", "ftp://a", "https://", "https://user:hidden@a", "https://[::1", "https://a:b"]
)
def test_what_is_no_url_of_a_site_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_site(text)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown", "websocket"),
    [
        ("https://Call.Example.org/r/x?y#z", "https://call.example.org", "wss://call.example.org"),
        ("https://call.example.org:8443", "https://call.example.org:8443", "wss://call.example.org:8443"),
        ("http://[::1]:80", "http://[::1]", "ws://[::1]"),
    ],
)
def test_a_site_is_written_as_it_is_asked(text: str, shown: str, websocket: str) -> None:
    site = parse_site(text)
    assert (str(site), site.websocket) == (shown, websocket)
