"""What a relay-only room passes on."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from icelane.errors import MalformedError
from icelane.signaling.concealment import concealed
from icelane.signaling.messages import CandidateInit, Description, DescriptionType, SignalData

SDP = (
    "v=0\r\no=- 46117 2 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 50000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.7\r\na=rtcp:50001 IN IP4 192.0.2.7\r\n"
    "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host\r\n"
    "a=candidate:2 1 udp 1694498815 198.51.100.9 50000 typ srflx raddr 192.0.2.7 rport 50000\r\n"
    "a=candidate:3 1 udp 41885439 203.0.113.5 49160 typ relay raddr 198.51.100.9 rport 50000\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
)


def candidate(line: str) -> str | None:
    """What becomes of a trickled candidate."""
    found = concealed(SignalData(candidate=CandidateInit(candidate=line, sdp_mid="0")))
    return None if found is None or not isinstance(found.candidate, CandidateInit) else found.candidate.candidate


def test_a_description_keeps_what_media_need_and_tells_no_address() -> None:
    found = concealed(SignalData(description=Description(type=DescriptionType.OFFER, sdp=SDP)))
    assert found is not None
    assert found.description is not UNSET
    text = found.description.sdp
    assert "192.0.2.7" not in text
    assert "198.51.100.9" not in text
    for kept in ("203.0.113.5 49160 typ relay", "a=ice-ufrag:abcd", "a=rtpmap:111 opus/48000/2", "a=group:BUNDLE 0"):
        assert kept in text


@pytest.mark.parametrize(
    "line",
    [
        "candidate:1 1 udp 1 192.0.2.7 9 typ host",
        "candidate:1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
        "candidate:1 1 udp 1 2001:db8::7 9 typ host",
        "candidate:1 1 udp 1 192.0.2.7 9 typ srflx raddr 192.0.2.8 rport 9",
        "candidate:1 1 udp 1 192.0.2.7 9 typ prflx",
        "candidate:1 1 udp 1 0b8b7c1e-51f1-4f0e-8d3c-2f6a3b1c2d3e.local 9 typ host",
        "a=candidate:1 1 udp 1 192.0.2.7 9 typ host",
        "candidate:1 1 udp 1 192.0.2.7 9 typ RELAY",
        "candidate:1 1 udp 1 192.0.2.7 9  typ relay",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay x",
        "nonsense 192.0.2.7",
    ],
)
def test_what_is_no_relayed_candidate_is_not_passed_on(line: str) -> None:
    assert candidate(line) is None


def test_of_a_relayed_candidate_the_address_behind_it_is_not_told() -> None:
    line = "candidate:3 1 udp 1 203.0.113.5 49160 typ relay raddr 198.51.100.9 rport 5 generation 0 ufrag abcd"
    assert candidate(line) == (
        "candidate:3 1 udp 1 203.0.113.5 49160 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag abcd"
    )
    assert candidate("candidate:3 1 udp 1 2001:db8::5 9 typ relay raddr 2001:db8::7 rport 5") == (
        "candidate:3 1 udp 1 2001:db8::5 9 typ relay raddr :: rport 9"
    )


def test_the_end_of_candidates_is_passed_on_in_both_spellings() -> None:
    assert candidate("") == ""
    found = concealed(SignalData(candidate=None))
    assert found is not None
    assert found.candidate is None


def test_a_description_beside_a_candidate_that_goes_is_passed_on_alone() -> None:
    both = SignalData(
        description=Description(type=DescriptionType.ROLLBACK),
        candidate=CandidateInit(candidate="candidate:1 1 udp 1 192.0.2.7 9 typ host"),
    )
    found = concealed(both)
    assert found is not None
    assert found.candidate is UNSET
    assert found.description == both.description


@given(st.text())
def test_what_does_not_parse_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with contextlib.suppress(MalformedError):
        concealed(SignalData(description=Description(type=DescriptionType.OFFER, sdp=text)))
    candidate(text)
