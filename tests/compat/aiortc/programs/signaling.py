"""Descriptions and candidates carried over sockets."""

import argparse
import asyncio
import os
import tempfile

from aiortc import RTCIceCandidate, RTCSessionDescription
from aiortc.contrib.signaling import (
    BYE,
    add_signaling_arguments,
    create_signaling,
    object_from_string,
    object_to_string,
)

CANDIDATE = RTCIceCandidate(1, "f", "192.0.2.1", 5000, 1000, "udp", "srflx", "10.0.0.1", 6000, "0", 0)


async def main():
    texts = [object_to_string(one) for one in (RTCSessionDescription("v=0", "offer"), CANDIDATE, BYE)]
    back = [object_from_string(text) for text in texts]
    found = [texts, [type(one).__name__ for one in back], back[1] == CANDIDATE, back[2] is BYE]
    parser = argparse.ArgumentParser()
    add_signaling_arguments(parser)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "signals")
        arguments = parser.parse_args(["--signaling", "unix-socket", "--signaling-path", path])
        one, other = create_signaling(arguments), create_signaling(arguments)
        await one.connect()
        await other.connect()
        sending = asyncio.ensure_future(one.send(back[0]))
        while not os.path.exists(path):
            await asyncio.sleep(0.01)
        received = [await other.receive()]
        await sending
        await other.send(CANDIDATE)
        received.append(await one.receive())
        await one.close()
        received.append(await other.receive())
        await other.close()
        found += [received[0] == back[0], received[1] == CANDIDATE, received[2] is BYE, os.path.exists(path)]
    return found
