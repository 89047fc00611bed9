"""Two people chat from terminal to terminal. They bring their descriptions together by copy and paste.

    python terminal_chat.py               one of them
    python terminal_chat.py answer        the other

Whoever sees the pasted line can take the other's place: send it over a channel that you both trust.
INTERFACES in the environment names the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

CONFIGURATION = RTCConfiguration(
    interfaces=os.environ.get("INTERFACES", "").split() or None,
    patience=600,  # seconds that a person may take to carry the answer to the other one
)


async def typed_lines() -> asyncio.StreamReader:
    """What is typed. A thread in `input()` would keep the program alive after Ctrl-C."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def show(pc: RTCPeerConnection) -> None:
    await pc.setLocalDescription()
    await pc.gathering_complete()
    assert pc.localDescription is not None
    print("\nGive this line to the other side:\n" + json.dumps(pc.localDescription.toJSON()) + "\n", flush=True)


async def take(pc: RTCPeerConnection, lines: asyncio.StreamReader) -> None:
    print("Paste the line of the other side:", flush=True)
    await pc.setRemoteDescription(RTCSessionDescription.from_json(json.loads(await lines.readline())))


async def chat(channel: RTCDataChannel, lines: asyncio.StreamReader) -> None:
    @channel.on("message")
    def received(message: str | bytes) -> None:
        # repr, because a stranger's text may hold what moves the cursor.
        print(f"> {message!r}", flush=True)

    @channel.on("close")
    def left() -> None:
        print("The other side has left; press Enter.", flush=True)

    await channel.opened()
    print("Connected. An empty line ends the chat.", flush=True)
    while (line := (await lines.readline()).decode().strip()) and channel.readyState == "open":
        channel.send(line)


async def main(answering: bool) -> None:
    lines = await typed_lines()
    async with RTCPeerConnection(CONFIGURATION) as pc:
        if answering:
            arrived: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            pc.on("datachannel", arrived.set_result)
            await take(pc, lines)
            await show(pc)
            channel = await arrived
        else:
            channel = pc.createDataChannel("chat")
            await show(pc)
            await take(pc, lines)
            await channel.opened()
        print(pc.security_report())
        await chat(channel, lines)


if __name__ == "__main__":
    asyncio.run(main(answering=sys.argv[1:] == ["answer"]))
