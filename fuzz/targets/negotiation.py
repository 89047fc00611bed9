"""A live negotiation: whatever text the peer sends raises what W3C names and changes nothing, or can be answered.

The first byte says what the rest is: an offer, an answer to ours, an offer while ours is out, an offer after a first
exchange, or a candidate; and whether we have audio and video.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from icelane.errors import InvalidAccessError, InvalidStateError, MalformedError, OperationError
from icelane.media.codec import MediaKind
from icelane.peer.description import Description
from icelane.peer.negotiation import Negotiation
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.sdp.session import parse_session
from icelane.sdp.validation import check_answer
from icelane.testing.entropy import SeededEntropy
from tests.peer.descriptions import DATA_ANSWERS, MEDIA_ANSWERS, OFFERS
from tests.peer.media import CAPABILITIES
from tests.peer.negotiating import CANDIDATE, RELAYED

_OFFER, _ANSWER, _GLARE, _REOFFER, _CANDIDATE = range(5)
_SITUATIONS: Final = 5
_WITH_MEDIA: Final = _SITUATIONS  # added to the situation
_REFUSALS: Final = (InvalidAccessError, InvalidStateError, OperationError)

SEEDS: Final = [
    *(bytes([_OFFER]) + text.encode() for text in OFFERS.values() if len(text) < 2500),
    *(bytes([_ANSWER]) + text.encode() for text in DATA_ANSWERS.values()),
    bytes([_GLARE]) + OFFERS["chromium_data_offer"].encode(),
    bytes([_REOFFER]) + OFFERS["chromium_data_offer"].encode(),
    bytes([_REOFFER]) + OFFERS["chromium_data_offer"].replace("RYm+", "RYm-").replace("8j8k", "9j8k").encode(),
    *(bytes([_WITH_MEDIA + _OFFER]) + text.encode() for text in OFFERS.values()),
    *(bytes([_WITH_MEDIA + kind]) + OFFERS["aiortc_media_offer"].encode() for kind in (_GLARE, _REOFFER)),
    *(bytes([_WITH_MEDIA + _ANSWER]) + text.encode() for text in MEDIA_ANSWERS.values()),
    *(bytes([_CANDIDATE]) + text.encode() for text in (CANDIDATE, RELAYED, "")),
]
DICTIONARY: Final = [
    b"a=mid:0\r\n", b"a=bundle-only\r\n", b"a=group:BUNDLE 0\r\n", b"a=ice-lite\r\n", b"a=setup:active\r\n",
    b"a=setup:passive\r\n", b"a=setup:actpass\r\n", b"a=sctp-port:0\r\n", b"a=end-of-candidates\r\n",
    b"a=max-message-size:0\r\n", b"a=tls-id:ABCDEFGHIJKLMNOPQRST\r\n", b"a=ice-options:trickle\r\n",
    b"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", b"m=application 0 DTLS/SCTP 5000\r\n",
    b"a=sctpmap:5000 webrtc-datachannel 65535\r\n", b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", b" 0 ",
    b"typ relay", b"ufrag ", b"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n", b"a=rtpmap:96 VP8/90000\r\n",
    b"a=rtpmap:97 rtx/90000\r\n", b"a=fmtp:97 apt=96\r\n", b"a=rtcp-mux\r\n", b"a=recvonly\r\n", b"a=inactive\r\n",
    b"a=msid:- t\r\n", b"a=ssrc:1 cname:x\r\n", b"a=ssrc-group:FID 1 2\r\n", b"b=AS:1\r\n", b"profile-level-id=",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """What became of it: the refusal, or the commands and the shape of our answer."""
    try:
        text = data[1:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8") from error
    situation = data[0] % _SITUATIONS if data else _OFFER
    negotiation = _prepared(situation, has_media=bool(data) and data[0] // _SITUATIONS % 2 == 1)
    if situation == _CANDIDATE:
        return _add(negotiation, text)
    before = _snapshot(negotiation)
    kind = DescriptionType.ANSWER if situation == _ANSWER else DescriptionType.OFFER
    try:
        applied = negotiation.set_remote_description(Description(kind, text))
    except _REFUSALS as error:
        assert _snapshot(negotiation) == before, "a refusal changed something"
        raise MalformedError(type(error).__name__) from error
    if kind is DescriptionType.OFFER:
        return situation, _commands(applied.commands), _answer(negotiation)
    assert negotiation.signaling_state is SignalingState.STABLE
    return situation, _commands(applied.commands), _offer_again(negotiation)


def _prepared(situation: int, *, has_media: bool) -> Negotiation:
    negotiation = Negotiation(
        entropy=SeededEntropy(),
        fingerprints=[("sha-256", bytes(32))],
        media=CAPABILITIES if has_media else None,
    )
    if has_media:
        negotiation.media.transceivers.add_track("mic", MediaKind.AUDIO)
        negotiation.media.transceivers.add_track("cam", MediaKind.VIDEO)
    negotiation.request_data_channels()
    if situation in (_ANSWER, _GLARE):
        negotiation.set_local_description()
    elif situation in (_REOFFER, _CANDIDATE):
        offer = Description(DescriptionType.OFFER, OFFERS["chromium_data_offer"])
        negotiation.set_remote_description(offer)
        negotiation.set_local_description()
    return negotiation


def _snapshot(negotiation: Negotiation) -> Hashable:
    return (
        negotiation.signaling_state,
        negotiation.local_description,
        negotiation.remote_description,
        tuple(repr(one) for one in negotiation.media.transceivers),
    )


def _commands(commands: tuple[object, ...]) -> Hashable:
    return tuple(type(command).__name__ for command in commands)


def _answer(negotiation: Negotiation) -> Hashable:
    """Our answer fits its offer and comes at the first try; the next offer of ours can be made."""
    applied = negotiation.set_local_description()
    local, remote = negotiation.local_description, negotiation.remote_description
    assert local is not None
    assert remote is not None
    answer = parse_session(local.sdp)
    check_answer(parse_session(remote.sdp), answer)
    alive = tuple(section.is_rejected for section in answer.media)[:8]
    return _commands(applied.commands), alive, _offer_again(negotiation)


def _offer_again(negotiation: Negotiation) -> Hashable:
    negotiation.set_local_description()
    assert negotiation.signaling_state is SignalingState.HAVE_LOCAL_OFFER
    local = negotiation.local_description
    assert local is not None
    for transceiver in negotiation.media.transceivers:
        assert (
            transceiver.is_stopping
            or parse_session(local.sdp).section(transceiver.mid or "") is not None
            or (transceiver.mid or "").startswith("#")
        )
    mids = [mid for section in parse_session(local.sdp).media if (mid := section.mid) is not None]
    assert len(set(mids)) == len(mids), "two sections with one mid"
    return min(len(mids), 8)


def _add(negotiation: Negotiation, text: str) -> Hashable:
    before = negotiation.remote_description
    try:
        added = negotiation.add_remote_candidate(text, "0")
    except OperationError as error:
        assert negotiation.remote_description == before, "a refusal changed something"
        raise MalformedError("no candidate") from error
    after = negotiation.remote_description
    assert before is not None
    assert after is not None
    lines = after.sdp.count("\r\n") - before.sdp.count("\r\n")
    assert lines == (0 if added is None else 1), "a candidate is one line"
    return type(added).__name__
