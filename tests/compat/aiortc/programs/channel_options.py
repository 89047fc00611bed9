"""createDataChannel's arguments, by position and by name, at both ends."""

from calling import connection, negotiate, until


def described(channel):
    return [
        channel.label, channel.ordered, channel.maxPacketLifeTime, channel.maxRetransmits, channel.protocol,
        channel.negotiated, channel.id, channel.readyState,
    ]  # fmt: skip


async def main():
    caller, callee, events, remotes = connection(), connection(), [], {}

    @callee.on("datachannel")
    def on_datachannel(channel):
        remotes[channel.label] = described(channel)
        channel.on("open", lambda: events.append("open of a channel that was open"))

    channels = [
        caller.createDataChannel("one"),
        caller.createDataChannel("two", 500, None, False, "chat"),
        caller.createDataChannel("three", maxRetransmits=3, ordered=True),
    ]
    for channel in channels:
        channel.on("open", lambda: events.append("open"))
    await negotiate(caller, callee)
    await until(lambda: len(remotes) == 3 and len(events) == 3)
    found = [sorted(remotes.values()), [described(channel) for channel in channels], events]
    found.append([type(caller.sctp).__name__, caller.sctp.state, caller.sctp.transport.state])
    found.append([caller.sctp.transport.transport.state, channels[0].transport is caller.sctp])
    await caller.close()
    await callee.close()
    return found
