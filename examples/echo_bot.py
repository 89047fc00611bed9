"""Gives everybody who comes into the room back what they say, show and write.

    python echo_bot.py https://call.example.org TOKEN ROOM

Needs `pip install 'icelane[media]'`. AUTHORITY in the environment names the PEM file of a private authority, such as
that of `icelane dev`; INTERFACES the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import os
import sys

from icelane import RTCConfiguration, SignalClient

CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)
AUTHORITY = os.environ.get("AUTHORITY")


async def main(url: str, token: str, room: str) -> None:
    async with SignalClient(url, token=token, room=room, configuration=CONFIGURATION, authority=AUTHORITY) as signal:
        print(f"in {room} as {signal.identity}", flush=True)
        async for peer in signal:
            pc = signal.connect_peer(peer)
            pc.on("track", pc.addTrack)
            chat = pc.createDataChannel("chat", negotiated=True, id=0)
            chat.on("message", chat.send)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
