"""Sound that a program makes comes back from the one that echoes the track it got."""

from itertools import pairwise
from statistics import mode

from aiortc import MediaStreamTrack
from calling import connection, negotiate, until

from media import ToneTrack, frequency_of


async def main():
    caller, callee, tracks = connection(), connection(), []

    @callee.on("track")
    def on_track(track):
        callee.addTrack(track)

    caller.on("track", tracks.append)
    sent = ToneTrack(500)
    sender = caller.addTrack(sent)
    await negotiate(caller, callee)
    await until(lambda: tracks)
    track = tracks[0]
    frames, heard = [], []
    for _ in range(100):  # on a busy machine sound is late, and what is made up for it is no tone
        frames += [await track.recv() for _ in range(10)]
        heard.append(frequency_of(frames[-10:]))
        if heard[-1] == 500:
            break
    frame = frames[-1]
    steps = [after.pts - before.pts for before, after in pairwise(frames)]
    found = [isinstance(track, MediaStreamTrack), track.kind, track.readyState, type(track).__name__]
    found += [
        frame.format.name,
        frame.layout.name,
        frame.sample_rate,
        mode(one.samples for one in frames),
        str(frame.time_base),
    ]
    found += [heard[-1], mode(steps), sender.track is sent, sender.kind]
    transceiver = caller.getTransceivers()[0]
    found += [transceiver.mid, transceiver.direction, transceiver.currentDirection, transceiver.sender is sender]
    found += [transceiver.receiver.track is track, len(caller.getSenders()), len(callee.getReceivers())]
    await caller.close()
    await callee.close()
    return found
