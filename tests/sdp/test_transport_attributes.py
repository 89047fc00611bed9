"""Groups, fingerprints, roles, ICE and SCTP."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.sdp.transport_attributes import (
    Fingerprint,
    Group,
    IceCredentials,
    SctpMap,
    Setup,
    parse_fingerprint,
    parse_group,
    parse_ice_options,
    parse_ice_pwd,
    parse_ice_ufrag,
    parse_max_message_size,
    parse_sctp_map,
    parse_sctp_port,
    parse_setup,
    parse_tls_id,
)

ALGORITHMS = {"md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(min_size=64, max_size=64))
def test_a_fingerprint_prints_and_parses_back(algorithm: str, noise: bytes) -> None:
    fingerprint = Fingerprint(algorithm, noise[: ALGORITHMS[algorithm]])
    assert parse_fingerprint(str(fingerprint)) == fingerprint
    assert parse_fingerprint(str(fingerprint).swapcase()) == fingerprint


def test_a_fingerprint_is_printed_as_browsers_do() -> None:
    digest = hashlib.sha256(b"").digest()
    text = str(Fingerprint("sha-256", digest))
    assert text.startswith("sha-256 E3:B0:C4:42:98:FC")
    assert str(Fingerprint("sha-256", digest).to_attribute()) == f"fingerprint:{text}"


@pytest.mark.parametrize(("algorithm", "size"), ALGORITHMS.items())
def test_a_fingerprint_has_the_length_of_its_algorithm(algorithm: str, size: int) -> None:
    for wrong in (size - 1, size + 1, 1):
        with pytest.raises(MalformedError):
            parse_fingerprint(f"{algorithm} {bytes(wrong).hex(':')}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-1",
        "sha-256 ",
        "sha-256 " + "00:" * 32,
        "sha-256 " + "00" * 32,
        "sha-256 " + "0:" * 31 + "0",
        "sha-256 " + "0g:" * 31 + "00",
        "sha-256 " + "00:" * 31 + "00 x",
        "sha-256 " + "\u0660\u0660:" * 31 + "00",
        "sha/256 " + "00:" * 31 + "00",
    ],
)
def test_a_fingerprint_is_hexadecimal_pairs_between_colons(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_fingerprint(text)


def test_weak_and_unknown_fingerprints_are_kept_and_known_as_such() -> None:
    strong = {name for name, size in ALGORITHMS.items() if Fingerprint(name, bytes(size)).is_strong}
    assert strong == {"sha-256", "sha-384", "sha-512"}
    assert not parse_fingerprint("blake3 00:11").is_strong


@pytest.mark.parametrize("setup", Setup)
def test_roles_are_read_in_any_case(setup: Setup) -> None:
    assert parse_setup(setup.value) is parse_setup(setup.value.upper()) is setup


@pytest.mark.parametrize("text", ["", "both", "active passive", "active "])
def test_other_roles_are_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_setup(text)


def test_tls_ids_have_twenty_to_255_characters() -> None:
    for text in ("a" * 20, "+/-_" * 20, "z" * 255):
        assert parse_tls_id(text) == text
    for text in ("", "a" * 19, "a" * 256, "a" * 20 + " ", "a" * 20 + "="):
        with pytest.raises(MalformedError):
            parse_tls_id(text)


@pytest.mark.parametrize("parse", [parse_ice_ufrag, parse_ice_pwd])
def test_ice_credentials_have_few_characters_and_at_most_256(parse: type[str]) -> None:
    for text in ("a", "aZ09+/", "a-b_c=d#", "x" * 256):
        assert parse(text) == text
    for text in ("", "x" * 257, "a:b", "a b", "\u00e9", 'a"b', "x\n"):
        with pytest.raises(MalformedError):
            parse(text)


def test_a_password_is_neither_in_an_error_nor_in_a_repr() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_ice_pwd("hunter2 hunter2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(IceCredentials("ufrag", "hunter2"))


def test_options_are_words() -> None:
    assert parse_ice_options("trickle ice2") == ("trickle", "ice2")
    assert parse_ice_options("ice2,trickle") == ("ice2", "trickle")
    for text in ("", " ", "x " * 33):
        with pytest.raises(MalformedError):
            parse_ice_options(text)


def test_a_group_has_semantics_and_mids() -> None:
    assert parse_group("BUNDLE 0 1 audio") == Group("BUNDLE", ("0", "1", "audio"))
    assert parse_group("BUNDLE") == Group("BUNDLE", ())
    assert str(Group("LS", ("a", "b"))) == "LS a b"


@pytest.mark.parametrize("text", ["", "BUN/DLE 0", "BUNDLE" + " x" * (257)])
def test_a_group_without_a_name_or_with_too_many_mids_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_group(text)


def test_numbers_of_sctp() -> None:
    assert (parse_sctp_port("5000"), parse_sctp_port("0")) == (5000, 0)
    assert (parse_max_message_size("0"), parse_max_message_size("18446744073709551615")) == (0, 2**64 - 1)
    for text in ("", "65536", "-1", "5000 x"):
        with pytest.raises(MalformedError):
            parse_sctp_port(text)
    with pytest.raises(MalformedError):
        parse_max_message_size("18446744073709551616")


def test_the_sctpmap_of_the_drafts() -> None:
    assert parse_sctp_map("5000 webrtc-datachannel 1024") == SctpMap(5000, "webrtc-datachannel", 1024)
    assert str(parse_sctp_map("5000 webrtc-datachannel")) == "5000 webrtc-datachannel"
    assert str(parse_sctp_map("5000 webrtc-datachannel 256")) == "5000 webrtc-datachannel 256"
    for text in ("5000", "x webrtc-datachannel", "5000 webrtc-datachannel 65537", "5000 a 1 2"):
        with pytest.raises(MalformedError):
            parse_sctp_map(text)
