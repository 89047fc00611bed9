"""Offers and answers with media: each rule of RFC 9429 and of W3C webrtc-pc section 4.4.1.5 a sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from icelane.errors import InvalidAccessError
from icelane.peer.description import Description
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.rtp_section import read_formats
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transceiver import Transceiver
from icelane.peer.transport_command import (
    DataChannelsNegotiated,
    DataChannelsRejected,
    DtlsRoleDecided,
    MediaNegotiated,
    NewDtlsAssociation,
    RestartIce,
    SectionPlace,
    SetRemoteTransport,
    StartGathering,
)
from icelane.rtp.header_extension import AUDIO_LEVEL, MID
from icelane.sdp.rtp_attributes import Direction
from icelane.sdp.session import SessionDescription, parse_session
from tests.peer.descriptions import OFFERS, offer
from tests.peer.media import (
    AUDIO,
    CAPABILITIES,
    G722,
    H264,
    OPUS,
    PCMU,
    VIDEO,
    VP8,
    MediaPeer,
    media_pair,
    sections,
    told,
)
from tests.peer.negotiating import CANDIDATE, bundle_what_is_alive, check_agreement, exchange, rollback, typed

SENDRECV, SENDONLY, RECVONLY, INACTIVE = Direction.SENDRECV, Direction.SENDONLY, Direction.RECVONLY, Direction.INACTIVE


def called() -> tuple[MediaPeer, MediaPeer, Transceiver, Transceiver]:
    """Two who send sound to each other, and their transceivers."""
    one, other = media_pair()
    mine = one.add_track("mic", AUDIO, "s")
    theirs = other.add_track("other-mic", AUDIO, "t")
    exchange(one, other)
    told(one), told(other)
    return one, other, mine, theirs


def kinds(peer: MediaPeer) -> list[str]:
    return [f"{section.kind} {section.port} {section.mid}" for section in sections(peer.local)]


def edited(description: Description, session: SessionDescription) -> Description:
    bundle_what_is_alive(session)
    return Description(description.type, str(session))


# Sections and their order


def test_an_offer_has_its_transceivers_in_their_order_and_the_data_behind_them() -> None:
    """RFC 9429 section 5.2.1."""
    peer = MediaPeer(wants_data=True)
    peer.add_track("cam", VIDEO)
    peer.add_track("mic", AUDIO)
    peer.set_local()
    assert kinds(peer) == ["video 9 0", "audio 9 1", "application 9 2"]
    assert "a=group:BUNDLE 0 1 2\r\n" in peer.local.sdp
    assert [one.mid for one in peer.transceivers] == ["0", "1"]


def test_an_exchange_of_media_alone_makes_a_transport_without_channels() -> None:
    one, other = media_pair()
    one.add_track("mic")
    exchange(one, other)
    for peer in (one, other):
        assert [type(command) for command in peer.told] == [
            StartGathering,
            SetRemoteTransport,
            DtlsRoleDecided,
            MediaNegotiated,
        ]
        assert peer.state is SignalingState.STABLE
        assert not peer.needs_negotiation()
    assert one.transport.remote is not None
    assert one.transport.remote.ice == other.transport.local


def test_media_and_data_share_the_transport() -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.negotiation.request_data_channels()
    exchange(one, other)
    check_agreement(one, other)
    assert one.transport.channels == DataChannelsNegotiated(5000, 262_144)


def test_the_sections_of_an_exchange_keep_their_places() -> None:
    one, other, *_ = called()
    other.negotiation.request_data_channels()
    other.add_track("cam", VIDEO)
    exchange(other, one)
    assert kinds(one) == kinds(other) == ["audio 9 0", "video 9 1", "application 9 2"]
    one.add_track("screen", VIDEO)
    one.add_track("another", VIDEO)
    exchange(one, other)
    assert kinds(one) == ["audio 9 0", "video 9 1", "application 9 2", "video 9 3"]
    assert [one.mid for one in other.transceivers] == ["0", "1", "3"]


def test_a_stopped_transceiver_has_its_section_rejected_and_goes() -> None:
    one, other, mine, theirs = called()
    one.negotiation.media.transceivers.stop(mine)
    assert one.needs_negotiation()
    assert not mine.sends
    one.negotiation.request_data_channels()
    exchange(one, other)
    assert kinds(one) == ["audio 0 0", "application 9 1"]
    assert "a=group:BUNDLE 1\r\n" in one.local.sdp
    assert (mine.is_stopped, theirs.is_stopped) == (True, True)
    assert one.transceivers == other.transceivers == []
    assert told(other) == ["TrackEnded"]
    assert not one.needs_negotiation()
    assert not other.needs_negotiation()


def test_a_rejected_section_is_recycled_by_another_kind_with_another_mid() -> None:
    """RFC 9429 section 5.2.2."""
    one, other, _, _ = called()
    second = one.add_track("commentary")
    exchange(one, other)
    one.negotiation.media.transceivers.stop(second)
    one.add_track("cam", VIDEO)
    exchange(one, other)
    assert kinds(one) == ["audio 9 0", "audio 0 1", "video 9 2"]  # in use until this exchange was over
    one.add_track("screen", VIDEO)
    exchange(one, other)
    assert kinds(one) == kinds(other) == ["audio 9 0", "video 9 3", "video 9 2"]
    assert [one.mid for one in other.transceivers] == ["0", "2", "3"]


def test_the_section_that_speaks_for_the_transport_is_idle_when_its_transceiver_is_stopped() -> None:
    """Decision 0035: Chromium would make another transport for what is left."""
    one, other, mine, theirs = called()
    one.add_track("cam", VIDEO)
    exchange(one, other)
    one.negotiation.media.transceivers.stop(mine)
    exchange(one, other)
    one.add_track("mic-again")
    exchange(one, other)
    assert kinds(one) == kinds(other) == ["audio 9 0", "video 9 1", "audio 9 2"]
    assert sections(one.local)[0].direction is sections(other.local)[0].direction is INACTIVE
    assert one.transport.associations == 1
    assert mine.is_stopped
    assert theirs.current_direction is INACTIVE
    assert not one.needs_negotiation()
    assert not other.needs_negotiation()


def test_an_idle_section_is_not_revived_by_the_peer() -> None:
    one, other, mine, theirs = called()
    one.add_track("cam", VIDEO)
    exchange(one, other)
    one.negotiation.media.transceivers.stop(mine)
    exchange(one, other)
    told(one)
    exchange(other, one)
    assert sections(other.local)[0].direction is SENDRECV
    assert sections(one.local)[0].direction is INACTIVE
    assert told(one) == []
    assert not theirs.sends


def test_a_peer_that_recycles_its_first_section_has_another_transport() -> None:
    """As Chromium does: new credentials for all, and DTLS from the beginning, with the same certificate."""
    one, other, _, theirs = called()
    one.add_track("cam", VIDEO)
    exchange(one, other)
    session = parse_session(one.local.sdp)
    session.media[0].port = 0
    other.set_remote(offered(session))
    other.set_local()
    assert theirs.is_stopped
    session.media[0].port = 9
    session.media[0].replace("mid", "7")
    for section in session.media:
        section.replace("ice-ufrag", "another")
        section.replace("ice-pwd", "that-is-as-long-as-it-has-to-be")
    other.forget()
    other.set_remote(offered(session))
    other.set_local()
    assert [type(command) for command in other.told] == [
        RestartIce,
        SetRemoteTransport,
        NewDtlsAssociation,
        MediaNegotiated,
    ]


def offered(session: SessionDescription) -> Description:
    return edited(Description(DescriptionType.OFFER), session)


def test_what_is_stopped_before_it_was_negotiated_leaves_no_trace() -> None:
    one, other = media_pair()
    mine = one.add_track("mic")
    one.negotiation.media.transceivers.stop(mine)
    assert not one.needs_negotiation()
    one.add_track("cam", VIDEO)
    exchange(one, other)
    assert kinds(one) == ["video 9 0"]
    assert [transceiver.kind for transceiver in one.transceivers] == [VIDEO]


def test_a_transceiver_stopped_while_the_offer_is_out_is_rejected_by_the_next() -> None:
    one, other = media_pair()
    mine = one.add_track("mic")
    one.set_local()
    one.negotiation.media.transceivers.stop(mine)
    other.set_remote(one.local)
    other.set_local()
    assert one.set_remote(other.local).negotiation_is_needed
    assert not mine.sends
    exchange(one, other)
    assert kinds(one) == ["audio 0 0"]
    assert one.transceivers == other.transceivers == []


def test_media_that_all_goes_ends_the_transport_and_can_come_again() -> None:
    one, other, mine, _ = called()
    one.negotiation.media.transceivers.stop(mine)
    exchange(one, other)
    assert DataChannelsRejected() in one.told
    assert one.transport.local is None
    one.add_track("mic")
    exchange(one, other)
    assert kinds(one) == ["audio 9 1"]
    assert one.transport.remote is not None


def test_candidates_stand_in_the_first_section_of_the_bundle() -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.negotiation.request_data_channels()
    one.set_local()
    assert one.negotiation.add_local_candidate(CANDIDATE) == SectionPlace("0", 0)
    assert [section.candidates for section in sections(one.local)] == [[CANDIDATE], []]
    other.set_remote(one.local)
    other.set_local()
    assert other.transport.remote is not None
    assert other.transport.remote.candidates == (CANDIDATE,)


def test_an_offer_that_is_replaced_before_its_answer_keeps_its_mids() -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.set_local()
    one.add_track("cam", VIDEO)
    one.set_local()
    assert kinds(one) == ["audio 9 0", "video 9 1"]
    other.set_remote(one.local)
    other.set_local()
    one.set_remote(other.local)
    check_media(one, other)


def test_an_offer_made_before_a_track_was_added_can_be_set_after() -> None:
    one, other = media_pair()
    one.add_track("mic")
    created = one.negotiation.create_offer()
    late = one.add_track("cam", VIDEO)
    one.set_local(created)
    other.set_remote(one.local)
    other.set_local()
    assert one.set_remote(other.local).negotiation_is_needed
    assert late.mid is None


# What a section says


def test_only_what_sends_names_streams_and_sources() -> None:
    one, other = media_pair()
    mine = one.add_track("cam", VIDEO, "s", "t")
    exchange(one, other)
    (offered,), (answered,) = sections(one.local), sections(other.local)
    assert [str(msid) for msid in offered.msids] == ["s cam", "t cam"]
    assert [group.ssrcs for group in offered.source_groups] == [(mine.sender.ssrc, mine.sender.rtx_ssrc)]
    assert not answered.msids
    assert not answered.source_attributes
    (remote,) = other.transceivers
    assert remote.negotiated is not None
    (source,) = remote.negotiated.remote_sources
    assert (source.ssrc, source.rtx_ssrc) == (mine.sender.ssrc, mine.sender.rtx_ssrc)
    assert source.cname
    assert (remote.receiver.track_id, remote.receiver.stream_ids) == ("cam", ("s", "t"))


def test_a_track_in_no_stream_is_written_with_a_dash() -> None:
    one, other = media_pair()
    one.add_track("mic")
    exchange(one, other)
    assert "a=msid:- mic\r\n" in one.local.sdp
    assert other.transceivers[0].receiver.stream_ids == ()


def test_the_numbers_of_extensions_are_shared_by_all_sections() -> None:
    peer = MediaPeer()
    peer.add_track("mic")
    peer.add_track("cam", VIDEO)
    peer.set_local()
    audio, video = sections(peer.local)
    numbers = [{one.uri: one.id for one in section.header_extensions} for section in (audio, video)]
    assert AUDIO_LEVEL in numbers[0]
    assert AUDIO_LEVEL not in numbers[1]
    both = set(numbers[0]) & set(numbers[1])
    assert MID in both
    assert all(numbers[0][uri] == numbers[1][uri] for uri in both)
    assert len({number for one in numbers for number in one.values()}) == len(set(numbers[0]) | set(numbers[1]))


def test_rtp_and_rtcp_share_the_port_and_rtcp_may_be_short() -> None:
    one, *_ = called()
    (section,) = sections(one.local)
    assert section.rtcp_mux
    assert section.rtcp_rsize
    assert section.get("rtcp") == "9 IN IP4 0.0.0.0"
    assert one.transceivers[0].negotiated is not None
    assert one.transceivers[0].negotiated.reduced_size


# Directions


@pytest.mark.parametrize(
    ("offered", "wanted", "answered"),
    [
        (SENDRECV, SENDRECV, SENDRECV),
        (SENDRECV, RECVONLY, RECVONLY),
        (SENDRECV, INACTIVE, INACTIVE),
        (SENDONLY, SENDRECV, RECVONLY),
        (SENDONLY, SENDONLY, INACTIVE),
        (RECVONLY, SENDRECV, SENDONLY),
        (RECVONLY, RECVONLY, INACTIVE),
        (INACTIVE, SENDRECV, INACTIVE),
    ],
)
def test_the_answers_direction_is_what_both_want(offered: Direction, wanted: Direction, answered: Direction) -> None:
    """RFC 9429 section 5.3.1."""
    one, other, mine, theirs = called()
    one.negotiation.media.transceivers.set_direction(mine, offered)
    other.negotiation.media.transceivers.set_direction(theirs, wanted)
    exchange(one, other)
    assert sections(one.local)[0].direction is offered
    assert sections(other.local)[0].direction is answered
    assert theirs.current_direction is answered
    assert theirs.receiver.is_receptive is (answered in (SENDRECV, RECVONLY))
    check_media(one, other)


def test_replacing_a_track_needs_no_negotiation_and_a_direction_does() -> None:
    one, _, mine, _ = called()
    every = one.negotiation.media.transceivers
    every.replace_track(mine, None)
    assert not one.needs_negotiation()
    every.set_direction(mine, RECVONLY)
    assert one.needs_negotiation()
    every.set_direction(mine, SENDRECV)
    assert not one.needs_negotiation()


def test_other_streams_need_a_negotiation_and_the_peer_hears_of_them() -> None:
    one, other, mine, theirs = called()
    one.negotiation.media.transceivers.set_streams(mine, ["s", "other"])
    assert one.needs_negotiation()
    exchange(one, other)
    assert told(other) == ["StreamsChanged"]
    assert theirs.receiver.stream_ids == ("s", "other")
    assert not one.needs_negotiation()


def test_an_answerer_that_wants_more_than_was_offered_needs_no_negotiation() -> None:
    """W3C section 4.7.3: only the intersection is compared."""
    one, other, mine, theirs = called()
    one.negotiation.media.transceivers.set_direction(mine, SENDONLY)
    exchange(one, other)
    assert theirs.direction is SENDRECV
    assert theirs.current_direction is RECVONLY
    assert not other.needs_negotiation()
    assert not one.needs_negotiation()


def test_a_track_added_by_the_answerer_after_its_answer_needs_a_negotiation() -> None:
    one, other = media_pair()
    one.add_track("mic")
    exchange(one, other)
    assert other.add_track("other-mic") is other.transceivers[0]
    assert other.needs_negotiation()
    exchange(other, one)
    assert told(one) == ["TrackAdded"]
    check_media(one, other)


# Tracks of the peer


def test_a_track_is_told_of_once_and_again_after_it_was_removed() -> None:
    """W3C section 5.1.1: [[FiredDirection]]."""
    one, other = media_pair()
    mine = one.add_track("mic")
    exchange(one, other)
    assert told(other) == ["TrackAdded"]
    exchange(one, other)
    assert told(other) == []
    every = one.negotiation.media.transceivers
    every.set_direction(mine, INACTIVE)
    exchange(one, other)
    assert told(other) == ["TrackRemoved"]
    every.set_direction(mine, SENDRECV)
    exchange(one, other)
    assert told(other) == ["TrackAdded"]


def test_the_offerer_hears_of_the_answerers_track_with_the_answer() -> None:
    one, other = media_pair()
    one.add_track("mic")
    other.add_track("other-mic", AUDIO, "t")
    exchange(one, other)
    assert told(one) == told(other) == ["TrackAdded"]
    assert one.transceivers[0].receiver.stream_ids == ("t",)


def test_an_answerer_that_does_not_want_the_track_any_more_has_it_removed() -> None:
    one, other, _, theirs = called()
    other.negotiation.media.transceivers.set_direction(theirs, SENDONLY)
    exchange(one, other)
    assert told(other) == ["TrackRemoved"]
    assert not theirs.receives


def test_what_our_offer_had_taken_away_is_sent_when_an_offer_of_the_peers_brings_it_back() -> None:
    one, other = media_pair()
    mine = one.negotiation.media.transceivers.add(AUDIO, RECVONLY)
    theirs = other.add_track("mic")
    exchange(one, other)
    assert not mine.sends
    one.negotiation.media.transceivers.set_direction(mine, SENDRECV)
    other.negotiation.media.transceivers.set_direction(theirs, SENDRECV)
    exchange(other, one)
    assert mine.current_direction is SENDRECV
    assert mine.sends


def test_packets_may_come_before_the_answer() -> None:
    one, _ = media_pair()
    mine = one.add_track("mic")
    one.set_local()
    assert mine.receiver.is_receptive
    assert not mine.sends


# Association


def test_an_offered_section_takes_the_transceiver_of_add_track() -> None:
    """RFC 9429 section 5.10."""
    one, other = media_pair()
    mine = other.add_track("mic")
    one.add_track("far", AUDIO)
    one.set_local()
    other.set_remote(one.local)
    assert other.transceivers == [mine]
    assert mine.mid == "0"


def test_an_offered_section_does_not_take_one_of_add_transceiver() -> None:
    one, other = media_pair()
    mine = other.negotiation.media.transceivers.add(AUDIO)
    one.add_track("far", AUDIO)
    exchange(one, other)
    assert mine.mid is None
    assert len(other.transceivers) == 2
    assert other.needs_negotiation()


def test_a_section_that_takes_nothing_from_us_takes_no_transceiver_of_ours() -> None:
    one, other = media_pair()
    mine = other.add_track("mic")
    one.negotiation.media.transceivers.add(AUDIO, SENDONLY, track_id="far")
    exchange(one, other)
    assert mine.mid is None
    assert other.transceivers[1].current_direction is RECVONLY


def test_a_track_that_is_added_between_offer_and_answer_is_in_the_answer() -> None:
    one, other = media_pair()
    one.add_track("far")
    one.set_local()
    other.set_remote(one.local)
    other.add_track("mic", AUDIO, "s")
    other.set_local()
    assert sections(other.local)[0].direction is SENDRECV
    one.set_remote(other.local)
    check_media(one, other)


# Rollback


def test_rolling_back_our_offer_takes_the_mids_away() -> None:
    peer = MediaPeer()
    mine = peer.add_track("mic")
    peer.set_local()
    assert [one.mid for one in peer.transceivers] == ["0"]
    assert peer.set_local(rollback()).negotiation_is_needed
    assert mine.mid is None
    assert not mine.receiver.is_receptive
    peer.set_local()
    assert kinds(peer) == ["audio 9 0"]


def test_rolling_back_the_peers_offer_takes_its_transceivers_away() -> None:
    one, other = media_pair()
    one.add_track("far")
    one.set_local()
    other.set_remote(one.local)
    assert told(other) == ["TrackAdded"]
    (made,) = other.transceivers
    other.set_remote(rollback())
    assert other.transceivers == []
    assert told(other) == ["TrackRemoved", "TrackEnded"]
    assert made.is_stopped


def test_rolling_back_keeps_a_transceiver_that_a_track_was_added_to() -> None:
    one, other = media_pair()
    one.add_track("far")
    one.set_local()
    other.set_remote(one.local)
    mine = other.add_track("mic")
    applied = other.set_remote(rollback())
    assert other.transceivers == [mine]
    assert mine.mid is None
    assert applied.negotiation_is_needed
    assert told(other) == ["TrackAdded", "TrackRemoved"]


def test_rolling_back_a_change_of_the_peers_brings_its_streams_back() -> None:
    one, other, mine, theirs = called()
    one.negotiation.media.transceivers.set_direction(mine, RECVONLY)
    one.set_local()
    other.set_remote(one.local)
    assert told(other) == ["TrackRemoved"]
    assert not theirs.receiver.stream_ids
    other.set_remote(rollback())
    assert told(other) == ["TrackAdded"]
    assert theirs.receiver.stream_ids == ("s",)
    assert theirs.receives


def test_glare_takes_our_offer_back_and_our_track_goes_with_the_peers_section() -> None:
    one, other = media_pair()
    mine = one.add_track("mic", AUDIO, "s")
    other.add_track("other-mic", AUDIO, "t")
    other.add_track("cam", VIDEO)
    one.set_local()
    other.set_local()
    one.set_remote(other.local)  # we are polite
    one.set_local()
    other.set_remote(one.local)
    assert mine.mid == "0"
    assert mine.current_direction is SENDRECV
    check_media(one, other)
    assert not one.needs_negotiation()


def test_another_offer_of_the_peers_may_leave_new_sections_out() -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.add_track("cam", VIDEO)
    one.set_local()
    other.set_remote(one.local)
    session = parse_session(one.local.sdp)
    del session.media[1]
    other.set_remote(edited(one.local, session))
    assert [transceiver.kind for transceiver in other.transceivers] == [AUDIO]
    assert told(other) == ["TrackAdded", "TrackAdded", "TrackRemoved", "TrackEnded"]


def test_a_provisional_answer_lets_media_flow() -> None:
    one, other = media_pair()
    mine = one.add_track("mic")
    one.set_local()
    other.set_remote(one.local)
    answer = other.negotiation.create_answer()
    other.set_local(typed(answer, DescriptionType.PRANSWER))
    one.set_remote(typed(other.local, DescriptionType.PRANSWER))
    assert mine.sends
    assert mine.negotiated is not None
    other.set_local()
    one.set_remote(other.local)
    check_media(one, other)


# Codecs


def test_an_answer_has_the_codecs_of_both_in_the_offerers_order() -> None:
    one = MediaPeer(1, capabilities=MediaCapabilities(audio=(PCMU, OPUS, G722)))
    other = MediaPeer(2, capabilities=MediaCapabilities(audio=(OPUS, PCMU)))
    one.add_track("mic")
    exchange(one, other)
    assert [one.codec.name for one in read_formats(sections(other.local)[0])] == ["PCMU", "opus"]
    check_media(one, other)


def test_preferred_codecs_decide_about_offer_and_answer() -> None:
    one, other = media_pair()
    mine = one.add_track("mic")
    one.negotiation.media.transceivers.set_codec_preferences(mine, [G722, OPUS])
    theirs = other.add_track("other-mic")
    other.negotiation.media.transceivers.set_codec_preferences(theirs, [OPUS, PCMU, G722])
    exchange(one, other)
    assert [one.codec.name for one in read_formats(sections(one.local)[0])] == ["G722", "opus"]
    assert [one.codec.name for one in read_formats(sections(other.local)[0])] == ["opus", "G722"]


def test_preferences_without_retransmission_offer_none() -> None:
    peer = MediaPeer()
    peer.negotiation.media.transceivers.set_codec_preferences(peer.add_track("cam", VIDEO), [VP8])
    peer.set_local()
    assert "rtx" not in peer.local.sdp
    assert "ssrc-group" not in peer.local.sdp


def test_a_section_without_a_common_codec_is_rejected_and_has_no_transceiver() -> None:
    one, other = MediaPeer(1), MediaPeer(2, capabilities=MediaCapabilities(audio=(OPUS,), video=(H264,)))
    one.add_track("mic")
    mine = one.add_track("cam", VIDEO)
    one.negotiation.media.transceivers.set_codec_preferences(mine, [VP8])
    exchange(one, other)
    assert kinds(other) == ["audio 9 0", "video 0 1"]
    assert [transceiver.kind for transceiver in other.transceivers] == [AUDIO]
    assert mine.is_stopped
    assert one.transceivers[0].kind is AUDIO


def test_the_numbers_of_the_peer_are_ours_in_later_offers() -> None:
    one, other = media_pair()
    one.set_remote(offer("chromium_media_offer"))
    one.set_local()
    one.add_track("second-camera", VIDEO)
    one.add_track("third-camera", VIDEO)
    one.set_local()
    video = [section for section in sections(one.local) if section.kind == "video"]
    assert [section.formats for section in video] == [["96", "97", "108", "109"]] * 2
    assert [{e.uri: e.id for e in section.header_extensions} for section in video] == [
        {e.uri: e.id for e in video[0].header_extensions}
    ] * 2
    assert other.transceivers == []


def test_numbers_stay_when_the_peer_answers_with_less() -> None:
    one = MediaPeer(1)
    other = MediaPeer(2, capabilities=MediaCapabilities(audio=(PCMU,), video=(H264,)))
    one.add_track("mic")
    one.add_track("cam", VIDEO)
    exchange(one, other)
    before = [{x.codec.name: x.payload_type for x in read_formats(section)} for section in sections(one.local)]
    exchange(one, other)
    after = [{x.codec.name: x.payload_type for x in read_formats(section)} for section in sections(one.local)]
    assert before == after
    assert next(iter(after[0])) == "PCMU"  # what was agreed on comes first


def test_each_side_sends_by_the_numbers_and_parameters_of_the_other() -> None:
    one = MediaPeer(1)
    stereo = replace(OPUS, parameters=(("stereo", "1"),), feedback=())
    other = MediaPeer(2, capabilities=MediaCapabilities(audio=(stereo,)))
    one.add_track("mic")
    exchange(one, other)
    mine, theirs = one.transceivers[0].negotiated, other.transceivers[0].negotiated
    assert mine is not None
    assert theirs is not None
    assert mine.send_codecs[0].codec.parameters == (("stereo", "1"),)
    assert mine.receive_codecs[0].codec.parameters == OPUS.parameters
    assert theirs.send_codecs[0].codec.parameters == OPUS.parameters
    assert mine.send_codecs[0].codec.feedback == ()


def test_an_answer_with_other_numbers_is_followed() -> None:
    """RFC 3264 section 6.1: an answerer may; what we send goes by its numbers."""
    one, other = media_pair()
    one.add_track("mic")
    one.set_local()
    other.set_remote(one.local)
    other.set_local()
    text = other.local.sdp.replace("SAVPF 96 ", "SAVPF 120 ").replace(":96 ", ":120 ")
    one.set_remote(Description(DescriptionType.ANSWER, text))
    negotiated = one.transceivers[0].negotiated
    assert negotiated is not None
    assert (negotiated.send_codecs[0].payload_type, negotiated.receive_codecs[0].payload_type) == (120, 96)


@pytest.mark.parametrize(
    ("lines", "limit"),
    [
        ("b=AS:500\r\n", 500_000),
        ("b=TIAS:256000\r\nb=AS:500\r\n", 256_000),
        ("b=CT:1\r\n", None),
        ("b=AS:many\r\n", None),
        ("", None),
    ],
)
def test_the_peers_bandwidth_is_read(lines: str, limit: int | None) -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.set_local()
    text = one.local.sdp.replace("c=IN IP4 0.0.0.0\r\n", f"c=IN IP4 0.0.0.0\r\n{lines}")
    text = text.replace("a=rtcp-rsize\r\n", "a=ptime:40\r\na=maxptime:60\r\n")
    other.set_remote(Description(DescriptionType.OFFER, text))
    other.set_local()
    negotiated = other.transceivers[0].negotiated
    assert negotiated is not None
    assert negotiated.max_bitrate == limit
    assert (negotiated.packet_time, negotiated.max_packet_time) == (40, 60)
    assert not negotiated.reduced_size
    assert "rtcp-rsize" not in other.local.sdp


def test_extensions_that_are_not_known_or_go_the_other_way_are_left_out_or_reversed() -> None:
    peer = MediaPeer()
    text = OFFERS["firefox_media_offer"].replace(
        "a=extmap:4 http", "a=extmap:256 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\na=extmap:4 http"
    )
    peer.set_remote(Description(DescriptionType.OFFER, text))
    peer.set_local()
    video = sections(peer.local)[1]
    written = [str(extension) for extension in video.header_extensions]
    assert "6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay" in written
    assert not any("toffset" in one or "rtp-stream-id" in one for one in written)
    negotiated = peer.transceivers[1].negotiated
    assert negotiated is not None
    assert 6 in dict(negotiated.send_extensions)
    assert 6 not in dict(negotiated.receive_extensions)


# Peers of other kinds


def test_who_does_not_bundle_gets_one_section() -> None:
    """Decision 0019: the data where there are any, otherwise the first that we can."""
    peer = MediaPeer()
    text = OFFERS["aiortc_media_offer"].replace("a=group:BUNDLE 0 1 2\r\n", "")
    peer.set_remote(Description(DescriptionType.OFFER, text))
    peer.set_local()
    assert kinds(peer) == ["audio 0 0", "video 0 1", "application 9 2"]
    assert peer.transceivers == []
    session = parse_session(text)
    del session.media[2]
    peer = MediaPeer()
    peer.set_remote(Description(DescriptionType.OFFER, str(session)))
    peer.set_local()
    assert kinds(peer) == ["audio 9 0", "video 0 1"]
    assert peer.transport.remote is not None
    assert peer.transport.remote.ice.ufrag == "buEo"


def test_the_section_in_use_stays_when_a_peer_that_does_not_bundle_adds_data() -> None:
    peer = MediaPeer()
    session = parse_session(OFFERS["aiortc_media_offer"].replace("a=group:BUNDLE 0 1 2\r\n", ""))
    data = session.media.pop()
    peer.set_remote(Description(DescriptionType.OFFER, str(session)))
    peer.set_local()
    session.media.append(data)
    peer.set_remote(Description(DescriptionType.OFFER, str(session)))
    peer.set_local()
    assert kinds(peer) == ["audio 9 0", "video 0 1", "application 0 2"]
    assert peer.transport.associations == 1


def test_of_a_bundle_with_a_transport_for_each_section_the_first_accepted_counts() -> None:
    """RFC 9143 section 7.3.1; aiortc gathers for each section."""
    peer = MediaPeer(capabilities=MediaCapabilities(video=(VP8,)))
    peer.set_remote(offer("aiortc_media_offer"))
    peer.set_local()
    assert kinds(peer) == ["audio 0 0", "video 9 1", "application 9 2"]
    assert peer.transport.remote is not None
    assert peer.transport.remote.ice.ufrag == "HOIj"
    assert peer.negotiation.candidate_place == SectionPlace("1", 1)


def test_media_that_owns_the_transport_and_cannot_be_decoded_is_idle() -> None:
    """Decision 0035."""
    peer = MediaPeer(capabilities=MediaCapabilities(video=(VP8,)))
    peer.set_remote(offer("max_bundle_offer"))
    peer.set_local()
    assert kinds(peer) == ["audio 9 a", "application 9 d"]
    assert sections(peer.local)[0].direction is INACTIVE
    assert peer.transceivers == []


def test_an_answer_that_does_not_bundle_leaves_us_one_section() -> None:
    one, other = media_pair()
    first, second = one.add_track("mic"), one.add_track("cam", VIDEO)
    one.set_local()
    other.set_remote(one.local)
    other.set_local()
    one.set_remote(Description(DescriptionType.ANSWER, other.local.sdp.replace("a=group:BUNDLE 0 1\r\n", "")))
    assert first.sends
    assert not second.sends
    assert one.transceivers == [first]


def test_an_answer_that_rejects_a_section_stops_its_transceiver() -> None:
    one, other = media_pair()
    first, second = one.add_track("mic"), one.add_track("cam", VIDEO)
    one.set_local()
    other.set_remote(one.local)
    other.set_local()
    session = parse_session(other.local.sdp)
    session.media[0].port = 0
    one.set_remote(edited(other.local, session))
    assert one.transceivers == [second]
    assert (first.is_stopped, second.sends) == (True, True)
    assert told(one) == ["TrackEnded"]
    assert one.negotiation.candidate_place == SectionPlace("1", 1)


def test_data_that_is_rejected_beside_media_ends_the_channels_alone() -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.negotiation.request_data_channels()
    one.set_local()
    other.set_remote(one.local)
    other.set_local()
    session = parse_session(other.local.sdp)
    session.media[1].port = 0
    one.set_remote(edited(other.local, session))
    assert DataChannelsRejected(keeps_transport=True) in one.told
    assert one.transport.remote is not None
    assert one.transport.channels is None
    assert not one.needs_negotiation()


def test_a_refused_offer_changes_no_transceiver() -> None:
    """Decision 0017."""
    one, other, mine, theirs = called()
    session = parse_session(one.local.sdp)
    session.media[0].replace("mid", "another")
    with pytest.raises(InvalidAccessError):
        other.set_remote(edited(one.local, session))
    assert (theirs.mid, theirs.current_direction) == ("0", SENDRECV)
    assert told(other) == []
    assert mine.mid == "0"


def test_a_restart_of_ice_keeps_the_media() -> None:
    one, other, mine, theirs = called()
    exchange(one, other, ice_restart=True)
    assert mine.current_direction is theirs.current_direction is SENDRECV
    assert told(one) == told(other) == []
    check_media(one, other)


def test_an_offer_of_data_alone_reads_the_same_with_and_without_media() -> None:
    texts = []
    for capabilities in (None, CAPABILITIES):
        peer = MediaPeer(wants_data=True, capabilities=capabilities)
        peer.set_local()
        texts.append(peer.local.sdp)
    assert texts[0] == texts[1]


def check_media(one: MediaPeer, other: MediaPeer) -> None:
    """Both have the same sections, agree on numbers, and what one sends the other receives."""
    assert one.state is other.state is SignalingState.STABLE
    for peer, against in ((one, other), (other, one)):
        theirs = {transceiver.mid: transceiver for transceiver in against.transceivers}
        for transceiver in peer.transceivers:
            if transceiver.mid is None:
                continue
            partner = theirs.get(transceiver.mid)
            if partner is None:  # stopped there, and only the transport is left of its section
                assert transceiver.current_direction is INACTIVE
                assert sections(against.local)[0].mid == transceiver.mid
                continue
            assert transceiver.kind is partner.kind
            assert transceiver.negotiated is not None
            assert partner.negotiated is not None
            assert [codec.payload_type for codec in transceiver.negotiated.send_codecs] == [
                codec.payload_type for codec in partner.negotiated.receive_codecs
            ]
            assert transceiver.negotiated.send_extensions == partner.negotiated.receive_extensions
            agreed = transceiver.current_direction in (SENDRECV, SENDONLY)
            assert transceiver.sends == (agreed and not transceiver.is_stopping)
            if transceiver.sends:
                assert partner.current_direction in (SENDRECV, RECVONLY)
                assert partner.receiver.stream_ids == transceiver.sender.stream_ids
                (source,) = partner.negotiated.remote_sources
                assert source.ssrc == transceiver.sender.ssrc
                if any(codec.rtx_payload_type is not None for codec in transceiver.negotiated.send_codecs):
                    assert source.rtx_ssrc == transceiver.sender.rtx_ssrc


# What is offered beyond what we have


SIMULCAST = """a=rid:h send
a=rid:m send pt=96;max-width=640
a=rid:l send
a=simulcast:send h;~m;l
"""


@pytest.mark.parametrize("lines", [SIMULCAST, "a=simulcast:send h;l recv x\n", "a=rid:h send\na=rid:h send\n"])
def test_layers_are_not_in_the_answer_and_the_section_is_accepted(lines: str) -> None:
    """RFC 8853 section 5.3.2: who answers without `a=simulcast` is sent one stream."""
    one, other = media_pair()
    one.add_track("camera", VIDEO)
    one.set_local()
    text = one.local.sdp.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\n" + lines.replace("\n", "\r\n"))
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("a=ssrc"))
    other.set_remote(Description(DescriptionType.OFFER, text))
    other.set_local()
    answer = other.local.sdp
    assert "simulcast" not in answer
    assert "a=rid" not in answer
    assert "a=recvonly\r\n" in answer
    assert other.transceivers[0].negotiated is not None
    one.set_remote(typed(other.local, DescriptionType.ANSWER))
    assert one.transceivers[0].sends


def moved_extensions(text: str, by: int) -> str:
    """The description with other numbers for its header extensions."""
    return re.sub(r"a=extmap:(\d+)", lambda found: f"a=extmap:{int(found[1]) + by}", text)


@pytest.mark.parametrize("by", [13, 100, 241])
def test_extensions_whose_numbers_take_two_bytes_are_answered_with_them(by: int) -> None:
    """RFC 8285 section 4.3, with `a=extmap-allow-mixed` in both descriptions."""
    one, other = media_pair()
    one.add_track("camera", VIDEO)
    one.set_local()
    offered = moved_extensions(one.local.sdp, by)
    assert "a=extmap-allow-mixed" in offered
    other.set_remote(Description(DescriptionType.OFFER, offered))
    other.set_local()
    numbers = {extension.uri: extension.id for extension in sections(other.local)[0].header_extensions}
    assert numbers == {one.uri: one.id for one in parse_session(offered).media[0].header_extensions}
    assert "a=extmap-allow-mixed" in other.local.sdp
    negotiated = other.transceivers[0].negotiated
    assert negotiated is not None
    assert dict(negotiated.receive_extensions)[1 + by] == MID
    assert max(dict(negotiated.send_extensions)) > 14
    # What we offer later keeps them.
    other.add_track("another", VIDEO)
    other.set_local()
    assert {f"a=extmap:{number} {uri}" for uri, number in numbers.items()} <= set(other.local.sdp.splitlines())


def test_without_mixed_headers_numbers_of_two_bytes_are_left_out() -> None:
    """Our packets have headers of two bytes only where they need them, which such a peer does not allow."""
    one, other = media_pair()
    one.add_track("camera", VIDEO)
    one.set_local()
    text = moved_extensions(one.local.sdp, 12).replace("a=extmap-allow-mixed\r\n", "")
    other.set_remote(Description(DescriptionType.OFFER, text))
    other.set_local()
    assert [extension.id for extension in sections(other.local)[0].header_extensions] == [13, 14]
    assert "extmap-allow-mixed" not in other.local.sdp


@pytest.mark.parametrize("number", [256, 4096])
def test_numbers_that_no_header_has_are_left_out(number: int) -> None:
    one, other = media_pair()
    one.add_track("mic")
    one.set_local()
    text = one.local.sdp.replace(f"a=extmap:1 {MID}", f"a=extmap:{number} {MID}")
    other.set_remote(Description(DescriptionType.OFFER, text))
    other.set_local()
    assert MID not in [extension.uri for extension in sections(other.local)[0].header_extensions]
