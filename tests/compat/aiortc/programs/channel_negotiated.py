"""Channels that both programs make."""

from calling import connection, negotiate, until


async def main():
    caller, callee, received = connection(), connection(), []
    announced = []
    callee.on("datachannel", announced.append)
    ends = [one.createDataChannel("both", negotiated=True, id=7) for one in (caller, callee)]
    for end in ends:
        end.on("message", received.append)
        end.on("open", lambda end=end: end.send(f"from {end.id}"))
    await negotiate(caller, callee)
    await until(lambda: len(received) == 2)
    await caller.close()
    await callee.close()
    refused = []
    for arguments in ({"negotiated": True}, {"maxRetransmits": 1, "maxPacketLifeTime": 1}):
        try:
            connection().createDataChannel("wrong", **arguments)
        except ValueError:
            refused.append(sorted(arguments))
    return [received, announced, refused]
