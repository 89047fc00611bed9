"""A call with sound and pictures, both ends in this program; what arrives is recorded.

    python call_yourself.py call.mp4           five seconds
    python call_yourself.py call.mp4 60        a minute

Needs `pip install 'icelane[media]'`. INTERFACES in the environment names the only network interfaces to use, such as
`lo`. In a call of two programs the descriptions go from one to the other as in the other examples.
"""

from __future__ import annotations

import asyncio
import os
import sys

from icelane import MediaRecorder, MediaStreamTrack, RTCConfiguration, RTCPeerConnection, TestCardTrack, ToneTrack

CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)


async def call(file: str, seconds: float) -> None:
    recorder = MediaRecorder(file)
    async with RTCPeerConnection(CONFIGURATION) as caller, RTCPeerConnection(CONFIGURATION) as callee:

        @callee.on("track")
        def received(track: MediaStreamTrack) -> None:
            print(f"{track.kind} comes in", flush=True)
            recorder.addTrack(track)

        caller.addTrack(ToneTrack(440))
        caller.addTrack(TestCardTrack(640, 480))
        await connect(caller, callee)
        print(callee.security_report(), flush=True)
        await recorder.start()
        await asyncio.sleep(seconds)
        await recorder.stop()
        for stats in (await callee.getStats()).of_type("inbound-rtp"):
            print(f"{stats.kind}: {stats.packetsReceived} packets, {stats.packetsLost} lost", flush=True)
    print(f"recorded {file}", flush=True)


async def connect(caller: RTCPeerConnection, callee: RTCPeerConnection) -> None:
    """What signaling does between two programs."""
    await caller.setLocalDescription()
    await caller.gathering_complete()
    assert caller.localDescription is not None
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription()
    await callee.gathering_complete()
    assert callee.localDescription is not None
    await caller.setRemoteDescription(callee.localDescription)
    await asyncio.gather(caller.connected(30), callee.connected(30))


if __name__ == "__main__":
    name, *more = sys.argv[1:] or ["call.mp4"]
    asyncio.run(call(name, float(more[0]) if more else 5.0))
