"""H.264 in packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError, MessageTooLargeError, NotSupportedError
from icelane.media.payload.h264 import (
    NON_INTERLEAVED,
    SINGLE,
    H264Depacketizer,
    H264Packetizer,
    is_key_frame,
    parse_frame_size,
)
from icelane.media.payload.nal_unit import START_CODE
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE, Fragment
from tests.media.payload.trips import trip

# Constrained baseline 3.1, 640 by 360.
SPS = bytes.fromhex("6742c01f8c8d40501e9005a000000300")[:10] + b"\x80"
PPS = bytes.fromhex("68ce3c80")
IDR = b"\x65\x88" + b"intra" * 10
SLICE = b"\x41\x9a" + b"inter" * 10
SECOND_SLICE = b"\x41\x4d" + b"later" * 10  # first_mb_in_slice is not 0


def stream(*units: bytes) -> bytes:
    return b"".join(START_CODE + unit for unit in units)


contents = st.binary(max_size=400).map(lambda data: data.replace(b"\0", b"\2"))
units = st.tuples(st.integers(1, 23), st.integers(0, 3), contents).map(
    lambda parts: bytes((parts[0] | parts[1] << 5,)) + parts[2]
)
frames = st.lists(units, min_size=1, max_size=12)


@given(frames, st.integers(MIN_PAYLOAD_SIZE, 1500))
def test_a_frame_comes_back_at_every_size(frame: list[bytes], max_size: int) -> None:
    depacketizer = H264Depacketizer()
    payloads = H264Packetizer().packetize(stream(*frame), max_size)
    assert all(0 < len(payload) <= max_size for payload in payloads)
    assert depacketizer.assemble([depacketizer.parse(payload) for payload in payloads]) == stream(*frame)


@given(frames)
def test_a_frame_comes_back_in_mode_0_when_its_units_fit(frame: list[bytes]) -> None:
    depacketizer = H264Depacketizer()
    payloads = H264Packetizer(SINGLE).packetize(stream(*frame), 401)
    assert payloads == frame
    assert depacketizer.assemble([depacketizer.parse(payload) for payload in payloads]) == stream(*frame)


def test_a_unit_that_does_not_fit_is_refused_in_mode_0() -> None:
    with pytest.raises(MessageTooLargeError):
        H264Packetizer(SINGLE).packetize(stream(bytes((0x65,)) + b"x" * 1200), 1200)


def test_other_modes_are_not_supported() -> None:
    H264Packetizer(NON_INTERLEAVED)
    with pytest.raises(NotSupportedError):
        H264Packetizer(2)


def test_parameter_sets_share_a_packet_and_the_picture_is_fragmented() -> None:
    """RFC 6184 sections 5.7.1 and 5.8: the highest NRI of what is inside, lengths of 16 bits; S and E."""
    first, *others = H264Packetizer().packetize(stream(SPS, PPS, IDR), MIN_PAYLOAD_SIZE)
    assert first == b"\x78" + b"\0\x0b" + SPS + b"\0\4" + PPS
    assert [payload[:2].hex() for payload in others] == ["7c85", "7c45"]
    assert b"".join(payload[2:] for payload in others) == IDR[1:]
    assert [len(payload) for payload in others] == [32, 23]


def test_a_fragment_in_the_middle_has_neither_start_nor_end() -> None:
    payloads = H264Packetizer().packetize(stream(SLICE + bytes(range(1, 60))), MIN_PAYLOAD_SIZE)
    assert [payload[:2].hex() for payload in payloads] == ["5c81", "5c01", "5c01", "5c41"]


def test_a_key_frame_as_browsers_send_it_is_read() -> None:
    """STAP-A with SPS, PPS and a small IDR picture; and parameter sets in a packet of their own before FU-A."""
    depacketizer = H264Depacketizer()
    together = H264Packetizer().packetize(stream(SPS, PPS, IDR), 1200)
    assert len(together) == 1
    fragment = depacketizer.parse(together[0])
    assert (fragment.begins_frame, fragment.ends_frame, fragment.is_key) == (True, False, True)
    assert fragment.pieces == (SPS, PPS, IDR)
    fragments = trip(H264Packetizer(), depacketizer, stream(SPS, PPS, IDR * 20), 400)
    assert [fragment.is_key for fragment in fragments] == [None, True, True, True]
    assert [fragment.begins_frame for fragment in fragments] == [True, True, False, False]
    assert [fragment.continues for fragment in fragments] == [False, False, True, True]
    assert [fragment.is_continued for fragment in fragments] == [False, True, True, False]


@pytest.mark.parametrize(
    ("unit", "begins", "key"),
    [
        (SPS, True, None),
        (PPS, True, None),
        (b"\x09\xf0", True, None),  # delimiter
        (b"\x06\x05\x01", True, None),  # SEI
        (IDR, True, True),
        (SLICE, True, False),
        (SECOND_SLICE, False, False),
        (b"\x65\x40", False, True),  # a later slice of an IDR picture
        (b"\x41", False, False),
        (b"\x0c\xff", False, None),  # filler
    ],
)
def test_where_a_frame_may_begin(unit: bytes, begins: bool, key: bool | None) -> None:
    depacketizer = H264Depacketizer()
    fragment = depacketizer.parse(unit)
    assert (fragment.begins_frame, fragment.is_key) == (begins, key)
    if len(unit) > 1:
        fu = bytes((unit[0] & 0x60 | 28, 0x80 | unit[0] & 0x1F))
        fragment = depacketizer.parse(fu + unit[1:])
        assert (fragment.begins_frame, fragment.is_key) == (begins, key)
        assert not depacketizer.parse(bytes((fu[0], fu[1] & 0x1F)) + unit[1:]).begins_frame


def test_a_fragment_that_is_start_and_end_is_taken() -> None:
    """RFC 6184 section 5.8 forbids it to senders; some do it."""
    fragment = H264Depacketizer().parse(bytes((0x7C, 0xC5)) + IDR[1:])
    assert fragment == Fragment((IDR,), True, is_key=True)


@pytest.mark.parametrize(
    "payload",
    [
        "", "e588", "00", "1e", "1f",  # the forbidden bit; types that nothing has
        "19 0000 0001 65", "1a 0000 0003 00 0000", "1b 0000", "1d 85 0000 88",  # mode 2
        "78", "78 00", "78 0000", "78 0002 65", "78 0001 78", "78 0001 e5", "78 0001 00",
        "7c", "7c85", "7c80 88", "7c9c 88", "7c98 88",
    ],
)  # fmt: skip
def test_what_we_never_agree_on_is_malformed(payload: str) -> None:
    with pytest.raises(MalformedError):
        H264Depacketizer().parse(bytes.fromhex(payload))


def test_a_fragmented_unit_with_a_lost_end_is_left_out() -> None:
    depacketizer = H264Depacketizer()
    payloads = H264Packetizer().packetize(stream(SPS, PPS, IDR * 20), 400)
    fragments = [depacketizer.parse(payload) for payload in payloads]
    assert depacketizer.assemble(fragments[:-1]) == stream(SPS, PPS)
    assert depacketizer.assemble([fragments[0], *fragments[2:]]) == stream(SPS, PPS)


@pytest.mark.parametrize("data", [stream(b"\xe5\x88"), stream(b"\x78\0\1\x65"), b"\0\0\0\5\x65abcd"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAccessError):
        H264Packetizer().packetize(data, 1200)


def test_an_empty_frame_is_no_packet() -> None:
    assert H264Packetizer().packetize(b"", 1200) == []


def test_key_frames_are_known() -> None:
    assert is_key_frame(stream(SPS, PPS, IDR))
    assert not is_key_frame(stream(SLICE))
    assert not is_key_frame(stream(SPS, PPS))
    assert not is_key_frame(b"")
    assert parse_frame_size(stream(SLICE)) is None
    with pytest.raises(MalformedError):
        parse_frame_size(b"\x65")


@given(st.binary(max_size=20))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    depacketizer = H264Depacketizer()
    with contextlib.suppress(MalformedError):
        depacketizer.assemble([depacketizer.parse(data)])
    with contextlib.suppress(MalformedError):
        parse_frame_size(START_CODE + b"\x67" + data)
