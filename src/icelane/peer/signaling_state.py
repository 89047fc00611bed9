"""Where a negotiation stands, and the legal moves (RFC 9429 section 3.2, W3C webrtc-pc section 4.3.1).

                          setLocal(offer) ,-.                    setRemote(pranswer) ,-.
                                          | v                                        | v
                    setLocal(offer)  +------------------+  setRemote(pranswer)  +----------------------+
               ,-------------------->| have-local-offer |---------------------->| have-remote-pranswer |
               |                     +------------------+                       +----------------------+
               |   setRemote(answer), setLocal(rollback) |            setRemote(answer) |
          +--------+<------------------------------------'------------------------------'
          | stable |
          +--------+<------------------------------------,------------------------------,
               |   setLocal(answer), setRemote(rollback) |             setLocal(answer) |
               |                     +------------------+                       +----------------------+
               '-------------------->| have-remote-offer|---------------------->| have-local-pranswer  |
                    setRemote(offer) +------------------+   setLocal(pranswer)  +----------------------+
                                          | ^                                        | ^
                         setRemote(offer) `-'                     setLocal(pranswer) `-'

A remote offer in have-local-offer rolls the local one back first (W3C section 4.4.1.5): perfect negotiation rests on
it.
"""

from __future__ import annotations

import enum
from typing import Final

from icelane.errors import InvalidStateError


class SignalingState(enum.Enum):
    """RTCSignalingState."""

    STABLE = "stable"
    HAVE_LOCAL_OFFER = "have-local-offer"
    HAVE_REMOTE_OFFER = "have-remote-offer"
    HAVE_LOCAL_PRANSWER = "have-local-pranswer"
    HAVE_REMOTE_PRANSWER = "have-remote-pranswer"
    CLOSED = "closed"


class DescriptionType(enum.Enum):
    """RTCSdpType."""

    OFFER = "offer"
    PRANSWER = "pranswer"
    ANSWER = "answer"
    ROLLBACK = "rollback"


class Side(enum.Enum):
    """Whose description is set: ours, or the peer's."""

    LOCAL = "local"
    REMOTE = "remote"


MOVES: Final = {
    (SignalingState.STABLE, Side.LOCAL, DescriptionType.OFFER): SignalingState.HAVE_LOCAL_OFFER,
    (SignalingState.STABLE, Side.REMOTE, DescriptionType.OFFER): SignalingState.HAVE_REMOTE_OFFER,
    (SignalingState.HAVE_LOCAL_OFFER, Side.LOCAL, DescriptionType.OFFER): SignalingState.HAVE_LOCAL_OFFER,
    (SignalingState.HAVE_LOCAL_OFFER, Side.LOCAL, DescriptionType.ROLLBACK): SignalingState.STABLE,
    (SignalingState.HAVE_LOCAL_OFFER, Side.REMOTE, DescriptionType.PRANSWER): SignalingState.HAVE_REMOTE_PRANSWER,
    (SignalingState.HAVE_LOCAL_OFFER, Side.REMOTE, DescriptionType.ANSWER): SignalingState.STABLE,
    (SignalingState.HAVE_REMOTE_PRANSWER, Side.REMOTE, DescriptionType.PRANSWER): SignalingState.HAVE_REMOTE_PRANSWER,
    (SignalingState.HAVE_REMOTE_PRANSWER, Side.REMOTE, DescriptionType.ANSWER): SignalingState.STABLE,
    (SignalingState.HAVE_REMOTE_OFFER, Side.REMOTE, DescriptionType.OFFER): SignalingState.HAVE_REMOTE_OFFER,
    (SignalingState.HAVE_REMOTE_OFFER, Side.REMOTE, DescriptionType.ROLLBACK): SignalingState.STABLE,
    (SignalingState.HAVE_REMOTE_OFFER, Side.LOCAL, DescriptionType.PRANSWER): SignalingState.HAVE_LOCAL_PRANSWER,
    (SignalingState.HAVE_REMOTE_OFFER, Side.LOCAL, DescriptionType.ANSWER): SignalingState.STABLE,
    (SignalingState.HAVE_LOCAL_PRANSWER, Side.LOCAL, DescriptionType.PRANSWER): SignalingState.HAVE_LOCAL_PRANSWER,
    (SignalingState.HAVE_LOCAL_PRANSWER, Side.LOCAL, DescriptionType.ANSWER): SignalingState.STABLE,
}


def next_state(state: SignalingState, side: Side, description_type: DescriptionType) -> SignalingState:
    """Where setting a description leads. Raises InvalidStateError for a move that is not in the table."""
    if (reached := MOVES.get((state, side, description_type))) is None:
        raise InvalidStateError(f"a {side.value} {description_type.value} cannot be set in {state.value}")
    return reached


def rolls_back_first(state: SignalingState, side: Side, description_type: DescriptionType) -> bool:
    """Whether setting this description takes our own offer back before."""
    return (state, side, description_type) == (SignalingState.HAVE_LOCAL_OFFER, Side.REMOTE, DescriptionType.OFFER)


def implied_type(state: SignalingState) -> DescriptionType:
    """What `setLocalDescription()` without a type sets (W3C section 4.4.2)."""
    if state in (SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER, SignalingState.HAVE_REMOTE_PRANSWER):
        return DescriptionType.OFFER
    return DescriptionType.ANSWER
