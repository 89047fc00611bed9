"""The call page in Chromium and Firefox: pages and a program in one room, from the lobby to the end.

With ICELANE_PICTURES=DIRECTORY the states of the page are written there as pictures.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from demo.chromium import PACKAGE, chromium
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts
from tests.interop.call_page import HERE, Bot, ChromiumDriver, PageNode, Visitor
from tests.interop.conftest import need_program
from tests.interop.peers.firefox import PACKAGE as FIREFOX_PACKAGE
from tests.interop.peers.firefox import firefox

pytestmark = [pytest.mark.interop, pytest.mark.once]

TIMEOUT: Final = 90.0
PHONE: Final = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
DESK: Final = {"viewport": {"width": 1280, "height": 800}}
PICTURES: Final = os.environ.get("ICELANE_PICTURES")
FILE: Final = bytes(range(256)) * 2000
# Of axe-core's four grades.
SERIOUS: Final = ("serious", "critical")


def run(call: Coroutine[Any, Any, None]) -> None:
    """Within a time that a test may take."""

    async def limited() -> None:
        async with asyncio.timeout(TIMEOUT):
            await call

    asyncio.run(limited())


@pytest.fixture
def node(tmp_path: Path) -> PageNode:
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    folder = tmp_path / "node"
    folder.mkdir()
    return PageNode(folder)


@asynccontextmanager
async def trusting_chromium(node: PageNode, home: Path) -> AsyncIterator[Browser]:
    """Chromium that trusts the node's certificate, for TURN as well."""
    home.mkdir()
    async with chromium(environment=environment_that_trusts(node.authority, home)) as browser:
        yield browser


async def look(visitor: Visitor, state: str) -> None:
    """axe-core finds nothing that is serious in this state of the page; and its picture, where pictures are wanted."""
    found = await Axe().run(visitor.page)
    violations = [
        f"{one['id']}: {node['html']} {node.get('failureSummary', '')}"
        for one in found.response["violations"]
        for node in one["nodes"]
        if one["impact"] in SERIOUS
    ]
    assert not violations, f"{state}: " + "\n".join(violations)
    width, inner = await visitor.driver.run("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner, f"{state}: something stands out to the right"
    if PICTURES is not None:
        await visitor.page.screenshot(path=Path(PICTURES) / f"{state}.png")


def test_two_pages_and_a_program_call_talk_and_send_files(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        bot = Bot(tmp_path)
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser, bot.running(node):
            ann = await Visitor.in_chromium(browser, node.link("ann"), "Ann", **DESK)
            bob = await Visitor.in_chromium(browser, node.link("bob"), "Bob", **PHONE)
            assert "token" not in ann.page.url, "the invitation is out of the address"
            await look(ann, "call-lobby")
            await look(bob, "call-lobby-phone-dark")
            await ann.join()
            await bob.join()
            await ann.sees_pictures_of("Bob", "Bot")
            await bob.sees_pictures_of("Ann", "Bot")
            assert await ann.path_to("Bob") == "direct, UDP"
            assert await ann.path_to("Bot") == "direct, UDP"
            await look(ann, "call-three")
            await look(bob, "call-three-phone-dark")
            await chat_and_send(ann, bob, bot)
            await compare_codes(ann, bob)
            await mute(ann, bob)
            await bob.click("#leave-switch")
            await bob.sees("() => !document.querySelector('#lobby').hidden")
            await ann.sees("() => document.querySelectorAll('.tile[data-kind=peer]').length === 1")

    run(call())


async def chat_and_send(ann: Visitor, bob: Visitor, bot: Bot) -> None:
    """Words to all, and a file whose hash is right at both ends."""
    await ann.click("#chat-switch")
    await ann.say("good morning")
    await bob.sees("() => !document.querySelector('#unread').hidden")
    await bob.click("#chat-switch")
    await bob.reads("#lines", "good morning")
    assert await bot.heard.get() == "Ann: good morning"
    file = {"name": "report.bin", "mimeType": "application/octet-stream", "buffer": FILE}
    await ann.page.set_input_files("#file", [file])  # type: ignore[list-item]  # Playwright's own name is private
    await bob.reads("#lines", "512 kB, from Ann")
    await look(bob, "call-file-phone-dark")
    async with bob.page.expect_download() as download:
        await bob.page.get_by_role("button", name="Take it").click()
        await bob.page.get_by_role("link", name="Save report.bin").click()
    saved = await (await download.value).path()
    assert saved.read_bytes() == FILE
    got = await bot.files.get()
    assert got.sha256 == hashlib.sha256(FILE).hexdigest()
    await ann.reads("#lines", "Sent, and the hash is right.")
    await look(ann, "call-chat")
    await ann.click("#side-close")
    await bob.click("#side-close")


async def compare_codes(ann: Visitor, bob: Visitor) -> None:
    """The same code at both ends of each call, and another one in each call."""
    ours, theirs = await ann.code_with("Bob"), await bob.code_with("Ann")
    assert ours == theirs
    facts = await ann.text("#facts")
    assert "DTLS 1." in facts
    assert "AES" in facts
    assert "SRTP" in facts
    await look(ann, "call-security")
    await look(bob, "call-security-phone-dark")
    for visitor in (ann, bob):
        await visitor.page.keyboard.press("Escape")
    with_bot = await ann.code_with("Bot")
    await ann.reads("#lines", f"code {with_bot}")
    assert with_bot != ours
    await ann.page.keyboard.press("Escape")
    await ann.click("#devices-switch")
    await ann.sees("() => document.querySelector('#devices').open")
    await look(ann, "call-devices")
    await ann.page.keyboard.press("Escape")


async def mute(ann: Visitor, bob: Visitor) -> None:
    """A microphone and a camera that are off are seen at the other end; by keyboard alone."""
    of_ann = """() => [...document.querySelectorAll('.tile[data-kind=peer]')].some(tile =>
        tile.querySelector('.name').textContent === 'Ann' && {0})""".format
    await ann.page.focus("#microphone-switch")
    await ann.page.keyboard.press("Enter")
    await bob.sees(of_ann("!tile.querySelector('.muted').hidden"))
    await ann.page.keyboard.press("Tab")
    await ann.page.keyboard.press("Space")
    await bob.sees(of_ann("tile.dataset.picture === 'false'"))
    await look(bob, "call-camera-off-phone-dark")
    await ann.page.keyboard.press("Space")
    await bob.sees_pictures_of("Ann")


def test_a_call_that_may_only_be_relayed_says_so(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        bot = Bot(tmp_path)
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser, bot.running(node, relay_only=True):
            ann = await Visitor.in_chromium(browser, node.link("ann", relay_only=True), "Ann", **DESK)
            await ann.join()
            await ann.sees_pictures_of("Bot")
            assert await ann.path_to("Bot") == f"relayed, TLS {node.port}"
            await look(ann, "call-relayed")

    run(call())


def test_a_call_goes_on_while_the_server_restarts_and_everybody_comes_back(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        async with AsyncExitStack() as browsers:
            async with node.running():
                browser = await browsers.enter_async_context(trusting_chromium(node, tmp_path / "home"))
                ann = await Visitor.in_chromium(browser, node.link("ann"), "Ann", **DESK)
                bob = await Visitor.in_chromium(browser, node.link("bob"), "Bob", **PHONE)
                await ann.join()
                await bob.join()
                await ann.sees_pictures_of("Bob")
                await bob.sees_pictures_of("Ann")
                before = await ann.code_with("Bob")
                await ann.page.keyboard.press("Escape")
            await ann.reads("#banner", "The call goes on")
            assert await ann.path_to("Bob") == "direct, UDP"
            await look(ann, "call-away")
            async with node.running():
                await ann.reads("#lines", "Bob is back.")
                for visitor in (ann, bob):
                    await visitor.reads("#state", "connected")
                await ann.sees_pictures_of("Bob")
                await bob.sees_pictures_of("Ann")
                await ann.sees("() => document.querySelectorAll('.tile').length === 2")
                assert await ann.code_with("Bob") != before, "it is another connection"
                await ann.page.keyboard.press("Escape")
                await ann.say("we are back")
                await bob.reads("#lines", "we are back")

    run(call())


UNTRUE: Final = "Object.defineProperty(window, 'isSecureContext', { value: false })"
REFUSING: Final = """navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException("", "{name}") }}"""


@pytest.mark.parametrize(
    ("state", "script", "link", "words"),
    [
        ("call-insecure", UNTRUE, "ann", "This page is not secure"),
        ("call-no-permission", REFUSING.format(name="NotAllowedError"), "ann", "does not let this page use your camera"),
        ("call-no-camera", REFUSING.format(name="NotFoundError"), "ann", "There is no camera or microphone"),
        ("call-camera-taken", REFUSING.format(name="NotReadableError"), "ann", "is taken by another program"),
        ("call-no-invitation", "", None, "An invitation is missing"),
        ("call-invitation-over", "", "over", "This invitation is over"),
        ("call-invitation-bad", "", "bad", "This invitation is not good here"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(
    node: PageNode, tmp_path: Path, state: str, script: str, link: str | None, words: str
) -> None:
    async def call() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            page = await (await browser.new_context()).new_page()
            if script:
                await page.add_init_script(script)
            fragments = {
                "ann": node.link("ann"),
                "over": node.link("ann", valid_for=-60.0),
                "bad": f"{node.origin}/r/demo#token=a.b.c",
            }
            await page.goto(f"{node.origin}/r/demo" if link is None else fragments[link])
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            if not script:
                await page.click("#join")
            await page.wait_for_function("words => document.querySelector('#lobby').innerText.includes(words)", arg=words)
            visitor = Visitor("Ann", ChromiumDriver(page))
            await look(visitor, state)
            if script.startswith("navigator"):
                await page.click("#join")
                await visitor.sees("() => !document.querySelector('#call').hidden")
            assert not errors

    run(call())


def test_firefox_makes_the_same_call(node: PageNode, tmp_path: Path) -> None:
    executable = need_program("firefox-esr", FIREFOX_PACKAGE)

    async def call() -> None:
        bot = Bot(tmp_path)
        async with (
            node.running(),
            firefox(executable, HERE, node.authority, tmp_path) as running,
            trusting_chromium(node, tmp_path / "home") as browser,
            bot.running(node),
        ):
            ann = await Visitor.in_firefox(running.session, node.link("ann"), "Ann")
            bob = await Visitor.in_chromium(browser, node.link("bob"), "Bob", **DESK)
            await ann.join()
            await bob.join()
            await ann.sees_pictures_of("Bob", "Bot")
            await bob.sees_pictures_of("Ann", "Bot")
            assert await ann.path_to("Bob") == "direct, UDP"
            await ann.say("good morning")
            await bob.reads("#lines", "good morning")
            assert await bot.heard.get() == "Ann: good morning"
            assert await ann.code_with("Bob") == await bob.code_with("Ann")
            await ann.click("#security button")
            await ann.reads("#lines", f"code {await ann.code_with('Bot')}")

    run(call())
