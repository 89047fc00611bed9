"""What getStats tells."""

import asyncio
import datetime

from aiortc import RTCStatsReport
from aiortc.contrib.media import MediaBlackhole
from calling import connected, connection, negotiate

from media import ColourTrack, ToneTrack


async def main():
    caller, callee, hole = connection(), connection(), MediaBlackhole()
    callee.on("track", hole.addTrack)
    sender = caller.addTrack(ToneTrack())
    caller.addTrack(ColourTrack(100))
    await negotiate(caller, callee)
    await hole.start()
    await connected(caller, callee)
    await asyncio.sleep(2.5)  # reports of the peer come once a second
    report, theirs = await caller.getStats(), await callee.getStats()
    found = [isinstance(report, RTCStatsReport)]
    found.append(sorted([one.type, getattr(one, "kind", "")] for one in report.values()))
    found.append(sorted([one.type, getattr(one, "kind", "")] for one in theirs.values() if one.type != "outbound-rtp"))
    kinds = {(one.type, getattr(one, "kind", "")): one for one in (await sender.getStats()).values()}
    sent, remote = kinds["outbound-rtp", "audio"], kinds["remote-inbound-rtp", "audio"]
    found.append([sent.packetsSent > 50, sent.bytesSent > 100, remote.packetsLost, remote.roundTripTime < 1])
    found.append([isinstance(sent.timestamp, datetime.datetime), sent.kind == remote.kind, remote.fractionLost])
    transport = next(one for one in report.values() if one.type == "transport")
    found.append(
        [transport.dtlsState, transport.iceRole, transport.packetsSent > 100, transport.id == sent.transportId]
    )
    await caller.close()
    await callee.close()
    await hole.stop()
    return found
