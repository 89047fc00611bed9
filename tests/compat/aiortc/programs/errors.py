"""How a program's mistakes are told."""

import aiortc
from aiortc import InvalidAccessError, InvalidStateError, RTCIceCandidate, RTCSessionDescription
from aiortc.exceptions import InternalError
from aiortc.mediastreams import MediaStreamError
from calling import connection

from media import ToneTrack

KNOWN = (InternalError, InvalidAccessError, InvalidStateError, MediaStreamError, ValueError)


async def main():
    pc, track = connection(), ToneTrack()
    pc.addTrack(track)
    silent = aiortc.AudioStreamTrack()
    silent.stop()
    closed = connection()
    await closed.close()
    candidate = RTCIceCandidate(1, "f", "192.0.2.1", 5000, 1000, "udp", "host")
    return [
        attempt(lambda: pc.addTrack(track)),
        attempt(lambda: pc.addTransceiver("smell")),
        attempt(lambda: pc.addTransceiver("audio", direction="sideways")),
        attempt(lambda: RTCSessionDescription("", "wish")),
        attempt(lambda: closed.addTrack(ToneTrack())),
        await attempt_later(closed.createOffer()),
        await attempt_later(pc.createAnswer()),
        await attempt_later(pc.addIceCandidate(candidate)),
        await attempt_later(silent.recv()),
    ]


def attempt(do):
    try:
        do()
    except KNOWN as error:
        return next(kind.__name__ for kind in KNOWN if isinstance(error, kind))
    return "nothing"


async def attempt_later(awaitable):
    try:
        await awaitable
    except KNOWN as error:
        return next(kind.__name__ for kind in KNOWN if isinstance(error, kind))
    return "nothing"
