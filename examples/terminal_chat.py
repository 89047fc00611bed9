"""Two people chat from terminal to terminal. They bring their descriptions together by copy and paste.

    python terminal_chat.py               one of them
    python terminal_chat.py answer        the other

Whoever sees the pasted line can take the other's place: send it over a channel that you both trust.
"""

from __future__ import annotations

import asyncio
import json
import sys

from icelane import RTCDataChannel, RTCPeerConnection, RTCSessionDescription


async def read_line(prompt: str = "") -> str:
    if prompt:
        print(prompt, flush=True)
    return (await asyncio.to_thread(sys.stdin.readline)).rstrip("\n")


async def show(pc: RTCPeerConnection) -> None:
    await pc.setLocalDescription()
    await pc.gathering_complete()
    assert pc.localDescription is not None
    print("\nGive this line to the other side:\n" + json.dumps(pc.localDescription.toJSON()) + "\n", flush=True)


async def take(pc: RTCPeerConnection) -> None:
    line = await read_line("Paste the line of the other side:")
    await pc.setRemoteDescription(RTCSessionDescription.from_json(json.loads(line)))


async def chat(channel: RTCDataChannel) -> None:
    @channel.on("message")
    def received(message: str | bytes) -> None:
        print(f"> {message if isinstance(message, str) else f'{len(message)} bytes'}", flush=True)

    @channel.on("close")
    def left() -> None:
        print("The other side has left; press Enter.", flush=True)

    await channel.opened()
    print("Connected. An empty line ends the chat.", flush=True)
    while (line := await read_line()) and channel.readyState == "open":
        channel.send(line)


async def main(answering: bool) -> None:
    async with RTCPeerConnection() as pc:
        if answering:
            arrived: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            pc.on("datachannel", arrived.set_result)
            await take(pc)
            await show(pc)
            channel = await arrived
        else:
            channel = pc.createDataChannel("chat")
            await show(pc)
            await take(pc)
        print(pc.security_report())
        await chat(channel)


if __name__ == "__main__":
    asyncio.run(main(answering=sys.argv[1:] == ["answer"]))
