"""OPEN and ACK."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.datachannel.dcep import AckMessage, OpenMessage, encode_ack, encode_open, parse_dcep
from icelane.errors import InvalidAccessError, MalformedError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def test_an_open_is_that_of_rfc_8832() -> None:
    data = encode_open(OpenMessage("chat", "p", ordered=False, max_retransmits=3))
    assert data == bytes.fromhex("0381010000000003" + "00040001") + b"chatp"


@given(texts, texts, st.booleans(), st.sampled_from(["", "retransmits", "lifetime"]), st.integers(0, 2**32 - 1))
def test_an_open_comes_back_as_it_was(label: str, protocol: str, ordered: bool, kind: str, limit: int) -> None:
    message = OpenMessage(
        label, protocol, ordered, limit if kind == "retransmits" else None, limit if kind == "lifetime" else None
    )
    assert parse_dcep(encode_open(message)) == message


def test_an_ack_comes_back() -> None:
    assert parse_dcep(encode_ack()) == AckMessage()


@given(st.binary(max_size=40))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """SC-6, FZ-1."""
    with contextlib.suppress(MalformedError):
        parse_dcep(data)
    with contextlib.suppress(MalformedError):
        parse_dcep(b"\x03" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x03",
        encode_open(OpenMessage("label"))[:-1],
        encode_open(OpenMessage("label")) + b"x",
        b"\x03\x03" + encode_open(OpenMessage("label"))[2:],
        encode_open(OpenMessage("label"))[:12] + b"\xff\xfe\xfd\xfc\xfb",
        bytes.fromhex("030000000000000000ffffff") + bytes(100),
    ],
)
def test_an_open_that_is_not_one_is_malformed(data: bytes) -> None:
    """SC-6: label or protocol past the end, unknown types, text that is none."""
    with pytest.raises(MalformedError):
        parse_dcep(data)


def test_texts_have_a_limit_in_bytes() -> None:
    for long in ("x" * 65_535, "é" * 32_767):
        assert isinstance(parse_dcep(encode_open(OpenMessage(long))), OpenMessage)
    with pytest.raises(InvalidAccessError):
        encode_open(OpenMessage("é" * 32_768))
    with pytest.raises(InvalidAccessError):
        encode_open(OpenMessage("", "x" * 65_536))


def test_a_channel_has_one_limit_that_fits() -> None:
    for wrong in (OpenMessage("", max_retransmits=1, max_packet_life_time=1), OpenMessage("", max_retransmits=2**32),
                  OpenMessage("", max_packet_life_time=-1)):  # fmt: skip
        with pytest.raises(InvalidAccessError):
            encode_open(wrong)


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    assert parse_dcep(encode_open(OpenMessage("a\ud800b"))) == OpenMessage("a\ufffdb")
