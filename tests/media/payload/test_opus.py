"""Opus packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.opus import MAX_DURATION, OpusDepacketizer, OpusPacketizer, has_redundancy, parse_duration


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        ("08", 20),  # RFC 6716 table 2: SILK, configuration 1
        ("00", 10),
        ("10", 40),
        ("18", 60),
        ("58", 60),  # configuration 11
        ("60", 10),  # 12: hybrid
        ("68", 20),
        ("78", 20),  # 15
        ("80", 2.5),  # 16: CELT
        ("88", 5),
        ("f0", 10),
        ("f8", 20),  # 31
        ("fc", 20),  # stereo, as browsers send it
        ("fd00", 40),  # two frames of one length
        ("fe00", 40),  # two frames
        ("ff03", 60),  # three
        ("ffc3", 60),  # of various lengths, with padding
        ("8330", 120),  # 48 of 2.5 ms
    ],
)
def test_how_long_a_packet_plays_is_told_by_its_first_bytes(packet: str, milliseconds: float) -> None:
    assert parse_duration(bytes.fromhex(packet)) == milliseconds * 48


@pytest.mark.parametrize("packet", ["", "ff", "ff00", "ff07", "8331"])
def test_what_is_no_opus_packet_is_malformed(packet: str) -> None:
    with pytest.raises(MalformedError):
        OpusDepacketizer().parse(bytes.fromhex(packet))


def test_a_packet_of_dtx_passes() -> None:
    depacketizer = OpusDepacketizer()
    assert depacketizer.assemble([depacketizer.parse(b"\xf8")]) == b"\xf8"


def test_a_frame_is_a_packet() -> None:
    assert OpusPacketizer().packetize(b"\xfc123", 1200) == [b"\xfc123"]


@given(st.binary(max_size=10))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    with contextlib.suppress(MalformedError):
        assert 0 < parse_duration(data) <= MAX_DURATION


@pytest.mark.parametrize(
    ("packet", "has"),
    [
        ("0840", True),  # SILK of 20 ms: a bit for voice, and then that for FEC
        ("0880", False),
        ("6840", True),  # hybrid
        ("1020", True),  # 40 ms: two bits for voice
        ("1040", False),
        ("1810", True),  # 60 ms
        ("0c10", True),  # stereo: the same bits again for the other channel
        ("0c20", False),
        ("0940", True),  # two frames of one length
        ("0a0240", True),  # of two
        ("0afc0040", True),  # with a length in two bytes
        ("0b0340", True),  # any number of one length
        ("0bc3fffe010240", True),  # padding of several bytes, and lengths
        ("f840", False),  # CELT has none
        ("08", False),  # DTX
        ("0b", False),
        ("0bc3ff", False),
        ("", False),
    ],
)
def test_whether_a_packet_has_fec_is_told_by_a_bit_of_its_first_frame(packet: str, has: bool) -> None:
    assert has_redundancy(bytes.fromhex(packet)) is has


@given(st.binary(max_size=20))
def test_any_bytes_are_asked_for_fec(payload: bytes) -> None:
    has_redundancy(payload)
