"""A track that changes what it gets from another one."""

from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaRelay
from calling import connection, negotiate, until

from media import ColourTrack, luma_of, picture


class Negative(MediaStreamTrack):
    """Dark becomes bright."""

    kind = "video"

    def __init__(self, track):
        super().__init__()
        self.track = track

    async def recv(self):
        frame = await self.track.recv()
        new = picture(255 - luma_of(frame), frame.width, frame.height)
        new.pts, new.time_base = frame.pts, frame.time_base
        return new


async def main():
    caller, callee, tracks, relay = connection(), connection(), [], MediaRelay()
    callee.on("track", lambda track: callee.addTrack(Negative(relay.subscribe(track))))
    caller.on("track", tracks.append)
    caller.addTrack(ColourTrack(55))
    await negotiate(caller, callee)
    await until(lambda: tracks)
    frames = [await tracks[0].recv() for _ in range(10)]
    last = frames[-1]
    found = [last.width, last.height, last.format.name, luma_of(last), str(last.time_base)]
    await caller.close()
    await callee.close()
    return [*found, frames[0].pts < last.pts]
