"""Many connections on one UDP port, in a process of its own: all at once, then twice one after the other.

    python -m tests.aio.mux_connections 200 uvloop

Prints, as one line of JSON, what each carried and what is held before and after.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop

from icelane import UdpMux
from icelane.aio.configuration import RTCConfiguration
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from tests.aio.many_connections import holdings
from tests.aio.peers import LOOPBACK, configured, exchange
from tests.broken.registry import all_breaks

AT_ONCE: Final = 10  # that are being set up; more would only wait for each other
SIZE: Final = 16_384
CONNECTED_WITHIN: Final = 60.0


class Call:
    """A caller with a socket of its own, and who is called on the shared port."""

    def __init__(self, number: int, on_mux: RTCConfiguration) -> None:
        self._payloads = [hashlib.sha256(b"%d %d" % (number, end)).digest() * (SIZE // 32) for end in range(2)]
        self._caller = RTCPeerConnection(LOOPBACK)
        self._callee = RTCPeerConnection(on_mux)
        self._announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        self._callee.on("datachannel", self._announced.set_result)
        self._near = self._caller.createDataChannel("call")

    async def begin(self) -> None:
        """Connect."""
        await exchange(self._caller, self._callee)
        ends = (self._caller, self._callee)
        await asyncio.gather(*(end.connected(CONNECTED_WITHIN) for end in ends))

    async def carry(self) -> bool:
        """Whether what was sent both ways is what arrived."""
        far = await self._announced
        await self._near.opened()
        ours, theirs = self._payloads
        self._near.send(ours)
        far.send(theirs)
        return await far.receive() == ours and await self._near.receive() == theirs

    async def end(self) -> None:
        """Say goodbye on both sides."""
        await asyncio.gather(self._caller.close(), self._callee.close())


async def all_at_once(count: int, on_mux: RTCConfiguration) -> dict[str, Any]:
    """So many connections that are open together."""
    mux = on_mux.udp_mux
    assert mux is not None
    begun = time.monotonic()
    calls = [Call(number, on_mux) for number in range(count)]
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(call.begin() for call in calls[first : first + AT_ONCE]))
    carried = sum([await call.carry() for call in calls])
    carried_together = sum(await asyncio.gather(*(call.carry() for call in calls)))
    together, ports = mux.connections, {address.port for address in mux.addresses}
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(call.end() for call in calls[first : first + AT_ONCE]))
    return {
        "carried": [carried, carried_together],
        "together": together,
        "ports": len(ports),
        "seconds": round(time.monotonic() - begun, 1),
    }


async def in_a_row(count: int, on_mux: RTCConfiguration) -> int:
    """So many that come and go; how many carried what they should."""
    carried = 0
    for number in range(count):
        call = Call(number, on_mux)
        await call.begin()
        carried += await call.carry()
        await call.end()
    return carried


async def main(count: int) -> None:
    """Everything, on one port."""
    unhandled: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(repr(context)))
    async with AsyncExitStack() as stack:
        mux = await stack.enter_async_context(await UdpMux.open(hosts=["127.0.0.1"]))
        on_mux = configured(udp_mux=mux)
        await in_a_row(20, on_mux)  # what is imported and opened once, and a heap that has found its size
        found = [await holdings()]
        together = await all_at_once(count, on_mux)
        tables = [sum(one.table.held for one in mux._sockets)]
        found.append(await holdings())
        carried = []
        for _ in range(2):
            carried.append(await in_a_row(count, on_mux))
            tables.append(sum(one.table.held for one in mux._sockets))
            found.append(await holdings())
    print(json.dumps(together | {"in_a_row": carried, "held": tables, "holdings": found, "unhandled": unhandled}))


if __name__ == "__main__":
    if broken := os.environ.get("BREAK_NAME"):
        all_breaks()[broken].apply()
    factory = uvloop.new_event_loop if sys.argv[2] == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(sys.argv[1])))
