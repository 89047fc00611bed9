"""What a relay-only room passes on."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from icelane.errors import MalformedError
from icelane.sdp.privacy import without_host_information
from icelane.sdp.session import parse_session
from icelane.signaling.concealment import concealed
from icelane.signaling.messages import CandidateInit, Description, DescriptionType, SignalData
from tests.sdp.captures import CAPTURES

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
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay raddr 192.0.2.7 rport",
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


ADDRESSES = ("10.1.2.3", "203.0.113.77", "2001:db8::beef", "FE80:0:0:0:0:0:0:1", "::ffff:10.1.2.3", "abc.local")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "line",
    [
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay RADDR {} RPORT 5000",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay x raddr {} rport 5 y",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay generation 0 raddr {} rport 5 raddr {} rport 1",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay foo {}",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay ufrag {}",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay generation {}",
        "candidate:1 1 udp 1 203.0.113.5 9 typ relay tcptype {}",
        "candidate:{} 1 udp 1 203.0.113.5 9 typ relay",
        "candidate:1 1 {} 1 203.0.113.5 9 typ relay",
    ],
)
def test_no_word_of_a_candidate_holds_an_address(line: str, address: str) -> None:
    """SG-13: keywords in any case, pairs that are out of step, extensions that nobody knows."""
    assert address not in (candidate(line.format(address, address)) or "")


def test_a_relayed_candidate_has_an_address_and_known_extensions() -> None:
    assert candidate("candidate:1 1 udp 1 abc.local 9 typ relay") is None
    line = "candidate:1 1 udp 1 203.0.113.5 9 typ relay raddr 0.0.0.0 rport 9"
    assert candidate(f"{line} x-mine 5 generation 0 network-id 1 network-cost 900 ufrag aB+/") == (
        f"{line} generation 0 network-id 1 network-cost 900 ufrag aB+/"
    )


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_names_the_section_of_a_candidate_is_no_address(address: str) -> None:
    """SG-13: beside the candidate, and in its end."""
    for line in ("", "candidate:1 1 udp 1 203.0.113.5 9 typ relay"):
        init = CandidateInit(candidate=line, sdp_mid=address, username_fragment=f"x{address}")
        found = concealed(SignalData(candidate=init))
        assert found is not None
        assert isinstance(found.candidate, CandidateInit)
        assert (found.candidate.sdp_mid, address in str(found.candidate)) == ("0.0.0.0", False)


PARTS = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n", "s=-\r\n", "t=0 0\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "a=mid:0\r\n"
)  # fmt: skip
ANYWHERE = (
    "i={}", "k=clear:{}", "b=AS:{}", "a={}", "a=x-mine:{}", "a=altc:1 IP4 {} 5000", "a=tool:{}", "a=identity:{}",
    "a=source-filter: incl IN IP4 * {}", "a=RTCP:5003 IN IP4 {}", "a=rtcp:5003 IN IP4 {}", "a=ice-options:{}",
    "a=connection-address:IN IP4 {}", "a=Candidate:1 1 udp 1 {} 5 typ host", "a=remote-candidates:1 {} 5",
    "a=candidate:1 1 udp 1 203.0.113.5 5 typ relay RADDR {} rport 5", "a=ssrc:1 cname:me@{}", "a=msid:{} x{}",
    "a=candidate:1 1 udp 1 203.0.113.5 5 typ relay x raddr {} rport 5", "a=fingerprint:sha-256 {}", "a=label:{}",
    "a=group:BUNDLE {}", "a=extmap:1 urn:{}",
)  # fmt: skip
SOMEWHERE = [
    (3, "z=0 {}"), (3, "r=7d 1h 0 {}"), (2, "u=http://{}/"), (2, "e=x@{}"), (2, "c=IN IP4 {}"), (4, "c=IN IP6 {}"),
    (1, "{}"),
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("at", "line"), [(at, line) for at in (2, 4) for line in ANYWHERE] + SOMEWHERE)
def test_no_line_of_a_description_holds_an_address(at: int, line: str, address: str) -> None:
    """SG-13: only lines that are known pass, and no address in them, or none of it does."""
    text = "".join([*PARTS[:at], line.format(address, address), "\r\n", *PARTS[at:]])
    if line == "{}":
        text = text.replace(f"{address}\r\ns=-", f"s={address}").replace("m=audio", f"m={address.replace(':', '.')}")
    with contextlib.suppress(MalformedError):
        found = concealed(SignalData(description=Description(type=DescriptionType.OFFER, sdp=text)))
        assert found is not None
        assert found.description is not UNSET
        assert address not in found.description.sdp
        assert "a=mid:0" in found.description.sdp


@pytest.mark.parametrize("name", [name for name in CAPTURES if not name.startswith(("gateway", "legacy"))])
def test_of_what_browsers_write_only_addresses_change(name: str) -> None:
    found = concealed(SignalData(description=Description(type=DescriptionType.OFFER, sdp=CAPTURES[name])))
    assert found is not None
    assert found.description is not UNSET
    kept = str(without_host_information(parse_session(CAPTURES[name])))
    without_names = re.sub(r"^s=.*", "s=-", kept, flags=re.MULTILINE)
    assert found.description.sdp.splitlines() == without_names.splitlines()
