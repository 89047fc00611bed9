"""What `icelane dev` is for: two people open its link in a browser that trusts its authority, and see each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from websockets.asyncio.client import connect

from benches.first_five_minutes import call_of_two
from demo.chromium import PACKAGE, chromium, relayed_call
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts
from icelane.aio.client_tls import client_context
from tests.cli.development import Development, development, home
from tests.interop.conftest import need_program
from tests.node.nodes import say

pytestmark = [pytest.mark.interop, pytest.mark.once]

PHONE = {"width": 360, "height": 740}
SERIOUS = ("serious", "critical")


async def welcomed(node: Development) -> dict[str, Any]:
    """The welcome of somebody who has the link."""
    context = client_context(node.authority, alpn=("http/1.1",))
    async with connect(node.document["urls"]["signal"], ssl=context, proxy=None) as websocket:
        return await say(websocket, {"type": "hello", "id": 1, "token": node.key})


async def _look_at_trust(node: Development, environment: dict[str, str], scheme: str) -> None:
    async with chromium(environment=environment) as browser:
        context = await browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        await page.goto(node.document["urls"]["trust"])
        await page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
        found = await Axe().run(page)
        assert [one["id"] for one in found.response["violations"] if one["impact"] in SERIOUS] == []
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        assert errors == []


def test_two_people_open_the_link_and_see_each_other(tmp_path: Path) -> None:
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)

    async def call(node: Development, environment: dict[str, str]) -> list[str]:
        async with chromium(environment=environment) as browser:
            return await call_of_two(browser, node.document["urls"]["call"])

    with home() as user, development(user, "blue-otter") as node:
        environment = environment_that_trusts(node.authority, tmp_path)
        paths = asyncio.run(call(node, environment))
        assert all(path.startswith("direct") for path in paths), paths


def test_a_browser_that_trusts_the_authority_relays_over_tls_by_the_name(tmp_path: Path) -> None:
    """Its constraints are such that a browser takes what it signs, for a relay as well."""
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    with home() as user, development(user, "--hostname", "localhost") as node:
        servers = asyncio.run(welcomed(node))["ice"]["iceServers"]
        login = next(server for server in servers if "credential" in server)
        turns = node.document["turnsPort"]
        entry = login | {"urls": [f"turns:localhost:{turns}?transport=tcp"]}
        environment = environment_that_trusts(node.authority, tmp_path)
        report = asyncio.run(relayed_call([entry], payload=1 << 16, frames=5, environment=environment))
        assert {end.relay_protocol for end in report.ends} == {"tls"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_about_trust_is_readable_on_a_phone_and_by_a_screen_reader(tmp_path: Path, scheme: str) -> None:
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    with home() as user, development(user) as node:
        asyncio.run(_look_at_trust(node, environment_that_trusts(node.authority, tmp_path), scheme))
