"""replaceTrack, directions, and transceivers without tracks."""

from calling import connection, negotiate, until

from media import ColourTrack, ToneTrack, luma_of


async def main():
    caller, callee, tracks, found = connection(), connection(), [], []
    callee.on("track", tracks.append)
    dark = ColourTrack(50)
    sender = caller.addTrack(dark)
    transceiver = caller.addTransceiver("audio", direction="recvonly")
    found.append([transceiver.kind, transceiver.direction, transceiver.mid, transceiver.receiver.track])
    await negotiate(caller, callee)
    await until(lambda: tracks)
    frames = [await tracks[0].recv() for _ in range(5)]
    found.append(luma_of(frames[-1]))
    found.append(sender.replaceTrack(ColourTrack(200)))
    bright = 0
    for _ in range(150):
        bright = luma_of(await tracks[0].recv())
        if bright == 200:
            break
    found.append(bright)
    found.append([[one.kind, one.direction, one.currentDirection] for one in caller.getTransceivers()])
    found.append([[one.kind, one.direction, one.currentDirection] for one in callee.getTransceivers()])
    callee.getTransceivers()[1].direction = "sendonly"
    callee.getTransceivers()[1].sender.replaceTrack(ToneTrack())
    got = []
    caller.on("track", got.append)
    await negotiate(caller, callee)
    await until(lambda: got)
    frame = await got[0].recv()
    found.append([got[0].kind, frame.sample_rate, caller.getTransceivers()[1].currentDirection])
    await caller.close()
    await callee.close()
    return found
