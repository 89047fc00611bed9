"""A thin client of either signaling server: `python -m benches.signal_talker slow|flood SERVER URL SECONDS`.

As a program it is the member that others suffer from: one that does not read, or one that says too much.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

CROWD: Final = "crowd"
LARGE: Final = "x" * 16_000
FLOOD_RATE: Final = 1000
SLOW_RATE: Final = 50
SLOW_BURST: Final = 150


class Talker:
    """Connected, and in a room."""

    def __init__(self, socket: ClientConnection, address: str) -> None:
        self.socket = socket
        self.address = address
        """Where others send to."""

    @classmethod
    async def enter(cls, url: str, name: str, room: str | None) -> Self:
        """Connect and join."""
        raise NotImplementedError

    async def say(self, to: str, data: object) -> None:
        """Send; `to` is an address, or a room for all others in it."""
        raise NotImplementedError

    async def hear(self) -> object:
        """What somebody said."""
        raise NotImplementedError


class OurTalker(Talker):
    """`icelane.signal.v1`."""

    @classmethod
    async def enter(cls, url: str, name: str, room: str | None) -> Self:
        socket = await connect(
            f"{url}/v1/signal",
            subprotocols=[Subprotocol("icelane.signal.v1"), Subprotocol(f"bearer.{name}")],
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=60,
        )
        await socket.send('{"type":"hello","id":1}')
        welcome = json.loads(await socket.recv())
        if room is not None:
            await socket.send(json.dumps({"type": "join", "id": 2, "room": room}))
            while json.loads(await socket.recv()).get("re") != 2:
                pass
        return cls(socket, welcome["peer"])

    async def say(self, to: str, data: object) -> None:
        target = to if to.startswith("p_") else "*"
        await self.socket.send(json.dumps({"type": "message", "to": target, "data": data}))

    async def hear(self) -> object:
        while True:
            frame = json.loads(await self.socket.recv())
            if frame["type"] == "message":
                return frame["data"]
            if frame["type"] == "ping":
                await self.socket.send('{"type":"pong"}')


class TheirTalker(Talker):
    """Engine.IO 4 and Socket.IO 5, over WebSocket from the start."""

    @classmethod
    async def enter(cls, url: str, name: str, room: str | None) -> Self:  # noqa: ARG003  (nobody asks who it is)
        socket = await connect(
            f"{url}/socket.io/?EIO=4&transport=websocket",
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=60,
        )
        await socket.recv()
        await socket.send("40")
        opened = str(await socket.recv())
        if room is not None:
            await socket.send("42" + json.dumps(["join", room]))
        return cls(socket, json.loads(opened[2:])["sid"])

    async def say(self, to: str, data: object) -> None:
        await self.socket.send("42" + json.dumps(["say", to, data]))

    async def hear(self) -> object:
        while True:
            text = str(await self.socket.recv())
            if text.startswith("42"):
                heard: object = json.loads(text[2:])[1]
                return heard
            if text == "2":
                await self.socket.send("3")


TALKERS: Final[dict[str, type[Talker]]] = {"icelane": OurTalker, "python-socketio": TheirTalker}


async def be_slow(talkers: type[Talker], url: str, seconds: float) -> None:
    """One member sends large messages to a room in which another one does not read."""
    deaf = await talkers.enter(url, "deaf", CROWD)
    deaf.socket.transport.pause_reading()
    speaker = await talkers.enter(url, "speaker", CROWD)
    for _ in range(SLOW_BURST):
        await speaker.say(CROWD, LARGE)
    for _ in range(int(seconds * SLOW_RATE)):
        await speaker.say(CROWD, LARGE)
        await asyncio.sleep(1 / SLOW_RATE)


async def flood(talkers: type[Talker], url: str, seconds: float) -> None:
    """One member says FLOOD_RATE things per second, and comes back when it is sent away."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    hearer = await talkers.enter(url, "hearer", CROWD)
    hearing = asyncio.create_task(_hear_all(hearer))
    while loop.time() < end:
        with contextlib.suppress(ConnectionClosed):
            flooder = await talkers.enter(url, "flooder", CROWD)
            while loop.time() < end:
                for _ in range(FLOOD_RATE // 100):
                    await flooder.say(CROWD, "x" * 200)
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    hearing.cancel()


async def _hear_all(talker: Talker) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await talker.hear()


def main() -> None:
    """The program."""
    what = {"slow": be_slow, "flood": flood}[sys.argv[1]]
    with contextlib.suppress(ConnectionClosed):
        asyncio.run(what(TALKERS[sys.argv[2]], sys.argv[3], float(sys.argv[4])))


if __name__ == "__main__":
    main()
