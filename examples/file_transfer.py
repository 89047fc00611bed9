"""Sends a file to another program. The two meet in a directory that both can reach.

    python file_transfer.py receive /mnt/shared copy.pdf
    python file_transfer.py send /mnt/shared report.pdf

`icelane peer send` does the same with a progress bar, names and hashes, and notices a transfer that broke off.
INTERFACES in the environment names the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

CHUNK = 16 * 1024
# For two networks that do not reach each other add iceServers=[RTCIceServer(urls=..., username=..., credential=...)].
CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)


async def put(pc: RTCPeerConnection, path: Path) -> None:
    """Write our description, whole: it appears in one step."""
    await pc.setLocalDescription()
    await pc.gathering_complete()
    assert pc.localDescription is not None
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(pc.localDescription.toJSON()))
    draft.rename(path)


async def take(path: Path) -> RTCSessionDescription:
    """Wait for the other side's description."""
    while not path.exists():  # noqa: ASYNC110  (another program writes it)
        await asyncio.sleep(0.1)
    text = path.read_text()
    path.unlink()
    return RTCSessionDescription.from_json(json.loads(text))


async def send(directory: Path, source: Path) -> None:
    async with RTCPeerConnection(CONFIGURATION) as pc:
        channel = pc.createDataChannel("file")
        await put(pc, directory / "offer.json")
        await pc.setRemoteDescription(await take(directory / "answer.json"))
        await channel.opened()
        with source.open("rb") as file:
            while chunk := file.read(CHUNK):
                channel.send(chunk)
                await channel.drain()
        # Leaving `async with` delivers what is queued, and then closes the channel: that ends the file.


async def receive(directory: Path, target: Path) -> None:
    async with RTCPeerConnection(CONFIGURATION) as pc:
        arrived: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        pc.on("datachannel", arrived.set_result)
        await pc.setRemoteDescription(await take(directory / "offer.json"))
        await put(pc, directory / "answer.json")
        with target.open("wb") as file:
            async for message in await arrived:
                assert isinstance(message, bytes)
                file.write(message)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("send", "receive"):
        sys.exit(__doc__)
    asyncio.run({"send": send, "receive": receive}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])))
