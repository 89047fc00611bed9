"""Which sections descriptions have: rejected ones in their places, recycled ones, and mids that are unique."""

from __future__ import annotations

import pytest

from icelane.errors import InvalidAccessError
from icelane.ice.event import IceRole
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transport_command import DataChannelsNegotiated, DataChannelsRejected, SectionPlace, StartGathering
from icelane.sdp.session import parse_session
from tests.peer.descriptions import offer
from tests.peer.negotiating import (
    CANDIDATE,
    Peer,
    bundle_what_is_alive,
    check_agreement,
    connected,
    rejecting_answer,
    rollback,
)


def lines(description: Description) -> list[str]:
    """The `m=` lines without their formats, and the mids behind."""
    session = parse_session(description.sdp)
    return [f"{section.kind} {section.port} {section.mid}" for section in session.media]


def with_audio_first(description: Description, mid: str = "audio") -> Description:
    """The offer with a section of audio before all others."""
    session = parse_session(description.sdp)
    audio = parse_session(offer("max_bundle_offer").sdp).media[0]
    audio.remove("candidate", "end-of-candidates")
    audio.replace("mid", mid)
    session.media.insert(0, audio)
    session.replace("group", " ".join(["BUNDLE", mid, *(one.mid or "" for one in session.media[1:])]))
    return Description(description.type, str(session))


def edited(description: Description, **ports: int) -> Description:
    """The description with other ports, by mid with `_` before it."""
    session = parse_session(description.sdp)
    for section in session.media:
        section.port = ports.get(f"_{section.mid}", section.port)
    bundle_what_is_alive(session)
    return Description(description.type, str(session))


def test_audio_is_rejected_in_its_place_and_data_accepted_behind_it() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    answerer.set_remote(with_audio_first(offerer.local))
    answerer.set_local()
    assert lines(answerer.local) == ["audio 0 audio", "application 9 0"]
    assert parse_session(answerer.local.sdp).bundle_groups == [("0",)]
    assert answerer.negotiation.candidate_place == SectionPlace("0", 1)
    answerer.negotiation.add_local_candidate(CANDIDATE)
    audio, data = parse_session(answerer.local.sdp).media
    assert audio.candidates == []
    assert data.candidates == [CANDIDATE]


def test_our_next_offer_keeps_the_rejected_section_in_its_place() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    answerer.set_remote(with_audio_first(offerer.local))
    answerer.set_local()
    answerer.set_local()
    assert lines(answerer.local) == ["audio 0 audio", "application 9 0"]
    assert answerer.transport.local is not None
    assert f"a=ice-ufrag:{answerer.transport.local.ufrag}" in answerer.local.sdp


def test_an_offer_without_data_is_answered_and_data_takes_over_the_rejected_place() -> None:
    """RFC 9429 section 5.2.2: recycling; the section's mid is a new one."""
    peer = Peer(1)
    peer.set_remote(offer("firefox_maxbundle_offer"))
    assert peer.set_local().negotiation_is_needed
    rejected = lines(peer.local)
    assert all(" 0 " in line for line in rejected)
    assert peer.told == []
    peer.set_local()
    mids = [line.split()[2] for line in lines(peer.local)]
    assert lines(peer.local)[0].startswith("application 9 ")
    assert lines(peer.local)[1:] == rejected[1:]
    assert len(set(mids)) == len(mids)
    assert peer.negotiation.ice_role is IceRole.CONTROLLING


def test_a_new_section_never_has_a_mid_that_the_peer_used() -> None:
    peer = Peer(1)
    description = offer("firefox_maxbundle_offer")
    for old, new in (("0", "9"), ("1", "11"), ("2", "10")):
        text = description.sdp.replace(f"a=mid:{old}\r\n", f"a=mid:{new}\r\n")
        description = Description(description.type, text)
    session = parse_session(description.sdp)
    bundle_what_is_alive(session)
    peer.set_remote(Description(DescriptionType.OFFER, str(session)))
    peer.set_local()
    peer.set_local()
    mids = [section.mid for section in parse_session(peer.local.sdp).media]
    assert mids[0] not in {"9", "10", "11"}
    assert len(set(mids)) == len(mids)


def test_an_answer_that_rejects_data_ends_the_channels_until_others_are_wanted() -> None:
    peer = Peer(1)
    peer.set_local()
    applied = peer.set_remote(rejecting_answer(peer.local))
    assert applied.commands == (DataChannelsRejected(),)
    assert not applied.negotiation_is_needed
    assert peer.state is SignalingState.STABLE
    assert peer.negotiation.ice_role is None
    peer.set_local()
    assert lines(peer.local) == ["application 0 0"]
    peer.set_local(rollback())
    assert peer.negotiation.request_data_channels()
    assert [type(command) for command in peer.set_local().commands] == [StartGathering]
    assert lines(peer.local) == ["application 9 1"]


def test_a_peer_that_switches_data_off_ends_the_transport_and_can_have_another() -> None:
    offerer, answerer = connected()
    offerer.set_local()
    off = edited(offerer.local, _0=0)
    answerer.set_remote(off)
    assert answerer.set_local().commands == (DataChannelsRejected(),)
    assert lines(answerer.local) == ["application 0 0"]
    assert answerer.transport.remote is None
    answerer.negotiation.request_data_channels()
    answerer.set_local()
    assert lines(answerer.local) == ["application 9 1"]
    assert answerer.negotiation.ice_role is IceRole.CONTROLLING


def test_a_recycled_section_of_the_peer_is_accepted() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    answerer.set_remote(audio_alone(offerer))
    answerer.set_local()
    assert lines(answerer.local) == ["audio 0 audio"]
    session = parse_session(offerer.local.sdp)
    session.media[0].replace("mid", "new")
    bundle_what_is_alive(session)
    answerer.set_remote(Description(DescriptionType.OFFER, str(session)))
    answerer.set_local()
    assert lines(answerer.local) == ["application 9 new"]
    assert DataChannelsNegotiated(5000, 262_144) in answerer.told


def audio_alone(offerer: Peer) -> Description:
    """An offer of audio alone, which everybody rejects."""
    session = parse_session(with_audio_first(offerer.local).sdp)
    del session.media[1:]
    bundle_what_is_alive(session)
    return Description(DescriptionType.OFFER, str(session))


def test_of_two_sections_for_data_the_first_that_is_alive_is_accepted() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    session = parse_session(offerer.local.sdp)
    for mid, port in (("x", 0), ("y", 9)):
        again = parse_session(offerer.local.sdp).media[0]
        again.replace("mid", mid)
        again.port = port
        session.media.insert(0 if mid == "x" else 2, again)
    bundle_what_is_alive(session)
    answerer.set_remote(Description(DescriptionType.OFFER, str(session)))
    answerer.set_local()
    assert lines(answerer.local) == ["application 0 x", "application 9 0", "application 0 y"]


def test_a_section_without_an_association_is_rejected() -> None:
    """RFC 8841 section 5: `a=sctp-port:0`."""
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    text = offerer.local.sdp.replace("a=sctp-port:5000", "a=sctp-port:0")
    answerer.set_remote(Description(DescriptionType.OFFER, text))
    assert answerer.set_local().commands == ()
    assert lines(answerer.local) == ["application 0 0"]


def test_an_unknown_section_is_rejected_in_its_place() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    text = offerer.local.sdp + "m=message 2855 TCP/MSRP *\r\na=mid:chat\r\na=path:msrp://x/y;tcp\r\n"
    answerer.set_remote(Description(DescriptionType.OFFER, text))
    answerer.set_local()
    assert lines(answerer.local) == ["application 9 0", "message 0 chat"]
    assert "m=message 0 TCP/MSRP *" in answerer.local.sdp
    assert "msrp:" not in answerer.local.sdp


def test_an_offer_without_mids_is_answered_without_mids() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    text = offerer.local.sdp.replace("a=group:BUNDLE 0\r\n", "").replace("a=mid:0\r\n", "")
    answerer.set_remote(Description(DescriptionType.OFFER, text))
    answerer.set_local()
    assert "a=mid" not in answerer.local.sdp
    assert "a=group" not in answerer.local.sdp
    answerer.set_local()
    assert "a=mid" not in answerer.local.sdp
    assert answerer.negotiation.candidate_place == SectionPlace(None, 0)


def test_what_was_not_offered_bundled_is_not_answered_bundled() -> None:
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    answerer.set_remote(Description(DescriptionType.OFFER, offerer.local.sdp.replace("a=group:BUNDLE 0\r\n", "")))
    answerer.set_local()
    assert "a=group" not in answerer.local.sdp
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


@pytest.mark.parametrize("change", ["fewer", "mid", "kind"])
def test_an_offer_that_does_not_go_on_with_the_last_exchange_is_refused(change: str) -> None:
    offerer, answerer = connected()
    offerer.set_local()
    session = parse_session(offerer.local.sdp)
    if change == "fewer":
        session.media.clear()
    elif change == "mid":
        session.media[0].replace("mid", "7")
    else:
        session.media[0] = parse_session(offer("max_bundle_offer").sdp).media[0]
        session.media[0].replace("mid", "0")
    bundle_what_is_alive(session)
    with pytest.raises(InvalidAccessError):
        answerer.set_remote(Description(DescriptionType.OFFER, str(session)))
    assert answerer.state is SignalingState.STABLE
    answerer.set_remote(offerer.local)
    answerer.set_local()
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)
