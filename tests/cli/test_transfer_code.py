"""Codes as people say and type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.cli.transfer_code import MAX_NUMBER, TransferCode, make_code, parse_code
from icelane.errors import MalformedError
from icelane.testing.entropy import SeededEntropy


@given(st.integers(0, 2**32), st.integers(1, MAX_NUMBER))
def test_what_is_made_is_understood_and_its_number_is_as_small_as_was_asked_for(seed: int, largest: int) -> None:
    code = make_code(SeededEntropy(seed), largest)
    assert parse_code(str(code)) == code
    assert 1 <= code.number <= largest


@pytest.mark.parametrize("text", ["7-blue-otter", " 7 Blue OTTER\n", "7_blue_otter", "7 \u2013 blue \u2014 otter"])
def test_a_code_is_understood_as_people_write_it(text: str) -> None:
    assert parse_code(text) == TransferCode(7, "blue-otter")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7-blue-ottr", "is it otter"),
        ("7-bleu-otter", "is it blue"),
        ("7-otter-blue", "no code has the word 'otter' there"),
        ("0-blue-otter", "a number and two words"),
        ("1000-blue-otter", "a number and two words"),
        ("\u0667-blue-otter", "a number and two words"),
        ("blue-otter", "a number and two words"),
        ("", "a number and two words"),
    ],
)
def test_a_slip_is_found_before_it_costs_a_try(text: str, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        parse_code(text)


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    assert "otter" not in repr(parse_code("7-blue-otter"))
