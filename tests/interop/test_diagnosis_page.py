"""The page of diagnosis in Chromium, at a node that is well and at one where things are wrong.

With ICELANE_PICTURES=DIRECTORY the states of the page are written there as pictures.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from demo.chromium import PACKAGE
from demo.trust import PACKAGE as TRUST_PACKAGE
from icelane import web
from icelane.diagnostics import Cause
from icelane.diagnostics.report import sentence_of
from tests.interop.call_page import PageNode, Visitor
from tests.interop.conftest import need_program
from tests.interop.running import free_port
from tests.interop.test_call_page import DESK, PHONE, look, trusting_chromium

pytestmark = [pytest.mark.interop, pytest.mark.once]

TIMEOUT: Final = 120.0
DONE: Final = "() => !document.getElementById('again').disabled"
ROWS: Final = """() => Object.fromEntries([...document.querySelectorAll('#here tr')].map(row =>
    [row.children[1].textContent, [row.dataset.status, row.children[3].textContent]]))"""
WRONG_CREDENTIAL: Final = """const real = window.fetch
window.fetch = async (path, options) => {
  const answer = await real(path, options)
  if (!String(path).startsWith("/v1/ice-servers")) return answer
  const body = await answer.json()
  for (const server of body.iceServers) if (server.credential) server.credential = "not what it should be"
  return Response.json(body, { status: 201 })
}"""


def run(story: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(TIMEOUT):
            await story

    asyncio.run(limited())


@pytest.fixture
def node(tmp_path: Path) -> PageNode:
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    folder = tmp_path / "node"
    folder.mkdir()
    port = free_port()
    return PageNode(folder, turn_listen=(f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}"))


@asynccontextmanager
async def diagnosed(node: PageNode, home: Path, fragment: str, **context: Any) -> AsyncIterator[Visitor]:
    """Somebody in front of the page when all has been looked at."""
    async with trusting_chromium(node, home) as browser:
        visitor = await Visitor.in_chromium(browser, f"{node.origin}/diag{fragment}", "Ann", **context)
        await visitor.sees(DONE, within=60)
        yield visitor


def test_a_node_that_is_well_passes_from_the_browser_and_on_the_server(node: PageNode, tmp_path: Path) -> None:
    async def story() -> None:
        async with node.running(), diagnosed(node, tmp_path / "home", f"#token={node.token('ann')}", **DESK) as ann:
            rows = await ann.driver.run(ROWS)
            for name in ("HTTPS", "clock", "WSS", "credential", "TURN udp", "TURN tcp", "TURN tls", "relay echo"):
                assert rows[name][0] == "passed", rows
            assert "50 of 50 packets back" in rows["relay echo"][1]
            assert "All is well" in await ann.text("#verdict-title")
            assert "TURN udp" in await ann.text("#there")
            assert "token" not in await ann.driver.run("() => location.href")
            await look(ann, "diagnosis-well")

    run(story())


def test_a_used_up_token_is_named_and_the_page_asks_for_another_one(node: PageNode, tmp_path: Path) -> None:
    async def story() -> None:
        token = node.token("ann", valid_for=-60.0)
        async with node.running(), diagnosed(node, tmp_path / "home", f"#token={token}", **PHONE) as ann:
            assert "does not take the token" in await ann.text("#verdict-title")
            assert await ann.text("#verdict-mend")
            await look(ann, "diagnosis-token-phone")
            await ann.fill("#invitation", node.link("ann"))
            await ann.driver.run("() => document.getElementById('entry').requestSubmit()")
            await ann.sees("() => document.getElementById('verdict').dataset.kind === 'good'", within=60)
            await look(ann, "diagnosis-phone")

    run(story())


def test_an_error_code_of_turn_is_told_in_words_with_a_mend(node: PageNode, tmp_path: Path) -> None:
    async def story() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            page = await browser.new_page()

            await page.add_init_script(WRONG_CREDENTIAL)
            await page.goto(f"{node.origin}/diag#token={node.token('ann')}")
            await page.wait_for_function(DONE, timeout=60_000)
            assert "not signed with the server's secret" in await page.inner_text("#verdict-title")
            assert "401" in await page.inner_text("#here")

    run(story())


def test_devices_are_opened_only_when_somebody_asks_and_the_level_moves(node: PageNode, tmp_path: Path) -> None:
    async def story() -> None:
        async with node.running(), diagnosed(node, tmp_path / "home", "", **DESK) as ann:
            assert await ann.driver.run("() => document.getElementById('devices').hidden")
            await ann.click("#try-devices")
            await ann.sees("() => document.getElementById('level').value > 0.02")
            await look(ann, "diagnosis-devices")
            await ann.click("#try-devices")
            await ann.sees("() => document.getElementById('devices').hidden")

    run(story())


def test_the_page_has_the_causes_of_the_doctor_in_the_same_order_and_words() -> None:
    text = (web.PAGES / "diag_cause.js").read_text()
    table = text[text.index("SENTENCES = {") : text.index("\n}\n", text.index("SENTENCES = {"))]
    found = re.findall(r'^  "([a-z-]+)": "(.*)",$', table, re.MULTILINE)
    assert dict(found) == {cause.value: sentence_of(cause) for cause in Cause}
    from icelane.diagnostics import report

    assert [cause for cause, _ in found] == [cause.value for cause in report._SENTENCES]
