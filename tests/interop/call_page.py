"""The call page in a browser, whichever it is, and what somebody does in it; and the node that it comes from."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

from playwright.async_api import Browser, Page

from icelane import RTCConfiguration, RTCDataChannel, SignalClient, TestCardTrack, ToneTrack
from icelane.cli.file_transfer import Transferred, receive_file
from icelane.core.clock import UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.errors import IcelaneError
from icelane.node.program import PROGRAM
from icelane.server.config import parse_config
from icelane.server.workers.choice import serving
from icelane.signaling.admission.join_token import TokenSigner, create_token
from icelane.signaling.admitted import IceTransportPolicy
from icelane.signaling.client_event import Peer
from icelane.testing.lab import Machine
from tests import certificates
from tests.interop.running import free_port

HOST: Final = "localhost"
ISSUER: Final = "example"
KEY: Final = "a secret of forty bytes, which is enough!"
PATIENCE: Final = 60.0  # seconds, for a machine that does much else


@dataclass
class PageNode:
    """One node on loopback, with one listener for everything; may be started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    turn_listen: tuple[str, ...] = ()
    """Listeners for TURN alone, beside the one for everything."""

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It serves inside."""
        certificates.authority_file(self.folder)
        document: dict[str, Any] = {
            "server": {"listen": [f"https://127.0.0.1:{self.port}"], "public_url": self.origin},
            "turn": {
                "realm": "example.org",
                "hostname": HOST,
                "listen": list(self.turn_listen),
                "relay_addresses": ["127.0.0.1"],
                "dangerously_allow_loopback_peers": True,
                "secrets": [{"kid": "k1", "secret": "north-by-northwest-128-bits-of-it"}],
            },
            "tls": certificates.good(self.folder, HOST).section(),
            "auth": {"jwt": [{"issuer": ISSUER, "algorithm": "HS256", "secret": KEY}]},
        }
        async with serving(parse_config(document), PROGRAM):
            yield

    def token(self, identity: str, *, relay_only: bool = False, valid_for: float = 600.0) -> str:
        """A join token for the room `demo`."""
        return create_token(
            TokenSigner(issuer=ISSUER, algorithm="HS256", key=KEY),
            identity=identity,
            rooms=("demo",),
            unix_time=UnixSeconds(time.time() + min(valid_for, 0.0)),
            valid_for=abs(valid_for),
            entropy=SystemEntropy(),
            ice=IceTransportPolicy.RELAY if relay_only else None,
        )

    def link(self, identity: str, **more: Any) -> str:
        """What somebody is sent."""
        return f"{self.origin}/r/demo#token={self.token(identity, **more)}"


class Reachable(Protocol):
    """A node, to a program that wants into the room."""

    @property
    def origin(self) -> str: ...
    @property
    def authority(self) -> Path: ...
    def token(self, identity: str, *, relay_only: bool = False) -> str: ...


@dataclass(frozen=True)
class DevelopmentNode:
    """What `icelane dev` has started: everybody has the same link."""

    document: dict[str, Any]

    @property
    def link(self) -> str:
        return str(self.document["urls"]["call"])

    @property
    def origin(self) -> str:
        return self.link.partition("/r/")[0]

    @property
    def authority(self) -> Path:
        return Path(self.document["authority"]["file"])

    def token(self, identity: str, *, relay_only: bool = False) -> str:
        """The key of the link, whoever it is."""
        assert not relay_only, identity
        return self.link.partition("#token=")[2]


class Driver(Protocol):
    """How a browser runs a function of the page's; it takes and returns what JSON can say."""

    async def run(self, function: str, *given: object) -> Any: ...


@dataclass(frozen=True)
class ChromiumDriver:
    page: Page

    async def run(self, function: str, *given: object) -> Any:
        return await self.page.evaluate(f"given => ({function})(...given)", list(given))


@dataclass(frozen=True)
class FirefoxDriver:
    session: Any
    context: str

    async def run(self, function: str, *given: object) -> Any:
        source = f"async given => JSON.stringify((await ({function})(...JSON.parse(given))) ?? null)"
        return json.loads(await self.session.call_function(self.context, source, json.dumps(given)))


@dataclass(frozen=True)
class Visitor:
    """Somebody in front of the page."""

    name: str
    driver: Driver

    @classmethod
    async def in_chromium(cls, browser: Browser, link: str, name: str, **context: Any) -> Visitor:
        """Open the page; `context` is Playwright's, such as a viewport."""
        page = await (await browser.new_context(**context)).new_page()
        await page.goto(link)
        return cls(name, ChromiumDriver(page))

    @classmethod
    async def in_firefox(cls, session: Any, link: str, name: str) -> Visitor:
        context = await session.open_page(link)
        return cls(name, FirefoxDriver(session, context))

    @property
    def page(self) -> Page:
        """Chromium's."""
        return cast(ChromiumDriver, self.driver).page

    async def click(self, selector: str) -> None:
        await self.driver.run("selector => document.querySelector(selector).click()", selector)

    async def fill(self, selector: str, text: str) -> None:
        await self.driver.run("(selector, text) => { document.querySelector(selector).value = text }", selector, text)

    async def text(self, selector: str) -> str:
        found: str = await self.driver.run("selector => document.querySelector(selector)?.textContent ?? ''", selector)
        return " ".join(found.split())

    async def sees(self, condition: str, *given: object, within: float = PATIENCE) -> None:
        """Wait until a function of the page's says yes."""
        deadline = time.monotonic() + within
        while not await self.driver.run(condition, *given):
            if time.monotonic() > deadline:
                shown = await self.driver.run("() => document.body.innerText")
                raise AssertionError(f"{self.name} waits in vain for {condition} {given}; the page shows:\n{shown}")
            await asyncio.sleep(0.1)

    async def reads(self, selector: str, text: str) -> None:
        """Wait until an element says this."""
        await self.sees(
            "(one, text) => document.querySelector(one)?.textContent.includes(text) ?? false", selector, text
        )

    async def join(self) -> None:
        """From the lobby into the call, with camera and microphone."""
        await self.sees("() => document.querySelector('#camera-switch').getAttribute('aria-pressed') === 'true'")
        await self.fill("#name", self.name)
        await self.click("#join")
        await self.sees("() => !document.querySelector('#call').hidden")

    async def sees_pictures_of(self, *names: str) -> None:
        """Wait until everybody's picture moves."""
        for name in names:
            await self.sees(
                # Firefox counts them under a name of its own.
                """(name, shown = one => one.mozPaintedFrames ?? one.getVideoPlaybackQuality().totalVideoFrames) =>
                    [...document.querySelectorAll('.tile[data-kind=peer]')].some(tile =>
                        tile.querySelector('.name').textContent === name && tile.dataset.picture === 'true'
                        && shown(tile.querySelector('video')) > 5)""",
                name,
            )

    async def say(self, text: str) -> None:
        await self.fill("#words", text)
        await self.driver.run("() => document.querySelector('#write').requestSubmit()")

    async def send_file(self, name: str, content: bytes) -> None:
        """As if somebody had chosen it."""
        await self.driver.run(
            """(name, text) => {
                const chosen = new DataTransfer()
                chosen.items.add(new File([Uint8Array.from(atob(text), one => one.charCodeAt(0))], name))
                const field = document.querySelector('#file')
                field.files = chosen.files
                field.dispatchEvent(new Event('change'))
            }""",
            name,
            base64.b64encode(content).decode(),
        )

    async def code_with(self, name: str) -> str:
        """The security code of the call with somebody, as the panel shows it."""
        await self.driver.run(
            """name => [...document.querySelectorAll('.tile[data-kind=peer]')].find(tile =>
                tile.querySelector('.name').textContent === name).querySelector('.path').click()""",
            name,
        )
        await self.sees(r"() => /^(\d{4} ?){5}$/.test(document.querySelector('#code').textContent.trim())")
        return await self.text("#code")

    async def path_to(self, name: str) -> str:
        """What the badge says, once it says something."""
        find = """name => [...document.querySelectorAll('.tile[data-kind=peer]')].find(tile =>
            tile.querySelector('.name').textContent === name)?.querySelector('.path:not([hidden]) .way').textContent"""
        await self.sees(f"name => /^(direct|relayed)/.test(({find})(name) ?? '')", name)
        return str(await self.driver.run(find, name))


class Bot:
    """A program in the room: a test card and a tone, says its security codes, takes files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.files: asyncio.Queue[Transferred] = asyncio.Queue()

    @asynccontextmanager
    async def running(self, node: Reachable, **more: Any) -> AsyncIterator[None]:
        """It is in the room inside."""
        configuration = RTCConfiguration(interfaces=["lo"])
        async with SignalClient(
            node.origin,
            token=node.token("bot", **more),
            room="demo",
            meta={"name": "Bot"},
            authority=node.authority,
            configuration=configuration,
        ) as signal:
            greeting = asyncio.create_task(self._greet(signal))
            try:
                yield
            finally:
                greeting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await greeting

    async def _greet(self, signal: SignalClient) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for peer in signal:
                tasks.create_task(self._call(signal, peer, tasks))

    async def _call(self, signal: SignalClient, peer: Peer, tasks: asyncio.TaskGroup) -> None:
        async with signal.connect_peer(peer) as pc:
            channel = pc.createDataChannel("chat", negotiated=True, id=0)
            pc.addTrack(TestCardTrack(320, 240))
            pc.addTrack(ToneTrack())
            pc.on("datachannel", lambda channel: tasks.create_task(self._take(channel)))
            with contextlib.suppress(IcelaneError):  # a page that is closed ends everything at once
                await channel.opened()
                channel.send(f"code {pc.security_report().security_code()}")
                async for message in channel:
                    self.heard.put_nowait(f"{peer.meta['name']}: {message!s}")

    async def _take(self, channel: RTCDataChannel) -> None:
        if channel.label == "file":
            got = await receive_file(channel, self.folder, _in_silence, replace=True)
            self.files.put_nowait(got)


def _in_silence(name: str, done: int, size: int) -> None:
    """No bar."""


class _Here:
    """This machine, for a browser that needs no other."""

    def command(self, *command: str) -> tuple[str, ...]:
        return command

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        yield


HERE: Final = cast(Machine, cast(Any, _Here()))
