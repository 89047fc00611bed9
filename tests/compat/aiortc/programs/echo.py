"""Sound that a program makes comes back from the one that echoes the track it got."""

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
    for _ in range(25):
        await track.recv()
    frames = [await track.recv() for _ in range(25)]
    frame = frames[0]
    found = [isinstance(track, MediaStreamTrack), track.kind, track.readyState, type(track).__name__]
    found += [frame.format.name, frame.layout.name, frame.sample_rate, frame.samples, str(frame.time_base)]
    found += [frequency_of(frames), frames[1].pts - frame.pts, sender.track is sent, sender.kind]
    transceiver = caller.getTransceivers()[0]
    found += [transceiver.mid, transceiver.direction, transceiver.currentDirection, transceiver.sender is sender]
    found += [transceiver.receiver.track is track, len(caller.getSenders()), len(callee.getReceivers())]
    await caller.close()
    await callee.close()
    return found
