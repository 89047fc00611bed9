"""Calls by way of one `icelane serve` with one listener, which carries HTTPS, WSS and TURNS: relay-only, by token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol, cast

import pytest
from playwright.async_api import Browser, Page

from demo.chromium import PACKAGE, chromium
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts
from icelane import RTCConfiguration, RTCPeerConnection, SignalClient, TestCardTrack, web
from icelane.core.clock import UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.errors import SignalRefusedError
from icelane.signaling.admission.join_token import TokenSigner, create_token
from icelane.signaling.admitted import IceTransportPolicy
from tests import certificates
from tests.interop.conftest import need_program
from tests.interop.peers.bidi import Session
from tests.interop.peers.firefox import PACKAGE as FIREFOX_PACKAGE
from tests.interop.peers.firefox import Here, firefox
from tests.interop.running import ICELANE, Running, accepts, free_port, running

pytestmark = [pytest.mark.interop, pytest.mark.once]

HOST: Final = "localhost"
ISSUER: Final = "example"
KEY: Final = "a secret of forty bytes, which is enough!"
TIMEOUT: Final = 60.0
FRAMES: Final = 10

PAGE: Final = """<!doctype html><meta charset="utf-8"><video autoplay muted playsinline></video>
<script type="module">
import { SignalClient } from "./icelane.js"
window.enter = async (url, token) => {
  window.signal = await SignalClient.connect(url, { token, room: "demo", timeout: 20 })
}
window.call = async () => {
  const peer = await signal.nextPeer()
  const pc = window.pc = signal.connectPeer(peer)
  const canvas = document.createElement("canvas")
  const paint = canvas.getContext("2d")
  setInterval(() => { paint.fillStyle = `rgb(${Math.random() * 255},9,9)`; paint.fillRect(0, 0, 99, 99) }, 50)
  for (const track of canvas.captureStream(20).getTracks()) pc.addTrack(track)
  pc.ontrack = ({ track }) => { document.querySelector("video").srcObject = new MediaStream([track]) }
  const channel = pc.createDataChannel("chat", { negotiated: true, id: 0 })
  const heard = new Promise(resolve => { channel.onmessage = ({ data }) => resolve(data) })
  await new Promise(resolve => { channel.onopen = resolve })
  channel.send(`hello from ${signal.identity}`)
  return await heard
}
window.frames = async () => {
  const video = document.querySelector("video")
  // Firefox counts no frames of a stream in the quality of its playback.
  const decoded = async () => [...(await pc.getStats()).values()].find(one => one.framesDecoded)?.framesDecoded ?? 0
  while (await decoded() < 10 || video.videoWidth === 0) await new Promise(done => setTimeout(done, 50))
}
window.selected = async () => {
  const stats = [...(await pc.getStats()).values()]
  const transport = stats.find(one => one.type === "transport") // Firefox has none, and marks the pair
  const pair = stats.find(one => transport ? one.id === transport.selectedCandidatePairId : one.selected)
  const local = stats.find(one => one.id === pair.localCandidateId)
  const remote = stats.find(one => one.id === pair.remoteCandidateId)
  return [local.candidateType, remote.candidateType, local.relayProtocol]
}
window.ready = true
</script>"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One `icelane serve`."""

    url: str
    origin: str
    """Where pages come from."""
    authority: Path
    program: Running

    def token(self, identity: str, *rooms: str) -> str:
        """A join token, relay-only."""
        return create_token(
            TokenSigner(issuer=ISSUER, algorithm="HS256", key=KEY),
            identity=identity,
            rooms=rooms or ("demo",),
            unix_time=UnixSeconds(time.time()),
            entropy=SystemEntropy(),
            ice=IceTransportPolicy.RELAY,
        )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The server, one for the module."""
    folder = tmp_path_factory.mktemp("node")
    port = free_port()
    pair = certificates.good(folder, HOST)
    (folder / "hooks.py").write_text(
        "from icelane.signaling.admission.request import Allow, Deny\n"
        "async def before_connect(request):\n"
        "    if request.claims and request.claims.get('sub') == 'eve':\n"
        "        return Deny(code='banned', reason='until Monday')\n"
        "    return Allow()\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [*ICELANE, "serve", "-c", str(folder / "icelane.toml")]
    with pages() as origin:
        (folder / "icelane.toml").write_text(configuration(port, origin) + pair.toml())
        with running(
            command, ready=lambda: accepts("127.0.0.1", port), directory=folder, environment=environment
        ) as program:
            url, authority = f"https://{HOST}:{port}", certificates.authority_file(folder)
            yield Node(url=url, origin=origin, authority=authority, program=program)


def configuration(port: int, origin: str) -> str:
    """All but the certificate."""
    return f"""\
[server]
listen = ["https://127.0.0.1:{port}"]
public_url = "https://{HOST}:{port}"
allowed_origins = ["{origin}"]
[turn]
realm = "example.org"
hostname = "{HOST}"
listen = []
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
[[turn.secrets]]
kid = "k1"
secret = "north-by-northwest-128-bits-of-it"
[[auth.jwt]]
issuer = "{ISSUER}"
algorithm = "HS256"
secret = "{KEY}"
[hooks]
before_connect = "hooks:before_connect"
"""


class Member(Protocol):
    """Somebody in the room, whatever he runs on."""

    async def call(self) -> str:
        """Call whoever is there; returns what he said."""
        ...

    async def frames(self) -> None:
        """Returns when pictures have come."""
        ...

    async def selected(self) -> list[str]:
        """The types of both candidates of the pair, and how the relay is reached."""
        ...


class InPage:
    """Chromium, with `icelane.js`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def enter(cls, browser: Browser, node: Node, identity: str) -> InPage:
        """Open the page and join."""
        page = await (await browser.new_context()).new_page()
        await page.goto(f"{node.origin}/page.html")
        await page.wait_for_function("window.ready")
        await page.evaluate("([url, token]) => enter(url, token)", [node.url, node.token(identity)])
        return cls(page)

    async def call(self) -> str:
        return str(await self._page.evaluate("() => call()"))

    async def frames(self) -> None:
        await self._page.evaluate("() => frames()")

    async def selected(self) -> list[str]:
        found: list[str] = await self._page.evaluate("() => selected()")
        return found

    async def close(self) -> None:
        await self._page.context.close()


class InFirefox:
    """Firefox, with `icelane.js`."""

    def __init__(self, session: Session, context: str) -> None:
        self._session = session
        self._context = context

    @classmethod
    async def enter(cls, session: Session, node: Node, identity: str) -> InFirefox:
        """Open the page and join."""
        context = await session.open_page(f"{node.origin}/page.html")
        found = cls(session, context)
        await found._do("async (url, token) => { await enter(url, token) }", node.url, node.token(identity))
        return found

    async def call(self) -> str:
        return str(await self._do("() => call()"))

    async def frames(self) -> None:
        await self._do("() => frames()")

    async def selected(self) -> list[str]:
        return [str(one) for one in cast(list[object], await self._do("() => selected()"))]

    async def close(self) -> None:
        await self._session.close_page(self._context)

    async def _do(self, function: str, *arguments: str) -> object:
        ready = "while (!window.ready) await new Promise(done => setTimeout(done, 20))"
        source = f"async (...given) => {{ {ready}; return JSON.stringify(await ({function})(...given) ?? null) }}"
        found: object = json.loads(await self._session.call_function(self._context, source, *arguments))
        return found


class _Pages(BaseHTTPRequestHandler):
    """The page and the module. From a socket: a browser lets no other page reach loopback."""

    def do_GET(self) -> None:
        found = {
            "/page.html": (PAGE, "text/html"),
            "/icelane.js": (web.MODULE.read_text(), "text/javascript"),
        }.get(self.path)
        self.send_response(404 if found is None else 200)
        body, kind = found or ("", "text/plain")
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def pages() -> Iterator[str]:
    """The origin of a server of the page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class InPython:
    """SignalClient."""

    def __init__(self, signal: SignalClient) -> None:
        self._signal = signal
        self._pc: RTCPeerConnection | None = None
        self._seen = asyncio.Event()

    @classmethod
    async def enter(cls, node: Node, identity: str) -> InPython:
        """Connect and join."""
        signal = SignalClient(
            node.url,
            token=node.token(identity),
            room="demo",
            authority=node.authority,
            configuration=RTCConfiguration(interfaces=["lo"]),
        )
        await signal.connect()
        return cls(signal)

    async def call(self) -> str:
        pc = self._pc = self._signal.connect_peer(await self._signal.next_peer())
        pc.on("track", self._watch)
        pc.addTrack(TestCardTrack(320, 240))
        channel = pc.createDataChannel("chat", negotiated=True, id=0)
        await channel.opened()
        channel.send(f"hello from {self._signal.identity}")
        return str(await channel.receive())

    async def _watch(self, track: Any) -> None:
        for _ in range(FRAMES):
            await track.recv()
        self._seen.set()

    async def frames(self) -> None:
        await self._seen.wait()

    async def selected(self) -> list[str]:
        assert self._pc is not None
        stats = await self._pc.getStats()
        pair = stats[str(next(iter(stats.of_type("transport"))).selectedCandidatePairId)]
        local, remote = stats[str(pair.localCandidateId)], stats[str(pair.remoteCandidateId)]
        return [str(one) for one in (local.candidateType, remote.candidateType, local.relayProtocol)]

    async def close(self) -> None:
        await self._signal.close()


@asynccontextmanager
async def browser(node: Node, folder: Path) -> AsyncIterator[Browser]:
    """A Chromium that trusts the tests' authority."""
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    home = folder / "home"
    home.mkdir()
    async with chromium(environment=environment_that_trusts(node.authority, home)) as started:
        yield started


@asynccontextmanager
async def other_browser(node: Node, folder: Path) -> AsyncIterator[Session]:
    """A Firefox that trusts the tests' authority."""
    executable = need_program("firefox-esr", FIREFOX_PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    async with firefox(executable, Here(), node.authority, folder) as started:
        yield started.session


@dataclass
class Browsers:
    """Started by who needs them, and closed with `stack`."""

    node: Node
    folder: Path
    stack: contextlib.AsyncExitStack
    started: Browser | None = None

    async def enter(self, kind: str, identity: str) -> InPage | InFirefox | InPython:
        """A member of one kind, who leaves with the stack."""
        member: InPage | InFirefox | InPython
        if kind == "page":
            if self.started is None:
                self.started = await self.stack.enter_async_context(browser(self.node, self.folder))
            member = await InPage.enter(self.started, self.node, identity)
        elif kind == "firefox":
            session = await self.stack.enter_async_context(other_browser(self.node, self.folder))
            member = await InFirefox.enter(session, self.node, identity)
        else:
            member = await InPython.enter(self.node, identity)
        self.stack.push_async_callback(member.close)
        return member


@pytest.mark.parametrize(
    "kinds",
    [("page", "page"), ("page", "python"), ("python", "page"), ("python", "python"), ("page", "firefox")],
    ids=" and ".join,
)
def test_two_call_each_other_through_one_listener(node: Node, tmp_path: Path, kinds: tuple[str, str]) -> None:
    async def call() -> None:
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(TIMEOUT):
            browsers = Browsers(node, tmp_path, stack)
            members = [await browsers.enter(kind, name) for kind, name in zip(kinds, ("ann", "bob"), strict=True)]
            heard = await asyncio.gather(*(member.call() for member in members))
            assert list(heard) == ["hello from bob", "hello from ann"]
            await asyncio.gather(*(member.frames() for member in members))
            for member in members:
                assert await member.selected() == ["relay", "relay", "tls"]

    asyncio.run(call())


def test_a_refused_page_and_a_refused_program_see_the_reason(node: Node, tmp_path: Path) -> None:
    """SG-4: what the hook says reaches both, and nobody is in the room."""

    async def call() -> None:
        async with browser(node, tmp_path) as started, asyncio.timeout(TIMEOUT):
            with pytest.raises(Exception, match="banned: until Monday"):
                await InPage.enter(started, node, "eve")
            with pytest.raises(SignalRefusedError, match="banned: until Monday") as caught:
                await InPython.enter(node, "eve")
            assert caught.value.close_code == 4403
            ann = await InPython.enter(node, "ann")
            assert ann._signal.peers == ()
            await ann.close()
            with pytest.raises(SignalRefusedError) as caught:
                async with SignalClient(node.url, token="no.such.token", authority=node.authority):
                    raise AssertionError("a bad token was taken")
            assert caught.value.close_code == 4401

    asyncio.run(call())


def test_the_server_wrote_no_token(node: Node) -> None:
    """SG-7: neither the key nor a token, after all of the above."""
    said = node.program.said()
    assert KEY not in said
    assert "no.such.token" not in said
    assert "eyJ" not in said
    assert json.dumps(said).count("Traceback") == 0
