"""Echoes whatever comes over a data channel.

    pip install 'icelane[server]'
    python data_echo_server.py            then open http://127.0.0.1:8080

The page sends an offer by HTTP and gets the answer back; everything after that goes directly from peer to peer.
INTERFACES in the environment names the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import contextlib
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from icelane.errors import IcelaneError

PAGE = """<!doctype html><meta charset="utf-8"><title>Echo</title>
<input id="text" placeholder="say something" autofocus><pre id="log"></pre>
<script type="module">
const log = line => document.getElementById("log").textContent += line + "\\n"
const pc = new RTCPeerConnection()
const channel = pc.createDataChannel("echo")
channel.onopen = () => log("connected")
channel.onmessage = ({data}) => log("echo: " + data)
document.getElementById("text").onchange = ({target}) => { channel.send(target.value); target.value = "" }
await pc.setLocalDescription()
if (pc.iceGatheringState !== "complete")
  await new Promise(done => pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done())
const answer = await fetch("/offer", {method: "POST", body: JSON.stringify(pc.localDescription)})
await pc.setRemoteDescription(await answer.json())
</script>"""

connections: set[RTCPeerConnection] = set()


async def page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def offer(request: Request) -> JSONResponse:
    pc = RTCPeerConnection(RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None))
    connections.add(pc)

    @pc.on("datachannel")
    async def echo(channel: RTCDataChannel) -> None:
        with contextlib.suppress(IcelaneError):  # the peer may go at any time
            async for message in channel:
                channel.send(message)
                await channel.drain()  # who does not read its echoes is not read from either

    @pc.on("connectionstatechange")
    async def watch() -> None:
        if pc.connectionState in ("failed", "closed"):
            connections.discard(pc)
            await pc.close()

    try:
        await pc.setRemoteDescription(RTCSessionDescription.from_json(await request.json()))
        await pc.setLocalDescription()
        await pc.gathering_complete()
    except (IcelaneError, ValueError, AttributeError) as error:  # no description, or no JSON at all
        await pc.close()
        return JSONResponse({"error": str(error)}, status_code=400)
    assert pc.localDescription is not None
    return JSONResponse(pc.localDescription.toJSON())


app = Starlette(routes=[Route("/", page), Route("/offer", offer, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
