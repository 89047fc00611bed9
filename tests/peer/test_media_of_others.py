"""What Chromium, Firefox, aiortc, pion and older programs offer and answer, and what comes of it."""

from __future__ import annotations

import pytest

from icelane.peer.description import Description
from icelane.peer.rtp_section import read_formats
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.sdp.session import parse_session
from icelane.sdp.validation import check_answer
from tests.peer.descriptions import MEDIA_ANSWERS, OFFERS, offer
from tests.peer.media import AUDIO, VIDEO, MediaPeer, sections

# Each section that is accepted, as `mid direction codecs`; `-` is one that is rejected. We send both kinds.
ANSWERED = {
    "aiortc_media_offer": ["0 sendrecv opus G722 PCMU PCMA", "1 sendrecv VP8+ H264+", "2"],
    "chromium_media_offer": ["0 sendrecv opus G722 PCMU PCMA telephone-event", "1 sendrecv VP8+ H264+", "2"],
    "chromium_reject_offer": ["0 sendonly opus G722 PCMU PCMA telephone-event", "1 sendrecv VP8+ H264+", "2"],
    "chromium_simulcast_offer": ["0 sendrecv VP8+ H264+"],
    "chromium_stopped_offer": ["-", "1 sendrecv VP8+ H264+", "2"],
    "firefox_media_offer": ["0 sendrecv opus G722 PCMU PCMA telephone-event", "1 sendrecv VP8+", "2"],
    "firefox_maxbundle_offer": ["0 sendrecv opus G722 PCMU PCMA telephone-event", "1 sendrecv VP8+", "2 recvonly VP8+"],
    "firefox_simulcast_offer": ["0 sendrecv VP8+"],
    "firefox_stopped_offer": ["-", "1 sendrecv VP8+", "2"],
    "gateway_offer": ["-", "None sendrecv PCMU", "-", "-"],
    "legacy_plan_b_offer": ["audio sendrecv opus G722 PCMU PCMA telephone-event", "video sendrecv VP8+", "data"],
    "max_bundle_offer": ["a sendrecv opus", "d"],
}


def shown(description: Description) -> list[str]:
    lines = []
    for section in sections(description):
        words = [str(section.mid)]
        if section.is_rtp and section.direction is not None:
            words.append(section.direction.value)
            words += [one.codec.name + "+" * (one.rtx_payload_type is not None) for one in read_formats(section)]
        lines.append("-" if section.is_rejected else " ".join(words))
    return lines


def ready() -> MediaPeer:
    peer = MediaPeer(wants_data=True)
    peer.add_track("mic", AUDIO, "s")
    peer.add_track("cam", VIDEO, "s")
    return peer


@pytest.mark.parametrize("name", ANSWERED)
def test_an_offer_is_answered_with_what_both_can(name: str) -> None:
    peer = ready()
    peer.set_remote(offer(name))
    peer.set_local()
    assert shown(peer.local) == ANSWERED[name]
    check_answer(parse_session(OFFERS[name]), parse_session(peer.local.sdp))
    for section, theirs in zip(sections(peer.local), parse_session(OFFERS[name]).media, strict=True):
        assert set(section.formats) <= set(theirs.formats)
        assert section.protocol == theirs.protocol
        numbers = {one.uri: one.id for one in theirs.header_extensions}
        assert all(numbers[one.uri] == one.id for one in section.header_extensions)
        assert not section.has("simulcast")
        assert not section.has("rid")


@pytest.mark.parametrize("name", ANSWERED)
def test_our_next_offer_keeps_the_numbers_of_theirs(name: str) -> None:
    peer = ready()
    peer.set_remote(offer(name))
    peer.set_local()
    answered = sections(peer.local)
    peer.set_local()
    for before, after in zip(answered, sections(peer.local), strict=False):
        if before.is_rtp and not before.is_rejected:
            assert after.formats[: len(before.formats)] == before.formats
            numbers = {one.uri: one.id for one in after.header_extensions}
            assert all(numbers[one.uri] == one.id for one in before.header_extensions if one.direction is None)


@pytest.mark.parametrize("name", MEDIA_ANSWERS)
def test_an_answer_of_theirs_is_taken(name: str) -> None:
    """Captured as answers to others, they are so to ours as well, but for the payload types that some take over."""
    peer = ready()
    peer.set_local()
    peer.set_remote(Description(DescriptionType.ANSWER, MEDIA_ANSWERS[name]))
    assert peer.state is SignalingState.STABLE
    accepted = [section.kind for section in parse_session(MEDIA_ANSWERS[name]).media if section.port]
    assert [one.kind.value for one in peer.transceivers] == [kind for kind in accepted if kind != "application"]
    for transceiver in peer.transceivers:
        assert transceiver.negotiated is not None
        assert transceiver.negotiated.send_codecs
        assert transceiver.sends
    assert peer.transport.channels is not None


@pytest.mark.parametrize("name", [name for name in ANSWERED if name not in ("gateway_offer", "max_bundle_offer")])
def test_their_streams_and_sources_are_understood(name: str) -> None:
    peer = ready()
    peer.set_remote(offer(name))
    peer.set_local()
    receiving = [one for one in peer.transceivers if one.mid is not None and one.receives]
    assert receiving
    for transceiver in receiving:
        assert transceiver.negotiated is not None
        assert transceiver.negotiated.remote_sources or "simulcast" in name
