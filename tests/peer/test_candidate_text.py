"""Candidates as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.peer.candidate_text import MAX_CANDIDATE_TEXT, parse_candidate_text
from tests.peer.negotiating import CANDIDATE, RELAYED


def test_a_candidate_is_taken_with_and_without_the_letter_of_its_line() -> None:
    assert parse_candidate_text(f"a={CANDIDATE}") == parse_candidate_text(CANDIDATE)
    assert parse_candidate_text(CANDIDATE).text == CANDIDATE
    assert f"candidate:{parse_candidate_text(CANDIDATE).attribute_value}" == CANDIDATE


def test_type_related_address_and_ufrag_are_read() -> None:
    parsed = parse_candidate_text(f"{RELAYED} generation 0 ufrag EsAw network-cost 999")
    assert (parsed.type, parsed.related_address, parsed.username_fragment) == ("relay", "0.0.0.0", "EsAw")
    parsed = parse_candidate_text(CANDIDATE)
    assert (parsed.type, parsed.related_address, parsed.username_fragment) == ("host", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "1 1 udp 1 192.0.2.1 1 typ host",
        "candidate:1 1 udp 1 192.0.2.1 1 host",
        "candidate:1 x udp 1 192.0.2.1 1 typ host",
        "candidate:1 1 udp 1 192.0.2.1 1 typ",
        f"{CANDIDATE}\r\na=ice-lite",
        f"{CANDIDATE}\n",
        f"{CANDIDATE}\0",
        f"{CANDIDATE} \u2028",
        f"{CANDIDATE} " + "x" * MAX_CANDIDATE_TEXT,
    ],
)
def test_what_is_no_candidate_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_candidate_text(text)


@given(st.text(max_size=80) | st.builds(lambda tail: CANDIDATE + tail, st.text(max_size=40)))
def test_whatever_is_taken_is_one_line_of_printable_ascii(text: str) -> None:
    try:
        parsed = parse_candidate_text(text)
    except MalformedError:
        return
    assert parsed.text.isascii()
    assert parsed.text.isprintable()
