"""The echo server's own page, in Chromium."""

from __future__ import annotations

import asyncio

import pytest

from demo.chromium import PACKAGE, chromium
from tests.examples.test_examples import line_with, started
from tests.interop.conftest import need_program

pytestmark = pytest.mark.interop

# Otherwise Chromium hides 127.0.0.1 behind a name, and asks the local network's multicast group about it.
SHOW_ADDRESSES = "--disable-features=WebRtcHideLocalIpsWithMdns"


def test_the_page_of_the_echo_server_gets_its_words_back() -> None:
    need_program("chromium", PACKAGE)

    async def talk(url: str) -> str:
        async with chromium(extra_arguments=[SHOW_ADDRESSES]) as browser:
            page = await browser.new_page()
            await page.goto(url)
            await page.wait_for_function("document.getElementById('log').textContent.includes('connected')")
            await page.fill("#text", "Grüße")
            await page.press("#text", "Enter")
            await page.wait_for_function("document.getElementById('log').textContent.includes('echo')")
            return await page.inner_text("#log")

    with started("data_echo_server.py", "0") as server:
        url = line_with(server, "running on").split("running on ")[1].split(" ")[0]
        assert asyncio.run(talk(url)) == "connected\necho: Grüße\n"
