"""Candidate lines, priorities and foundations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.ice.candidate import (
    MAX_EXTENSIONS,
    MAX_LINE,
    Candidate,
    CandidateType,
    Foundations,
    compute_priority,
    is_address,
    is_mdns_name,
    parse_candidate,
    peer_reflexive_priority,
)

CHROMIUM = (
    "candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 0.0.0.0 rport 0 "
    "generation 0 ufrag EEtu network-id 3 network-cost 10"
)
FIREFOX = "candidate:0 1 UDP 2122252543 192.168.1.4 55600 typ host"
NAME = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
LINE = "candidate:1 1 udp 1 192.0.2.1 9 typ host"


def test_a_line_of_chromium_is_read_with_all_that_stands_in_it() -> None:
    candidate = parse_candidate(CHROMIUM)
    assert candidate == Candidate(
        type=CandidateType.SERVER_REFLEXIVE,
        host="203.0.113.9",
        port=46154,
        priority=1677729535,
        foundation="842163049",
        related=SocketAddress("0.0.0.0", 0),
        extensions=(("generation", "0"), ("ufrag", "EEtu"), ("network-id", "3"), ("network-cost", "10")),
    )
    assert candidate.ufrag == "EEtu"
    assert candidate.address == ("203.0.113.9", 46154)
    assert candidate.host_name is None
    assert str(candidate) == CHROMIUM


def test_a_line_of_firefox_is_read_whatever_the_case_of_the_transport() -> None:
    candidate = parse_candidate(FIREFOX)
    assert candidate.transport == "udp"
    assert candidate.ufrag is None
    assert str(candidate) == FIREFOX.replace("UDP", "udp")


@pytest.mark.parametrize("prefix", ["", "candidate:", "a=candidate:"])
def test_the_line_may_be_that_of_sdp_of_w3c_or_the_bare_value(prefix: str) -> None:
    candidate = parse_candidate(prefix + LINE.removeprefix("candidate:"))
    assert str(candidate) == LINE
    assert candidate.attribute_value == LINE.removeprefix("candidate:")


def test_a_candidate_of_tcp_is_read_with_its_tcp_type() -> None:
    line = "candidate:3 1 tcp 1518214911 10.0.1.1 9 typ host tcptype active generation 0"
    candidate = parse_candidate(line)
    assert (candidate.transport, candidate.tcp_type) == ("tcp", "active")
    assert str(candidate) == line


def test_a_name_in_place_of_an_address_is_kept_and_may_be_resolved() -> None:
    candidate = parse_candidate(f"candidate:1 1 udp 1 {NAME.upper()} 9 typ host")
    assert candidate.host_name == NAME
    resolved = candidate.resolved_to("2001:DB8::1")
    assert (resolved.host, resolved.host_name, resolved.port) == ("2001:db8::1", None, 9)
    with pytest.raises(MalformedError):
        candidate.resolved_to("elsewhere.example")


def test_a_field_that_comes_twice_or_without_the_other_half_is_not_passed_on() -> None:
    candidate = parse_candidate(
        "1 1 udp 1 192.0.2.1 9 typ srflx rport 7 x y raddr 10.0.0.1 rport 8 tcptype so tcptype a"
    )
    assert candidate.related == ("10.0.0.1", 7)
    assert (candidate.tcp_type, candidate.extensions) == ("so", (("x", "y"),))
    alone = parse_candidate("1 1 udp 1 192.0.2.1 9 typ srflx rport 7")
    assert (alone.related, alone.extensions) == (None, ())


def test_addresses_of_ipv6_come_out_in_canonical_form() -> None:
    assert parse_candidate("1 1 udp 1 2001:0DB8:0:0::1 9 typ host").host == "2001:db8::1"
    assert parse_candidate("1 1 udp 1 fe80::1%eth0 9 typ host").host == "fe80::1"


def test_only_a_uuid_under_local_is_a_name_to_resolve() -> None:
    """IC-7: any other name leads to no query, because nobody is told to resolve it."""
    assert is_mdns_name(NAME)
    assert is_mdns_name(NAME.upper())
    for host in (
        "printer.local", "example.org", "localhost", NAME + ".", "x" + NAME, f"{NAME}.evil.example",
        NAME.replace(".local", ".localdomain"), NAME.replace("-", ""), f"a.{NAME}", "192.0.2.1", "::1", "", NAME + "\n",
        NAME.replace("1f4712db", "1f4712dg"), NAME.replace("1f4712db", "1f4712d\u0661"),
    ):  # fmt: skip
        assert not is_mdns_name(host), host


def test_what_looks_like_an_address_and_is_none_is_a_name() -> None:
    assert parse_candidate("1 1 udp 1 1.2.3 9 typ host").host_name == "1.2.3"
    assert is_address("::ffff:1.2.3.4")
    assert not is_address("1.2.3")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "candidate:",
        "1 1 udp 1 192.0.2.1 9 typ",
        "1 1 udp 1 192.0.2.1 9 host typ",
        "1 1 udp 1 192.0.2.1 9 typ weird",
        "1 0 udp 1 192.0.2.1 9 typ host",
        "1 257 udp 1 192.0.2.1 9 typ host",
        "1 1 udp 4294967296 192.0.2.1 9 typ host",
        "1 1 udp -1 192.0.2.1 9 typ host",
        "1 1 udp \u0661 192.0.2.1 9 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 1 192.0.2.1 +9 typ host",
        "1 1 udp 1 -bad..name 9 typ host",
        "1 1 udp 1 \u0440\u0444.example 9 typ host",
        f"1 1 udp 1 {'a' * 64}.example 9 typ host",
        f"{'1' * 33} 1 udp 1 192.0.2.1 9 typ host",
        " 1 udp 1 192.0.2.1 9 typ host",
        "1 1 u(p 1 192.0.2.1 9 typ host",
        "1 1 udp 1 192.0.2.1 9 typ host generation",
        "1 1 udp 1 192.0.2.1 9 typ host raddr nobody! rport 9",
        "1 1 udp 1 192.0.2.1 9 typ host raddr 10.0.0.1 rport 99999",
        "1 1 udp 1 192.0.2.1 9 typ host x a\tb",
        "1 1 udp 1 192.0.2.1 9 typ host x \r\na=evil:1",
        "1 1 udp 1 192.0.2.1 9 typ host" + " x y" * (MAX_EXTENSIONS + 1),
        "1 1 udp 1 192.0.2.1 9 typ host x " + "y" * MAX_LINE,
    ],
)
def test_what_is_no_candidate_is_malformed(line: str) -> None:
    with pytest.raises(MalformedError):
        parse_candidate(line)


def test_an_error_does_not_repeat_what_the_peer_wrote() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_candidate("1 1 udp 1 se cret 9 typ host")
    assert "cret" not in str(caught.value)


candidates = st.builds(
    Candidate,
    type=st.sampled_from(CandidateType),
    host=st.sampled_from(["192.0.2.1", "2001:db8::1", NAME, "host.example"]),
    port=st.integers(0, 65535),
    priority=st.integers(0, 2**32 - 1),
    foundation=st.text("abcXYZ019+/", min_size=1, max_size=32),
    component=st.integers(1, 256),
    transport=st.sampled_from(["udp", "tcp", "tls"]),
    related=st.none() | st.builds(SocketAddress, st.sampled_from(["10.0.0.1", "::"]), st.integers(0, 65535)),
    tcp_type=st.none() | st.sampled_from(["active", "passive", "so"]),
    extensions=st.lists(
        st.tuples(st.text("abc-", min_size=1, max_size=8), st.text("abc:/19", max_size=8)), max_size=8
    ).map(tuple),
)  # fmt: skip


@given(candidates)
def test_a_candidate_survives_being_written_and_read(candidate: Candidate) -> None:
    assert parse_candidate(str(candidate)) == candidate


@given(st.text(max_size=200) | st.text("candidate: 12udptyphos.-\r\n", max_size=100))
def test_any_text_is_a_candidate_or_malformed(text: str) -> None:
    try:
        candidate = parse_candidate(text)
    except MalformedError:
        return
    assert "\n" not in str(candidate)
    assert parse_candidate(str(candidate)) == candidate


# -- priorities and foundations


def test_priorities_are_those_of_rfc_8445() -> None:
    assert compute_priority(CandidateType.HOST) == 2130706431
    assert compute_priority(CandidateType.RELAYED, 0) == 255
    kinds = [CandidateType.HOST, CandidateType.PEER_REFLEXIVE, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED]
    priorities = [compute_priority(kind, 7) for kind in kinds]
    assert priorities == sorted(priorities, reverse=True)
    relayed = parse_candidate(f"1 1 udp {priorities[3]} 192.0.2.1 9 typ relay")
    assert peer_reflexive_priority(relayed) == compute_priority(CandidateType.PEER_REFLEXIVE, 7)


def test_a_foundation_tells_origins_apart_and_nothing_about_them() -> None:
    foundations = Foundations()
    first = foundations.of(CandidateType.HOST, "192.168.17.23")
    assert foundations.of(CandidateType.HOST, "192.168.17.23") == first
    others = {
        foundations.of(CandidateType.HOST, "192.168.17.24"),
        foundations.of(CandidateType.SERVER_REFLEXIVE, "192.168.17.23", "198.41.0.4"),
        foundations.of(CandidateType.SERVER_REFLEXIVE, "192.168.17.23", "198.41.0.5"),
        foundations.of(CandidateType.HOST, "192.168.17.23", transport="tcp"),
    }
    assert len(others | {first}) == 5
    assert Foundations().of(CandidateType.HOST, "10.9.8.7") == first
