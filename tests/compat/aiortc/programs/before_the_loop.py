"""A connection and a player that are made before an event loop runs, as aiortc's command-line examples do."""

from aiortc import RTCPeerConnection
from calling import connection, negotiate, until

caller: RTCPeerConnection = connection()
received = []
states = [caller.signalingState, caller.iceConnectionState, caller.localDescription, caller.getTransceivers()]


@caller.on("track")
def on_track(track):
    received.append(track.kind)


async def main():
    from media import ToneTrack

    callee = connection()
    callee.addTrack(ToneTrack())
    caller.createDataChannel("chat")
    caller.addTransceiver("audio", direction="recvonly")
    await negotiate(caller, callee)
    await until(lambda: received)
    await caller.close()
    await callee.close()
    return [states, received]
