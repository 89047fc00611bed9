"""bufferedAmount and its event."""

from calling import connection, negotiate, until


async def main():
    caller, callee, events, received = connection(), connection(), [], []
    channel = caller.createDataChannel("bulk")
    channel.bufferedAmountLowThreshold = 10_000
    channel.on("bufferedamountlow", lambda: events.append(channel.bufferedAmount <= 10_000))
    callee.on("datachannel", lambda remote: remote.on("message", lambda message: received.append(len(message))))
    await negotiate(caller, callee)
    await until(lambda: channel.readyState == "open")
    for _ in range(40):
        channel.send(b"x" * 16_000)
    was_buffered = channel.bufferedAmount > 10_000
    await until(lambda: len(received) == 40 and events)
    await until(lambda: channel.bufferedAmount == 0)
    refused = False
    try:
        channel.bufferedAmountLowThreshold = -1
    except ValueError:
        refused = True
    try:
        channel.send(5)
    except ValueError:
        refused = refused and True
    await caller.close()
    await callee.close()
    return [was_buffered, events[0], sum(received), refused]
