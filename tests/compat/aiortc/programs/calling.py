"""What the programs share: two connections in one process."""

from __future__ import annotations

import asyncio

from aiortc import RTCConfiguration, RTCPeerConnection

PATIENCE = 20.0


def connection() -> RTCPeerConnection:
    """One that asks no server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def negotiate(caller: RTCPeerConnection, callee: RTCPeerConnection) -> None:
    """As aiortc's examples do it: descriptions hold every candidate."""
    await caller.setLocalDescription(await caller.createOffer())
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(callee.localDescription)


async def until(condition, what="it") -> None:
    """Wait until `condition()` is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def connected(*connections: RTCPeerConnection) -> None:
    """Wait until they are."""
    await until(lambda: all(one.connectionState == "connected" for one in connections))
