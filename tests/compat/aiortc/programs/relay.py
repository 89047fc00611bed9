"""One track for several readers."""

import asyncio
from itertools import pairwise

from aiortc.contrib.media import MediaRelay, RelayStreamTrack
from aiortc.mediastreams import MediaStreamError

from media import ToneTrack


async def main():
    source, relay = ToneTrack(), MediaRelay()
    first, second, newest = (
        relay.subscribe(source),
        relay.subscribe(source, buffered=True),
        relay.subscribe(source, buffered=False),
    )
    frames = await asyncio.gather(first.recv(), second.recv(), newest.recv())
    found = [len({id(frame) for frame in frames}), isinstance(first, RelayStreamTrack), first.kind]
    again = [await first.recv() for _ in range(5)]
    found.append([after.pts - before.pts for before, after in pairwise(again)])
    first.stop()
    found += [first.readyState, second.readyState, source.readyState]
    try:
        await first.recv()
    except MediaStreamError:
        found.append("ended")
    await asyncio.sleep(0.1)
    late = await newest.recv()
    found.append(late.pts > again[-1].pts)
    second.stop()
    newest.stop()
    return found
