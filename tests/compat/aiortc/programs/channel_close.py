"""A channel is closed by one end."""

from aiortc import InvalidStateError
from calling import connection, negotiate, until


async def main():
    caller, callee, events, remotes = connection(), connection(), [], []
    channel = caller.createDataChannel("short")

    @callee.on("datachannel")
    def on_datachannel(remote):
        remotes.append(remote)
        remote.on("close", lambda: events.append("remote close"))
        remote.on("message", lambda _: remote.close())

    @channel.on("close")
    def on_close():
        events.append("close")

    channel.on("open", lambda: channel.send("end"))
    early = attempt(channel)
    await negotiate(caller, callee)
    await until(lambda: len(events) == 2)
    found = [early, sorted(events), channel.readyState, remotes[0].readyState, attempt(channel)]
    found.append(channel.listeners("close"))
    await caller.close()
    await callee.close()
    return found


def attempt(channel):
    try:
        channel.send("no")
    except InvalidStateError:
        return "refused"
    return "sent"
