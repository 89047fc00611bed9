"""Opens and closes many connections in a process of its own, twice, and prints what is held after each time.

python -m tests.aio.many_connections 500 uvloop
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
from collections import Counter
from typing import Any, Final

import uvloop

from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from tests.aio.peers import LOOPBACK, PATIENCE, connect
from tests.broken.registry import all_breaks

AT_ONCE: Final = 4  # pairs
PAYLOAD: Final = bytes(20_000)


async def call(number: int) -> None:
    """Two connections, some messages, and an end of one kind or another."""
    alice, bob = RTCPeerConnection(LOOPBACK), RTCPeerConnection(LOOPBACK)
    announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
    bob.on("datachannel", announced.set_result)
    channel = alice.createDataChannel("chat")
    await connect(alice, bob)
    theirs = await announced
    for _ in range(3):
        channel.send(PAYLOAD)
        theirs.send("text")
    for _ in range(3):
        assert await theirs.receive() == PAYLOAD
        assert await channel.receive() == "text"
    if number % 3 == 0:
        await asyncio.gather(alice.close(), bob.close())
    elif number % 3 == 1:
        await alice.close()
        await bob.close()
    else:
        await alice.close(timeout=0)
        await bob.close(timeout=PATIENCE)


async def cycle(connections: int) -> None:
    """So many connections, a few at a time."""
    for first in range(0, connections // 2, AT_ONCE):
        await asyncio.gather(*(call(number) for number in range(first, min(first + AT_ONCE, connections // 2))))


async def holdings() -> dict[str, Any]:
    """What this process holds now."""
    for _ in range(5):
        await asyncio.sleep(0.02)
    gc.collect()
    # What was freed goes back to the system, so that fragments of the heap are not taken for growth.
    ctypes.CDLL(None).malloc_trim(0)
    timers = [handle for handle in getattr(asyncio.get_running_loop(), "_scheduled", []) if not handle.cancelled()]
    ours = Counter(type(one).__name__ for one in gc.get_objects() if str(type(one).__module__).startswith("icelane."))
    # Events are frozen and enumerations live for ever; what has a life of its own must be gone.
    alive = {name: count for name, count in ours.items() if name.startswith(("RTC", "Peer", "Ice", "Dtls", "Sctp"))}
    with open("/proc/self/statm", encoding="ascii") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "resident": resident,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "timers": len(timers),
        "alive": alive,
        "objects": sum(ours.values()),
    }


async def main(connections: int) -> None:
    unhandled: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(repr(context)))
    await cycle(20 * AT_ONCE)  # what is imported and opened once, and a heap that has found its size
    found = [await holdings()]
    for _ in range(2):
        await cycle(connections)
        found.append(await holdings())
    print(json.dumps({"holdings": found, "unhandled": unhandled}))


if __name__ == "__main__":
    if broken := os.environ.get("BREAK_NAME"):
        all_breaks()[broken].apply()
    factory = uvloop.new_event_loop if sys.argv[2] == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(sys.argv[1])))
