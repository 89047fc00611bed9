"""Two connections of one machine, each bound to its only device; prints the path of each kind that they have found."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCSessionDescription
from icelane.testing.lab import Host, build


async def told(pc: RTCPeerConnection, protocol: str) -> RTCSessionDescription:
    """Our description with all candidates over that protocol."""
    await pc.setLocalDescription()
    await pc.gathering_complete()
    assert pc.localDescription is not None
    lines = pc.localDescription.sdp.splitlines(keepends=True)
    kept = "".join(line for line in lines if "candidate:" not in line or f" {protocol} " in line)
    return replace(pc.localDescription, sdp=kept)


async def meet(protocol: str, network: str) -> str:
    """The path of one pair of connections."""
    narrowed = RTCConfiguration(interfaces=["ethernet"], addresses=[network], ice_tcp="both")
    async with RTCPeerConnection(narrowed) as one, RTCPeerConnection(narrowed) as other:
        one.createDataChannel("x")
        await other.setRemoteDescription(await told(one, protocol))
        await one.setRemoteDescription(await told(other, protocol))
        await asyncio.gather(one.connected(10), other.connected(10))
        return str(one.security_report().selected_pair)


async def main() -> None:
    """All four."""
    kinds = [(protocol, network) for protocol in ("udp", "tcp") for network in ("198.18.0.0/15", "2001:2::/48")]
    print(json.dumps([await meet(*kind) for kind in kinds]))


if __name__ == "__main__":
    with build(Host("left")) as lab, lab["left"].inside():
        asyncio.run(main())
