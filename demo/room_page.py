"""The call page in Chromium, and what somebody does in it: enter, write, send a file, take one, look at the code."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from playwright.async_api import Browser, Page

from demo.call import STATISTICS_INTERVAL, EndReport
from demo.chromium import statistics_of
from demo.node import DemoNode

_STATISTICS = (Path(__file__).parent / "statistics.js").read_text()
# The page keeps its connections to itself, and getStats is what is to be compared.
_REMEMBER_CALLS = """
const calls = [];
Object.assign(window, { calls, RTCPeerConnection: class extends RTCPeerConnection {
  constructor(...given) { super(...given); calls.push(this); }
} });
"""
_PEER = ".tile[data-kind=peer]"
TIMEOUT = 20_000  # milliseconds for one thing that the page is to show


class RoomPage:
    """One visitor; to be closed."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._name = name
        page.set_default_timeout(TIMEOUT)

    @classmethod
    async def entered(cls, browser: Browser, node: DemoNode, name: str) -> RoomPage:
        """Open the link, and enter with camera and microphone."""
        page = await (await browser.new_context()).new_page()
        await page.add_init_script(_REMEMBER_CALLS)
        visitor = cls(page, name)
        await page.goto(node.link(name))
        await page.wait_for_selector("#camera-switch[aria-pressed=true]", state="attached")
        await page.fill("#name", name)
        visitor._began = time.perf_counter()
        await page.click("#join")
        await page.wait_for_selector("#call:not([hidden])")
        return visitor

    _began = 0.0
    set_up = 0.0

    async def called(self) -> None:
        """Wait until somebody is connected."""
        await self._sees("() => calls.length > 0 && calls.at(-1).connectionState === 'connected'")
        self.set_up = time.perf_counter() - self._began
        await self._page.click("#chat-switch")

    async def say(self, text: str) -> None:
        """Write something."""
        await self._page.fill("#words", text)
        await self._page.press("#words", "Enter")

    async def reads(self, text: str) -> None:
        """Wait until it is written there."""
        await self._sees("text => document.querySelector('#lines').textContent.includes(text)", text)

    async def send(self, file: Path) -> None:
        """Send a file, and wait until the page says that its hash is right over there."""
        await self._page.set_input_files("#file", file)
        await self.reads("Sent, and the hash is right.")

    async def take(self) -> None:
        """Take the file that comes, and wait until the page says that its hash is right."""
        await self._page.click("text=Take it")
        await self.reads("It is here, and the hash is right.")

    async def code(self) -> str:
        """The security code that the page shows."""
        await self._page.click(f"{_PEER} .path")
        await self._sees(r"() => /^(\d{4} ?){5}$/.test(document.querySelector('#code').textContent.trim())")
        return " ".join((await self._page.inner_text("#code")).split())

    async def decoded(self, frames: int) -> None:
        """Wait for so many pictures."""
        await self._sees(
            f"async frames => {{ {_STATISTICS}; return (await statisticsOf(calls.at(-1))).framesDecoded >= frames }}",
            frames,
        )

    async def report(self, *, sent: int, received: int, round_trip: float | None = None) -> EndReport:
        """What this end has measured, as RoomPeer.report."""
        found = statistics_of(
            await self._page.evaluate(f"async () => {{ {_STATISTICS}; return await statisticsOf(calls.at(-1)) }}")
        )
        measured = vars(found) | {"round_trip": found.round_trip if round_trip is None else round_trip}
        return EndReport(
            **measured, set_up=self.set_up, payload_sent=sent, payload_received=received, payload_intact=True
        )

    async def _sees(self, condition: str, given: object = None) -> None:
        """Wait until a function of the page's says yes. Playwright's own waiting asks for what the page's policy
        forbids, which is to evaluate text."""
        while not await self._page.evaluate(condition, given):
            await asyncio.sleep(STATISTICS_INTERVAL)

    async def aclose(self) -> None:
        """Close the page and whatever it sends."""
        await self._page.context.close()
