"""Messages of both kinds, echoed."""

from calling import connected, connection, negotiate, until


async def main():
    caller, callee = connection(), connection()
    channel, received = caller.createDataChannel("chat"), []

    @callee.on("datachannel")
    def on_datachannel(remote):
        @remote.on("message")
        def on_message(message):
            remote.send(message)

    @channel.on("open")
    def on_open():
        for message in ("hello", "", b"\x00\x01", b"", "ä" * 1000, b"x" * 50_000):
            channel.send(message)

    channel.on("message", received.append)
    await negotiate(caller, callee)
    await connected(caller, callee)
    await until(lambda: len(received) == 6)
    await caller.close()
    await callee.close()
    return [[type(message).__name__, len(message)] for message in received]
