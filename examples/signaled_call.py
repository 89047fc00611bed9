"""A call by way of a signaling server: says hello to everybody who comes into the room, and prints what they say.

    python signaled_call.py https://call.example.org TOKEN ROOM
    python signaled_call.py ws://127.0.0.1:8000/rtc/v1/signal ann demo      with fastapi_signaling.py

INTERFACES in the environment names the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import os
import sys

from icelane import RTCConfiguration, SignalClient
from icelane.errors import IcelaneError
from icelane.signaling.client_event import Peer

CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)


async def talk(signal: SignalClient, peer: Peer) -> None:
    async with signal.connect_peer(peer) as pc:
        channel = pc.createDataChannel("chat", negotiated=True, id=0)
        await channel.opened()
        channel.send(f"hello, I am {signal.identity}")
        async for message in channel:
            print(f"{peer.identity}: {message!s}", flush=True)


async def main(url: str, token: str, room: str) -> None:
    async with (
        SignalClient(url, token=token, room=room, configuration=CONFIGURATION) as signal,
        asyncio.TaskGroup() as calls,
    ):
        print(f"in {room} as {signal.identity}", flush=True)
        async for peer in signal:
            calls.create_task(talk(signal, peer))


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:4]))
    except* IcelaneError as errors:
        sys.exit(str(errors.exceptions[0]))
