"""The call page in Chromium and Firefox: pages and a program in one room, from the lobby to the end.

With ICELANE_PICTURES=DIRECTORY the states of the page are written there as pictures.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from demo.chromium import PACKAGE, chromium
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts
from tests.cli.development import development, home
from tests.interop.call_page import HERE, Bot, ChromiumDriver, DevelopmentNode, PageNode, Visitor
from tests.interop.conftest import need_program
from tests.interop.peers.firefox import PACKAGE as FIREFOX_PACKAGE
from tests.interop.peers.firefox import firefox
from tests.interop.running import free_port

pytestmark = [pytest.mark.interop, pytest.mark.once]

TIMEOUT: Final = 180.0
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
DESK: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}
PICTURES: Final = os.environ.get("ICELANE_PICTURES")
FILE: Final = bytes(range(256)) * 2000
# Two cameras, which take few pictures: what is tested is not the encoder.
DEVICES: Final = ("--use-fake-device-for-media-stream=device-count=2,fps=10",)
# A condition about Ann's tile, as somebody else sees it.
OF_ANN: Final = """() => [...document.querySelectorAll('.tile[data-kind=peer]')].some(tile =>
    tile.querySelector('.name').textContent === 'Ann' && {0})""".format
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
    environment = environment_that_trusts(node.authority, home)
    async with chromium(environment=environment, extra_arguments=DEVICES) as browser:
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
            await show_a_screen(ann, bob)
            await bob.click("#leave-switch")
            await bob.sees("() => !document.querySelector('#lobby').hidden")
            await ann.sees("() => document.querySelectorAll('.tile[data-kind=peer]').length === 1")

    run(call())


@contextmanager
def started_development(room: str) -> Iterator[DevelopmentNode]:
    """`icelane dev`; once more when another one of this machine has taken a port in the same moment."""
    with ExitStack() as stack:
        environment = stack.enter_context(home())
        for _ in range(3):
            started = stack.enter_context(development(environment, room, "--port", str(free_port())))
            if started.document.get("ok"):
                break
        yield DevelopmentNode(started.document)


def test_icelane_dev_is_all_that_two_pages_and_a_program_need(tmp_path: Path) -> None:
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    with started_development("demo") as node:

        async def call() -> None:
            bot = Bot(tmp_path)
            trusting = environment_that_trusts(node.authority, tmp_path / "home")
            async with chromium(environment=trusting, extra_arguments=DEVICES) as browser, bot.running(node):
                ann = await Visitor.in_chromium(browser, node.link, "Ann", **DESK)
                bob = await Visitor.in_chromium(browser, node.link, "Bob", **PHONE)
                await ann.join()
                assert not await ann.driver.run("() => document.querySelector('#copy-link').hidden")
                await bob.join()
                await ann.sees_pictures_of("Bob", "Bot")
                await bob.sees_pictures_of("Ann", "Bot")
                assert await ann.path_to("Bob") == "direct, UDP"
                assert await ann.code_with("Bob") == await bob.code_with("Ann")
                await bob.say("good morning")
                await ann.reads("#lines", "good morning")

        run(call())


async def chat_and_send(ann: Visitor, bob: Visitor, bot: Bot) -> None:
    """Words to all, and a file whose hash is right at both ends."""
    await ann.click("#chat-switch")
    await ann.say("good morning")
    await bob.sees("() => !document.querySelector('#unread').hidden")
    await bob.click("#chat-switch")
    await bob.reads("#lines", "good morning")
    assert await bot.heard.get() == "Ann: good morning"
    await ann.send_file("report.bin", FILE)
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
    await choose_another_camera(ann)


async def choose_another_camera(ann: Visitor) -> None:
    """The panel shows which one is used, and the other one takes its place."""
    used = """() => document.querySelector('.tile[data-kind=self] video').srcObject.getVideoTracks()[0]
        .getSettings().deviceId"""
    before = await ann.driver.run(used)
    await ann.click("#devices-switch")
    await ann.sees("() => document.querySelector('#devices').open")
    await look(ann, "call-devices")
    cameras = ann.page.locator("#camera-choice")
    assert await cameras.input_value() == before
    [other] = [
        one for one in await cameras.locator("option").evaluate_all("all => all.map(one => one.value)") if one != before
    ]
    await cameras.select_option(other)
    await ann.sees(f"other => ({used})() === other", other)
    await ann.page.keyboard.press("Escape")


async def mute(ann: Visitor, bob: Visitor) -> None:
    """A microphone and a camera that are off are seen at the other end; by keyboard alone."""
    await ann.page.focus("#microphone-switch")
    await ann.page.keyboard.press("Enter")
    await bob.sees(OF_ANN("!tile.querySelector('.muted').hidden"))
    await ann.page.keyboard.press("Tab")
    await ann.page.keyboard.press("Space")
    await bob.sees(OF_ANN("tile.dataset.picture === 'false'"))
    await look(bob, "call-camera-off-phone-dark")
    await ann.page.keyboard.press("Space")
    await bob.sees_pictures_of("Ann")


async def show_a_screen(ann: Visitor, bob: Visitor) -> None:
    """A screen is one tile more, and goes away again, also for whoever has it before him."""
    await ann.click("#screen-switch")
    await bob.sees("() => document.querySelector('.tile[data-kind=screen] video')?.videoWidth > 0")
    assert await bob.text(".tile[data-kind=screen] .name") == "Ann: screen"
    await look(bob, "call-screen-phone-dark")
    await ann.click("#screen-switch")
    await bob.sees("() => document.querySelector('.tile[data-kind=screen]') === null")
    await bob.sees_pictures_of("Ann", "Bot")


def test_a_call_that_may_only_be_relayed_says_so(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        bot = Bot(tmp_path)
        async with (
            node.running(),
            trusting_chromium(node, tmp_path / "home") as browser,
            bot.running(node, relay_only=True),
        ):
            ann = await Visitor.in_chromium(browser, node.link("ann", relay_only=True), "Ann", **DESK)
            await join_by_keyboard(ann)
            await ann.sees_pictures_of("Bot")
            assert await ann.path_to("Bot") == f"relayed, TLS {node.port}"
            await look(ann, "call-relayed")

    run(call())


async def join_by_keyboard(visitor: Visitor) -> None:
    """Tab to the name, write it, Enter."""
    await visitor.sees("() => document.querySelector('#camera-switch').getAttribute('aria-pressed') === 'true'")
    keyboard = visitor.page.keyboard
    for _ in range(12):
        await keyboard.press("Tab")
        if await visitor.driver.run("() => document.activeElement.id === 'name'"):
            break
    await keyboard.type(visitor.name)
    await keyboard.press("Enter")
    await visitor.sees("() => document.activeElement.id === 'main'")


UNPLUGGED: Final = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
navigator.mediaDevices.getUserMedia = async wanted => {
  if (!window.plugged) throw new DOMException("", "NotFoundError")
  return open(wanted)
}"""


def test_somebody_without_devices_watches_and_sends_once_there_are_some(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            ann = await Visitor.in_chromium(browser, node.link("ann"), "Ann", **DESK)
            await ann.join()
            page = await (await browser.new_context(**PHONE)).new_page()
            await page.add_init_script(UNPLUGGED)
            await page.goto(node.link("bob"))
            bob = Visitor("Bob", ChromiumDriver(page))
            await bob.fill("#name", "Bob")
            await bob.click("#join")
            await bob.sees_pictures_of("Ann")
            await ann.sees("() => document.querySelector('.tile[data-kind=peer]')?.dataset.picture === 'false'")
            await look(ann, "call-watched")
            await bob.click("#camera-switch")
            await bob.reads("#banner", "There is no camera on this machine")
            await bob.driver.run("() => { window.plugged = true }")
            for switch in ("#camera-switch", "#microphone-switch"):
                await bob.click(switch)
            await ann.sees_pictures_of("Bob")
            await ann.sees("() => document.querySelector('.tile[data-kind=peer] .muted').hidden")

    run(call())


def test_a_ticket_lets_somebody_in_once(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            context = await browser.new_context()
            bearer = {"Authorization": f"Bearer {node.token('ann')}"}
            answer = await context.request.post(f"{node.origin}/v1/tickets", headers=bearer, ignore_https_errors=True)
            ticket = (await answer.json())["ticket"]
            page = await context.new_page()
            for words in ("#call", "#refusal"):
                await page.goto(f"{node.origin}/r/demo#ticket={ticket}&name=Ann")
                assert await page.input_value("#name") == "Ann"
                await page.click("#join")
                await page.wait_for_selector(f"{words}:not([hidden])")
                await page.goto("about:blank")

    run(call())


def test_whoever_opens_a_second_window_goes_on_there(node: PageNode, tmp_path: Path) -> None:
    async def call() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            link = node.link("ann")
            first = await Visitor.in_chromium(browser, link, "Ann", **PHONE)
            await first.join()
            await first.page.reload()
            await first.join()  # the tab has kept the invitation
            second = await Visitor.in_chromium(browser, link, "Ann", **DESK)
            await second.join()
            await first.reads("#refusal", "You have joined in another window")
            await look(first, "call-superseded")
            assert await first.driver.run("() => document.activeElement.id === 'join'")
            await first.click("#join")
            await first.sees("() => !document.querySelector('#call').hidden")
            await second.reads("#refusal", "You have joined in another window")

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


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that is wrong from the start, and what the lobby says of it. `can_join`: one may go in all the same."""

    state: str
    words: str
    script: str = ""
    link: str = "good"
    can_join: bool = False


TROUBLES: Final = (
    Trouble(state="call-insecure", words="This page is not secure", script=UNTRUE),
    Trouble(
        state="call-no-permission",
        words="does not let this page use your camera",
        script=REFUSING.format(name="NotAllowedError"),
        can_join=True,
    ),
    Trouble(
        state="call-no-camera",
        words="There is no camera or microphone",
        script=REFUSING.format(name="NotFoundError"),
        can_join=True,
    ),
    Trouble(
        state="call-camera-taken",
        words="is taken by another program",
        script=REFUSING.format(name="NotReadableError"),
        can_join=True,
    ),
    Trouble(state="call-no-invitation", words="An invitation is missing", link="none"),
    Trouble(state="call-invitation-over", words="This invitation is over", link="over"),
    Trouble(state="call-invitation-bad", words="This invitation is not good here", link="bad"),
)


def test_what_is_wrong_is_said_in_plain_words(node: PageNode, tmp_path: Path) -> None:
    links = {
        "good": node.link("ann"),
        "none": f"{node.origin}/r/demo",
        "over": node.link("ann", valid_for=-60.0),
        "bad": f"{node.origin}/r/demo#token=a.b.c",
    }

    async def call() -> None:
        async with node.running(), trusting_chromium(node, tmp_path / "home") as browser:
            for trouble in TROUBLES:
                await meet(browser, trouble, links[trouble.link])

    run(call())


async def meet(browser: Browser, trouble: Trouble, link: str) -> None:
    """Open the page in this trouble, read what it says, and join if one can."""
    page = await (await browser.new_context(viewport={"width": 360, "height": 740})).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.add_init_script(trouble.script)
    await page.goto(link)
    visitor = Visitor("Ann", ChromiumDriver(page))
    if trouble.link != "good":
        await page.click("#join")
    await visitor.sees("words => document.querySelector('#lobby').innerText.includes(words)", trouble.words)
    await look(visitor, trouble.state)
    if trouble.can_join:
        await page.click("#join")
        await visitor.sees("() => !document.querySelector('#call').hidden")
        await look(visitor, f"{trouble.state}-alone")
    assert not errors
    await page.context.close()


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
            facts = await ann.text("#facts")
            assert "DTLS 1." in facts
            assert "AES" in facts
            await ann.click("#security button")
            await bob.page.keyboard.press("Escape")
            await ann.reads("#lines", f"code {await ann.code_with('Bot')}")
            await ann.click("#security button")
            await ann.send_file("report.bin", FILE)
            assert (await bot.files.get()).sha256 == hashlib.sha256(FILE).hexdigest()
            await bob.click("#chat-switch")
            await bob.page.get_by_role("button", name="Take it").click()
            await ann.reads("#lines", "Sent, and the hash is right.")
            await ann.click("#microphone-switch")
            await bob.sees(OF_ANN("!tile.querySelector('.muted').hidden"))
            await ann.click("#camera-switch")
            await bob.sees(OF_ANN("tile.dataset.picture === 'false'"))
            await ann.click("#camera-switch")
            await bob.sees_pictures_of("Ann")

    run(call())
