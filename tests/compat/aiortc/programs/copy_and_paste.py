"""A call whose messages a person carries: here, pipes do."""

import asyncio
import contextlib
import io
import os

from aiortc import RTCSessionDescription
from aiortc.contrib.signaling import BYE, CopyAndPasteSignaling
from calling import connection, until


def signaling(reading, writing):
    made = CopyAndPasteSignaling()
    made._read_pipe, made._write_pipe = os.fdopen(reading, "r"), os.fdopen(writing, "w")
    return made


async def consume(pc, way):
    """The loop of aiortc's examples."""
    while True:
        message = await way.receive()
        if isinstance(message, RTCSessionDescription):
            await pc.setRemoteDescription(message)
            if message.type == "offer":
                await pc.setLocalDescription(await pc.createAnswer())
                await way.send(pc.localDescription)
        elif message is BYE:
            return "bye"


async def main():
    there, back = os.pipe(), os.pipe()
    one, other = signaling(back[0], there[1]), signaling(there[0], back[1])
    caller, callee, received = connection(), connection(), []
    channel = caller.createDataChannel("chat")
    channel.on("open", lambda: channel.send("hello"))
    callee.on("datachannel", lambda remote: remote.on("message", received.append))
    with contextlib.redirect_stdout(io.StringIO()):
        await one.connect()
        await other.connect()
        await caller.setLocalDescription(await caller.createOffer())
        await one.send(caller.localDescription)
        tasks = [asyncio.ensure_future(consume(caller, one)), asyncio.ensure_future(consume(callee, other))]
        await until(lambda: received)
        await one.close()
        ended = await tasks[1]
        tasks[0].cancel()
    await caller.close()
    await callee.close()
    return [received, ended]
