"""Chromium pages as ends of calls that may only go through a relay.

`relayed_call(ice_servers)` starts one headless Chromium, opens `page.html` twice, lets the two call each other and
returns what both measured. Nothing is fetched from anywhere: the pages come from this folder, answered by the driver
without a socket.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from playwright.async_api import Browser, Error, Page, Route, async_playwright

from demo.call import CallReport, Security, Statistics, run_call

PACKAGE = "chromium"  # the Debian package that brings the program of the same name

IceServer: TypeAlias = Mapping[str, str | Sequence[str]]
"""One entry of `iceServers`: `urls`, `username`, `credential`."""

_HERE = Path(__file__).parent
# A name that needs no look-up and is a secure context, which getUserMedia and crypto.subtle ask for.
_ORIGIN = "http://127.0.0.1"
_CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript"}
# W3C webrtc-stats: four hexadecimal digits, the version on the wire.
_DTLS_VERSIONS = {"FEFD": "DTLSv1.2", "FEFC": "DTLSv1.3"}
_VIDEO = {"width": 320, "height": 240, "frameRate": 15}

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Without these a start asks for the vendor's hosts, which a machine without a way out refuses one by one.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Where loopback is the only network, a peer connection would otherwise have no network to gather on.
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class CallFailedError(Exception):
    """The two pages did not get through, or not in time. The text holds what the browsers said of it."""


def installed_chromium() -> str | None:
    """The path of the distribution's Chromium, or None."""
    return shutil.which("chromium")


async def relayed_call(
    ice_servers: Sequence[IceServer],
    *,
    payload: int = 1 << 20,
    frames: int = 30,
    timeout: float = 60.0,
    extra_arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> CallReport:
    """Let two pages exchange `payload` bytes each way and decode `frames` pictures each, by relay only.

    `timeout` is for the call, in seconds; starting Chromium is not counted. `environment` is Chromium's, by default
    ours. Raises CallFailedError when the time is over.
    """
    async with chromium(extra_arguments=extra_arguments, environment=environment) as browser:
        caller, callee = await PageEnd.open(browser, ice_servers), await PageEnd.open(browser, ice_servers)
        try:
            async with asyncio.timeout(timeout):
                return await run_call(caller, callee, payload=payload, frames=frames)
        except TimeoutError:
            states = [await page.state() for page in (caller, callee)]
            raise CallFailedError(f"not finished after {timeout:g} s: {states}") from None


@asynccontextmanager
async def chromium(
    *, extra_arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> AsyncIterator[Browser]:
    """The distribution's Chromium without a window. Raises CallFailedError when it is not installed."""
    executable = installed_chromium()
    if executable is None:
        raise CallFailedError(f"Chromium is not installed (Debian package {PACKAGE})")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            headless=True,
            args=[*_ARGUMENTS, *extra_arguments],
            env=dict(environment) if environment is not None else None,
        )
        try:
            yield browser
        finally:
            await browser.close()


class PageEnd:
    """A page of its own context, so that two share nothing but the machine."""

    def __init__(self, page: Page, ice_servers: Sequence[IceServer]) -> None:
        self._page = page
        self._ice_servers = list(ice_servers)
        self._candidates: asyncio.Queue[str] = asyncio.Queue()

    @classmethod
    async def open(cls, browser: Browser, ice_servers: Sequence[IceServer]) -> PageEnd:
        """Load the page."""
        context = await browser.new_context()
        page = await context.new_page()
        end = cls(page, ice_servers)
        await page.route("**/*", _serve)
        await page.expose_function("signal", end._candidates.put_nowait)
        await page.goto(f"{_ORIGIN}/page.html")
        return end

    async def begin(self, *, video: bool) -> None:
        given = [self._ice_servers, _VIDEO if video else None]
        await self._page.evaluate("([servers, video]) => begin(servers, video)", given)

    async def offer(self) -> str:
        return str(await self._page.evaluate("offer()"))

    async def answer(self, sdp: str) -> str:
        return str(await self._page.evaluate("sdp => answer(sdp)", sdp))

    async def accept(self, sdp: str) -> None:
        await self._page.evaluate("sdp => accept(sdp)", sdp)

    async def next_candidate(self) -> str:
        return await self._candidates.get()

    async def add_candidate(self, candidate: str) -> None:
        # A candidate may overtake the description, which the driver carries too; the browser keeps no early ones.
        await self._page.wait_for_function("connection?.remoteDescription != null")
        await self._page.evaluate("text => addCandidate(text)", candidate)

    async def opened(self) -> float:
        return float(await self._page.evaluate("opened()"))

    async def send(self, size: int) -> str:
        return str(await self._page.evaluate("size => send(size)", size))

    async def received(self, size: int) -> tuple[int, str]:
        arrived = await self._page.evaluate("size => received(size)", size)
        return arrived["bytes"], arrived["sha256"]

    async def statistics(self) -> Statistics:
        stats = await self._page.evaluate("report()")
        return statistics_of(stats, tuple(stats["problems"]))

    async def problems(self) -> tuple[str, ...]:
        return tuple(await self._page.evaluate("problems"))

    async def aclose(self) -> None:
        """Close the page and whatever it sends."""
        await self._page.context.close()

    async def state(self) -> Any:
        """Whatever there is to say of a call that did not get through."""
        try:
            return await self._page.evaluate("typeof connection === 'object' ? report() : null")
        except Error as error:
            return str(error)


def statistics_of(stats: Mapping[str, Any], problems: tuple[str, ...] = ()) -> Statistics:
    """What `statisticsOf` of statistics.js has returned."""
    return Statistics(
        connection_state=stats["connectionState"],
        local_candidate=stats["localType"],
        remote_candidate=stats["remoteType"],
        relay_protocol=stats["relayProtocol"],
        transport_bytes_sent=stats["bytesSent"],
        transport_bytes_received=stats["bytesReceived"],
        round_trip=stats["currentRoundTripTime"],
        security=Security(
            protocol=_DTLS_VERSIONS.get(stats["tlsVersion"], "unknown"),
            cipher_suite=stats["dtlsCipher"],
            srtp_profile=stats["srtpCipher"],
            local_fingerprint=stats["localFingerprint"],
            remote_fingerprint=stats["remoteFingerprint"],
        ),
        frames_decoded=stats["framesDecoded"],
        video_packets_received=stats["packetsReceived"],
        video_packets_lost=stats["packetsLost"],
        codecs=tuple(stats["codecs"]),
        problems=problems,
    )


async def _serve(route: Route) -> None:
    file = _HERE / route.request.url.removeprefix(_ORIGIN).lstrip("/")
    if file.parent != _HERE or file.suffix not in _CONTENT_TYPES or not file.is_file():
        await route.fulfill(status=404)
        return
    await route.fulfill(body=file.read_text(), content_type=_CONTENT_TYPES[file.suffix])
