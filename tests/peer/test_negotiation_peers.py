"""Descriptions of other programs, as offers and as answers."""

from __future__ import annotations

import pytest

from icelane.dtls.options import DtlsRole
from icelane.ice.event import IceRole
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transport_command import DataChannelsNegotiated, SectionPlace
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import Direction
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.validation import check_answer
from tests.peer.descriptions import DATA_ANSWERS, OFFERS, answer, offer
from tests.peer.negotiating import CANDIDATE, Peer, rejecting_answer

# Whose transport for the data is that of their first section that is alive, which is of media.
WITH_IDLE_MEDIA = {
    "chromium_media_offer", "chromium_reject_offer", "chromium_stopped_offer", "firefox_media_offer",
    "firefox_stopped_offer", "legacy_plan_b_offer", "max_bundle_offer",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_an_offer_of_another_program_is_answered_section_by_section(name: str) -> None:
    peer = Peer(1, wants_data=False)
    peer.set_remote(offer(name))
    peer.set_local()
    offered, answered = parse_session(OFFERS[name]), parse_session(peer.local.sdp)
    check_answer(offered, answered)
    assert [section.mid for section in answered.media] == [section.mid for section in offered.media]
    first = next((section for section in offered.media if not section.is_rejected), None)
    for theirs, ours in zip(offered.media, answered.media, strict=True):
        assert (ours.kind, ours.protocol) == (theirs.kind, theirs.protocol)
        is_idle = theirs is first and name in WITH_IDLE_MEDIA
        assert ours.is_rejected != (is_idle or (theirs.is_data_channel and not theirs.is_rejected))
        if is_idle:
            assert ours.direction is Direction.INACTIVE
            assert set(ours.formats) <= set(theirs.formats)
        if ours.is_rejected:
            assert ours.port == 0
            assert not ours.has("ice-ufrag")
            assert not ours.has("fingerprint")
    alive = tuple(section.mid for section in answered.media if not section.is_rejected)
    assert answered.bundle_groups == ([alive] if alive else [])
    if alive:
        assert peer.transport.dtls_role is DtlsRole.CLIENT
        assert peer.transport.remote is not None
        assert set(peer.transport.remote.candidates) >= set(_data_section(offered).candidates)
        assert peer.transport.channels is not None


def _data_section(session: SessionDescription) -> MediaDescription:
    return next(section for section in session.media if section.is_data_channel)


@pytest.mark.parametrize("name", sorted(DATA_ANSWERS))
def test_an_answer_of_another_program_is_taken(name: str) -> None:
    peer = Peer(1)
    peer.set_local()
    peer.set_remote(answer(name))
    assert peer.state is SignalingState.STABLE
    assert peer.transport.dtls_role is (DtlsRole.CLIENT if "passive" in name else DtlsRole.SERVER)
    assert peer.transport.ice_role is IceRole.CONTROLLING
    assert peer.transport.remote is not None
    assert peer.transport.remote.candidates
    assert all(text.startswith("candidate:") for text in peer.transport.remote.candidates)
    assert peer.transport.channels is not None
    assert peer.transport.channels.remote_port == 5000


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("chromium_data_offer", 262_144),
        ("firefox_data_offer", 1_073_741_823),
        ("aiortc_data_offer", 65_536),
        ("libdatachannel_data_offer", 262_144),
        ("pion_data_offer", 1_073_741_823),
        ("legacy_data_offer", 65_536),
    ],
)
def test_the_size_of_messages_is_that_of_the_peer(name: str, size: int) -> None:
    peer = Peer(1)
    peer.set_remote(offer(name))
    peer.set_local()
    assert peer.transport.channels == DataChannelsNegotiated(5000, size)


@pytest.mark.parametrize(
    ("name", "trickles"),
    [
        ("chromium_data_offer", True),
        ("firefox_data_offer", True),
        ("libdatachannel_data_offer", True),
        ("aiortc_data_offer", False),
        ("pion_data_offer", False),
        ("legacy_data_offer", False),
    ],
)
def test_who_says_that_it_trickles_is_believed(name: str, trickles: bool) -> None:
    peer = Peer(1)
    peer.set_remote(offer(name))
    assert peer.negotiation.can_trickle is trickles


def test_a_legacy_offer_gets_an_answer_in_its_own_form() -> None:
    peer = Peer(1)
    peer.set_remote(offer("legacy_data_offer"))
    peer.set_local()
    (section,) = parse_session(peer.local.sdp).media
    assert section.media_line == "application 9 DTLS/SCTP 5000"
    assert section.get("sctpmap") == "5000 webrtc-datachannel 65535"
    assert not section.has("sctp-port")
    peer.set_local()
    (section,) = parse_session(peer.local.sdp).media
    assert section.media_line == "application 9 DTLS/SCTP 5000"


def test_a_peer_whose_only_transport_is_that_of_its_first_section_keeps_that_section_idle() -> None:
    """RFC 9143 section 7.3.1: data that is bundle-only could not even be the section of the transport."""
    peer = Peer(1)
    peer.set_remote(offer("max_bundle_offer"))
    peer.set_local()
    session = parse_session(peer.local.sdp)
    audio, data = session.media
    assert audio.direction is Direction.INACTIVE
    assert audio.rtcp_mux
    assert audio.get("rtpmap") == "111 opus/48000/2"
    assert session.bundle_groups == [("a", "d")]
    assert (data.port, data.mid) == (9, "d")
    assert audio.ice_ufrag == data.ice_ufrag
    assert peer.negotiation.candidate_place == SectionPlace("a", 0)
    peer.negotiation.add_local_candidate(CANDIDATE)
    audio, data = parse_session(peer.local.sdp).media
    assert (audio.candidates, data.candidates) == ([CANDIDATE], [])
    assert peer.transport.remote is not None
    assert peer.transport.remote.ice.ufrag == "Ab12"
    assert peer.transport.remote.candidates == tuple(parse_session(OFFERS["max_bundle_offer"]).media[0].candidates)
    assert peer.transport.remote.end_of_candidates


def test_our_next_offer_keeps_the_idle_section_while_there_is_data_and_lets_it_go_afterwards() -> None:
    peer = Peer(1)
    peer.set_remote(offer("max_bundle_offer"))
    peer.set_local()
    ufrag = parse_session(peer.local.sdp).media[0].ice_ufrag
    peer.negotiation.restart_ice()
    peer.set_local()
    session = parse_session(peer.local.sdp)
    audio, data = session.media
    assert audio.direction is Direction.INACTIVE
    assert audio.ice_ufrag == data.ice_ufrag != ufrag
    assert audio.get("setup") == data.get("setup") == "active"
    assert session.bundle_groups == [("a", "d")]
    peer.set_remote(rejecting_answer(peer.local))
    peer.negotiation.request_data_channels()
    peer.set_local()
    audio, data = parse_session(peer.local.sdp).media
    assert audio.kind == "application"  # RFC 9429 section 5.2.2: the place of what was rejected
    assert data.is_rejected


def test_media_whose_transport_is_its_own_is_rejected() -> None:
    text = OFFERS["max_bundle_offer"].replace("m=application 0 ", "m=application 9 ").replace("a=bundle-only\r\n", "")
    own = "a=ice-ufrag:Cd34\r\na=ice-pwd:hXhqbmVMTDnAfbFGYz2tXWvq\r\na=mid:d\r\n"
    peer = Peer(1)
    peer.set_remote(Description(DescriptionType.OFFER, text.replace("a=mid:d\r\n", own)))
    peer.set_local()
    session = parse_session(peer.local.sdp)
    assert [section.is_rejected for section in session.media] == [True, False]
    assert session.bundle_groups == [("d",)]
