"""The digits that two people compare, as the pages compute them: the vectors are for both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import icelane
from icelane.errors import LocalProtocolError
from icelane.peer.security_code import ITERATIONS, security_code
from icelane.peer.security_report import SecurityReport

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "security_codes.json").read_text())

FINGERPRINTS = st.binary(min_size=32, max_size=32).map(lambda value: value.hex(":").upper())


@pytest.mark.parametrize("vector", VECTORS)
def test_every_vector_comes_out_in_either_order(vector: dict[str, str]) -> None:
    assert security_code(vector["first"], vector["second"]) == vector["code"]
    assert security_code(vector["second"], vector["first"]) == vector["code"]


@settings(max_examples=10, deadline=None)
@given(FINGERPRINTS, FINGERPRINTS)
def test_a_code_has_twenty_digits_whatever_the_case(first: str, second: str) -> None:
    code = security_code(first, second)
    assert [len(group) for group in code.split(" ")] == [4] * 5
    assert code.replace(" ", "").isdecimal()
    assert security_code(f"SHA-256 {second.lower()}", f" sha-256 {first} ") == code


def test_another_certificate_gives_another_code() -> None:
    """Who puts a certificate of his own between the two is seen in the digits."""
    first, second = VECTORS[0]["first"], VECTORS[0]["second"]
    other = second[:-1] + ("0" if second[-1] != "0" else "1")
    assert security_code(first, other) != security_code(first, second)
    assert ITERATIONS >= 100_000, "decision 0073"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "sha-256",
        "AB:CD",
        ":".join(["0g"] * 32),
        ":".join(["+1"] * 32),
        ":".join(["AB"] * 31),
        ":".join(["AB"] * 33),
        ":".join(["AB"] * 32) + ":",
        f"sha-512 {':'.join(['AB'] * 32)}",
    ],
)
def test_what_is_no_fingerprint_is_refused(wrong: str) -> None:
    with pytest.raises(LocalProtocolError, match="fingerprints"):
        security_code(VECTORS[0]["first"], wrong)


def test_a_report_has_the_code_of_its_two_fingerprints() -> None:
    assert icelane.security_code is security_code
    first, second = VECTORS[0]["first"], VECTORS[0]["second"]

    def report(remote: str | None) -> SecurityReport:
        return SecurityReport(
            protocol=None,
            cipher_suite=None,
            srtp_profile=None,
            local_fingerprint=f"sha-256 {first}",
            remote_fingerprint=remote,
            local_candidate_type=None,
            remote_candidate_type=None,
            selected_pair=None,
            relay_url=None,
        )

    assert report(f"sha-256 {second}").security_code() == VECTORS[0]["code"]
    assert report(None).security_code() is None
