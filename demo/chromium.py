"""Two Chromium pages that may only talk through a relay exchange data and video; getStats says what went where.

`relayed_call(ice_servers)` starts one headless Chromium, opens `page.html` twice, carries the signaling between the two
pages itself and returns what both ends measured. Nothing is fetched from anywhere: the pages come from this folder,
answered by the driver without a socket.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

from playwright.async_api import Browser, Page, Route, async_playwright

from demo.call import CallReport, PageReport

PACKAGE = "chromium"  # the Debian package that brings the program of the same name

IceServer: TypeAlias = Mapping[str, str | Sequence[str]]
"""One entry of `iceServers`: `urls`, `username`, `credential`."""

_HERE = Path(__file__).parent
# A name that needs no look-up and is a secure context, which getUserMedia and crypto.subtle ask for.
_ORIGIN = "http://127.0.0.1"
_CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript"}
_STATISTICS_INTERVAL = 0.1  # seconds between two looks at getStats
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
    executable = installed_chromium()
    if executable is None:
        raise CallFailedError(f"Chromium is not installed (Debian package {PACKAGE})")
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=executable,
            headless=True,
            args=[*_ARGUMENTS, *extra_arguments],
            env=dict(environment) if environment is not None else None,
        )
        stack.push_async_callback(browser.close)
        caller, callee = await _open_page(browser), await _open_page(browser)
        try:
            async with asyncio.timeout(timeout):
                return await _call(caller, callee, ice_servers, payload, frames)
        except TimeoutError:
            states = [await _statistics(page) for page in (caller, callee)]
            raise CallFailedError(f"not finished after {timeout:g} s: {states}") from None


async def _open_page(browser: Browser) -> Page:
    """A page of its own context, so that the two share nothing but the machine."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.route("**/*", _serve)
    return page


async def _serve(route: Route) -> None:
    file = _HERE / route.request.url.removeprefix(_ORIGIN).lstrip("/")
    if file.parent != _HERE or file.suffix not in _CONTENT_TYPES or not file.is_file():
        await route.fulfill(status=404)
        return
    await route.fulfill(body=file.read_text(), content_type=_CONTENT_TYPES[file.suffix])


async def _call(caller: Page, callee: Page, ice_servers: Sequence[IceServer], payload: int, frames: int) -> CallReport:
    await _introduce(caller, callee)
    for page in (caller, callee):
        await page.goto(f"{_ORIGIN}/page.html")
        await page.evaluate("([servers, video]) => begin(servers, video)", [list(ice_servers), _VIDEO])
    offer = await caller.evaluate("offer()")
    answer = await callee.evaluate("sdp => answer(sdp)", offer)
    await caller.evaluate("sdp => accept(sdp)", answer)
    set_up: list[float] = await asyncio.gather(*(page.evaluate("opened()") for page in (caller, callee)))
    to_callee, to_caller = await asyncio.gather(_transfer(caller, callee, payload), _transfer(callee, caller, payload))
    await asyncio.gather(*(_wait_for_frames(page, frames) for page in (caller, callee)))
    return CallReport(
        caller=await _page_report(caller, set_up[0], payload, to_caller),
        callee=await _page_report(callee, set_up[1], payload, to_callee),
    )


async def _introduce(caller: Page, callee: Page) -> None:
    """Hand each page's candidates to the other, in order, once it has the description they belong to."""
    for source, target in ((caller, callee), (callee, caller)):

        async def carry(candidate: str, target: Page = target) -> None:
            # A candidate may overtake the description, which the driver carries too; the browser keeps no early ones.
            await target.wait_for_function("connection?.remoteDescription != null")
            await target.evaluate("text => addCandidate(text)", candidate)

        await source.expose_function("signal", carry)


async def _transfer(source: Page, target: Page, size: int) -> tuple[int, bool]:
    """Send `size` random bytes; returns how many came and whether they are the ones that were sent."""
    sent, arrived = await asyncio.gather(
        source.evaluate("size => send(size)", size), target.evaluate("size => received(size)", size)
    )
    return arrived["bytes"], arrived["sha256"] == sent


async def _wait_for_frames(page: Page, frames: int) -> None:
    while (await _statistics(page))["framesDecoded"] < frames:
        await asyncio.sleep(_STATISTICS_INTERVAL)


async def _statistics(page: Page) -> Any:
    return await page.evaluate("typeof connection === 'object' ? report() : null")


async def _page_report(page: Page, set_up: float, sent: int, arrived: tuple[int, bool]) -> PageReport:
    stats = await _statistics(page)
    return PageReport(
        connection_state=stats["connectionState"],
        local_candidate=stats["localType"],
        remote_candidate=stats["remoteType"],
        relay_protocol=stats["relayProtocol"],
        transport_bytes_sent=stats["bytesSent"],
        transport_bytes_received=stats["bytesReceived"],
        round_trip=stats["currentRoundTripTime"],
        frames_decoded=stats["framesDecoded"],
        video_packets_received=stats["packetsReceived"],
        video_packets_lost=stats["packetsLost"],
        set_up=set_up,
        payload_sent=sent,
        payload_received=arrived[0],
        payload_intact=arrived[1],
        problems=tuple(stats["problems"]),
    )
