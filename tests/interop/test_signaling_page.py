"""The page of the examples in Chromium, the FastAPI program behind it, and a program of the examples in its room."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page

from demo.chromium import PACKAGE, chromium
from tests.interop.conftest import need_program
from tests.interop.running import accepts, free_port, running

pytestmark = [pytest.mark.interop, pytest.mark.once]

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 60.0
PICTURES = """() => {
  const videos = [...document.querySelectorAll("video")]
  return videos.length === 2 && videos.every(one => one.getVideoPlaybackQuality().totalVideoFrames > 5)
}"""


@contextmanager
def program(folder: Path) -> Iterator[str]:
    """The FastAPI program; its origin."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "fastapi_signaling:app", "--port", str(port)]
    with running(
        [*command, "--app-dir", str(EXAMPLES)],
        ready=lambda: accepts("127.0.0.1", port),
        directory=folder,
        environment=os.environ | {"ORIGIN": origin},
    ):
        yield origin


async def log_has(page: Page, text: str) -> None:
    """Wait for a line."""
    await page.wait_for_function("text => document.getElementById('log').textContent.includes(text)", arg=text)


def test_two_pages_and_a_program_see_and_hear_each_other(tmp_path: Path) -> None:
    need_program("chromium", PACKAGE)

    async def call(origin: str) -> None:
        async with asyncio.timeout(TIMEOUT), chromium() as browser:
            ann, bob = [await (await browser.new_context()).new_page() for _ in range(2)]
            await ann.goto(f"{origin}/#ann")
            await bob.goto(f"{origin}/#bob")
            await log_has(ann, "bob is here")
            await log_has(bob, "ann is here")
            await bob.fill("#words", "good morning")
            await bob.press("#words", "Enter")
            await log_has(ann, "bob: good morning")
            for page in (ann, bob):
                await page.wait_for_function(PICTURES)
            await bob.context.close()
            command = [
                str(EXAMPLES / "signaled_call.py"),
                origin.replace("http", "ws") + "/rtc/v1/signal",
                "bob",
                "demo",
            ]
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, env=os.environ | {"INTERFACES": "lo"}, stdout=asyncio.subprocess.DEVNULL
            )
            try:
                await log_has(ann, "bob: hello, I am bob")
            finally:
                process.kill()
                await process.wait()

    with program(tmp_path) as origin:
        asyncio.run(call(origin))


def test_a_page_that_is_refused_says_why(tmp_path: Path) -> None:
    need_program("chromium", PACKAGE)

    async def look(origin: str) -> None:
        async with asyncio.timeout(TIMEOUT), chromium() as browser:
            page = await browser.new_page()
            await page.goto(f"{origin}/#eve")
            await log_has(page, "unknown: only ann and bob are known here")

    with program(tmp_path) as origin:
        asyncio.run(look(origin))
