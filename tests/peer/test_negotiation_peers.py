"""Descriptions of other programs, as offers and as answers."""

from __future__ import annotations

import pytest

from icelane.dtls.options import DtlsRole
from icelane.ice.event import IceRole
from icelane.peer.signaling_state import SignalingState
from icelane.peer.transport_command import DataChannelsNegotiated
from icelane.sdp.media import MediaDescription
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.validation import check_answer
from tests.peer.descriptions import DATA_ANSWERS, OFFERS, answer, offer
from tests.peer.negotiating import Peer


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_an_offer_of_another_program_is_answered_section_by_section(name: str) -> None:
    peer = Peer(1, wants_data=False)
    peer.set_remote(offer(name))
    peer.set_local()
    offered, answered = parse_session(OFFERS[name]), parse_session(peer.local.sdp)
    check_answer(offered, answered)
    assert [section.mid for section in answered.media] == [section.mid for section in offered.media]
    for theirs, ours in zip(offered.media, answered.media, strict=True):
        assert (ours.kind, ours.protocol) == (theirs.kind, theirs.protocol)
        assert ours.is_rejected != (theirs.is_data_channel and not theirs.is_rejected)
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


def test_a_peer_that_sends_everything_with_its_first_section_is_reached_when_that_is_rejected() -> None:
    peer = Peer(1)
    peer.set_remote(offer("max_bundle_offer"))
    peer.set_local()
    audio, data = parse_session(peer.local.sdp).media
    assert audio.is_rejected
    assert (data.port, data.mid) == (9, "d")
    assert peer.transport.remote is not None
    assert peer.transport.remote.ice.ufrag == "Ab12"
    assert peer.transport.remote.candidates == tuple(parse_session(OFFERS["max_bundle_offer"]).media[0].candidates)
    assert peer.transport.remote.end_of_candidates
