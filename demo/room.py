"""The whole story: two meet in a room of our node, and pictures, sound, words and files go through its relay alone.

    token  ->  signaling over WebSocket  ->  TURN over TLS on the same port  ->  DTLS, SRTP, data channels

Once between two programs of ours, once between a program and the call page in Chromium.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from demo.call import CallReport
from demo.calls import DemoBrowser
from demo.node import DemoNode
from demo.paths import PathResult, failed, of_room, skipped
from demo.room_peer import RoomPeer

if TYPE_CHECKING:
    from demo.room_page import RoomPage

PAYLOAD = 2 << 20  # bytes of the file that each sends to the other
FRAMES = 30  # pictures that each decodes
TIMEOUT = 60.0  # seconds for one call
PEERS = "icelane peers in a room"
PAGE = "Chromium page in a room"
_GREETING = "good morning"


async def room_peers_path(node: DemoNode) -> PathResult:
    """Two programs of ours."""

    async def call() -> PathResult:
        async with (
            _folder() as folder,
            RoomPeer.entered(node, "ann", folder / "ann") as ann,
            RoomPeer.entered(node, "bob", folder / "bob") as bob,
            _noting(ann, bob),
        ):
            return await _two_peers(ann, bob)

    return await _result(PEERS, call)


async def _two_peers(ann: RoomPeer, bob: RoomPeer) -> PathResult:
    await asyncio.gather(ann.call(), bob.call())
    idle = await ann.round_trip(), await bob.round_trip()  # a full queue is no round trip
    ann.chat.send(_GREETING)
    greeted = await bob.chat.receive() == _GREETING
    forth, back, at_bob, at_ann = await asyncio.gather(
        ann.send("forth", PAYLOAD), bob.send("back", PAYLOAD), bob.take(), ann.take()
    )
    await asyncio.gather(ann.decoded(FRAMES), bob.decoded(FRAMES))
    report = CallReport(
        caller=await ann.report(sent=forth.size, received=at_ann.size, round_trip=idle[0]),
        callee=await bob.report(sent=back.size, received=at_bob.size, round_trip=idle[1]),
    )
    codes = ann.pc.security_report().security_code(), bob.pc.security_report().security_code()
    return of_room(PEERS, report, codes=codes, greeted=greeted)


async def room_page_path(node: DemoNode, chromium: DemoBrowser) -> PathResult:
    """A program of ours, and the call page."""
    if missing := chromium.missing_for("tls"):
        return skipped(PAGE, missing)

    async def call() -> PathResult:
        from demo.room_page import RoomPage

        if chromium.browser is None:
            raise chromium.error or RuntimeError("there is no browser")
        async with (
            _folder() as folder,
            RoomPeer.entered(node, "bot", folder / "bot") as bot,
            _noting(bot),
            aclosing(await RoomPage.entered(chromium.browser, node, "Ann")) as page,
        ):
            return await _page_and_peer(page, bot, folder / "from the page")

    return await _result(PAGE, call)


async def _page_and_peer(page: RoomPage, bot: RoomPeer, file: Path) -> PathResult:
    await asyncio.gather(page.called(), bot.call())
    idle = await bot.round_trip()
    await page.say(_GREETING)
    greeted = await bot.chat.receive() == _GREETING
    bot.chat.send("and to you")
    await page.reads("and to you")
    file.write_bytes(bytes(range(256)) * (PAYLOAD // 256))
    _, at_bot = await asyncio.gather(page.send(file), bot.take())
    at_page, _ = await asyncio.gather(bot.send("from the bot", PAYLOAD), page.take())
    await asyncio.gather(page.decoded(FRAMES), bot.decoded(FRAMES))
    report = CallReport(
        caller=await page.report(sent=PAYLOAD, received=at_page.size),
        callee=await bot.report(sent=PAYLOAD, received=at_bot.size, round_trip=idle),
    )
    codes = await page.code(), bot.pc.security_report().security_code()
    return of_room(PAGE, report, codes=codes, greeted=greeted)


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    with TemporaryDirectory(prefix="icelane-demo-files-") as folder:
        yield Path(folder)


@asynccontextmanager
async def _noting(*peers: RoomPeer) -> AsyncIterator[None]:
    """What fails within gets a note for each problem of the peers with their server."""
    try:
        yield
    except Exception as error:
        for problem in (problem for peer in peers for problem in peer.problems):
            error.add_note(problem)
        raise


async def _result(path: str, call: Callable[[], Awaitable[PathResult]]) -> PathResult:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await call()
    except TimeoutError:
        return failed(path, TimeoutError(f"not finished after {TIMEOUT:g} s"))
    except Exception as error:  # the row says what happened; the other paths have theirs
        return failed(path, error)
