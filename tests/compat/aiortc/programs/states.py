"""Which states a connection goes through, and when its handlers hear of them."""

from calling import connected, connection, until

STATES = ("signalingState", "iceConnectionState", "connectionState", "iceGatheringState")


async def main():
    caller, callee, seen = connection(), connection(), {"caller": [], "callee": []}
    for name, one in (("caller", caller), ("callee", callee)):
        for state in STATES:
            one.on(
                state.lower().replace("state", "statechange"),
                lambda one=one, name=name, state=state: seen[name].append([state, getattr(one, state)]),
            )
    before = [getattr(caller, state) for state in STATES]
    caller.createDataChannel("x")
    await caller.setLocalDescription(await caller.createOffer())
    offer = caller.localDescription
    whole = ["a=candidate" in offer.sdp, "a=end-of-candidates" in offer.sdp, offer.type, caller.iceGatheringState]
    await callee.setRemoteDescription(offer)
    await callee.setLocalDescription()
    await caller.setRemoteDescription(callee.localDescription)
    await connected(caller, callee)
    during = [getattr(caller, state) for state in STATES]
    await caller.close()
    await until(lambda: callee.connectionState == "closed")  # it was told
    await callee.close()
    await callee.close()
    after = [getattr(callee, state) for state in STATES]
    each = {state: [value for one, value in seen["caller"] if one == state] for state in STATES}
    return [before, whole, during, after, each, caller.event_names() == set()]
