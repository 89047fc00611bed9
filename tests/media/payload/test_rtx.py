"""Retransmission."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.rtx import OVERHEAD, encode_retransmission, parse_retransmission


@given(st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_what_was_wrapped_comes_out(sequence_number: int, payload: bytes) -> None:
    wrapped = encode_retransmission(sequence_number, payload)
    assert len(wrapped) == len(payload) + OVERHEAD
    assert parse_retransmission(wrapped) == (sequence_number, payload)


def test_the_number_is_big_endian_and_in_front() -> None:
    """RFC 4588 section 4."""
    assert encode_retransmission(0x1234, b"payload") == b"\x12\x34payload"


@pytest.mark.parametrize("payload", [b"", b"\x12"])
def test_a_packet_without_the_number_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_retransmission(payload)
