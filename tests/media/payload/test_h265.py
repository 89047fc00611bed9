"""H.265 in packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.h265 import H265Depacketizer, H265Packetizer, is_key_frame, parse_frame_size
from icelane.media.payload.nal_unit import START_CODE
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE, Fragment
from tests.media.payload.trips import trip

VPS, SPS, PPS = b"\x40\x01vps", b"\x42\x01sps", b"\x44\x01pps"
IDR = b"\x26\x01\xaf" + b"intra" * 10  # type 19
SLICE = b"\x02\x01\xd0" + b"inter" * 10  # type 1
SECOND_SLICE = b"\x02\x01\x40" + b"later" * 10  # first_slice_segment_in_pic_flag is not set


def stream(*units: bytes) -> bytes:
    return b"".join(START_CODE + unit for unit in units)


contents = st.binary(max_size=400).map(lambda data: data.replace(b"\0", b"\2"))
units = st.tuples(st.integers(0, 47), st.integers(0, 63), st.integers(1, 7), contents).map(
    lambda parts: bytes((parts[0] << 1 | parts[1] >> 5, (parts[1] & 0x1F) << 3 | parts[2])) + parts[3]
)
frames = st.lists(units, min_size=1, max_size=12)


@given(frames, st.integers(MIN_PAYLOAD_SIZE, 1500))
def test_a_frame_comes_back_at_every_size(frame: list[bytes], max_size: int) -> None:
    depacketizer = H265Depacketizer()
    payloads = H265Packetizer().packetize(stream(*frame), max_size)
    assert all(0 < len(payload) <= max_size for payload in payloads)
    assert depacketizer.assemble([depacketizer.parse(payload) for payload in payloads]) == stream(*frame)


def test_parameter_sets_share_a_packet_and_the_picture_is_fragmented() -> None:
    """RFC 7798 sections 4.4.2 and 4.4.3."""
    first, *others = H265Packetizer().packetize(stream(VPS, SPS, PPS, IDR), MIN_PAYLOAD_SIZE)
    assert first == b"\x60\x01" + b"\0\5" + VPS + b"\0\5" + SPS + b"\0\5" + PPS
    assert [payload[:3].hex() for payload in others] == ["620193", "620153"]
    assert b"".join(payload[3:] for payload in others) == IDR[2:]


def test_an_aggregation_packet_has_the_lowest_layer_and_temporal_id() -> None:
    units = (b"\x03\x0ba", b"\x02\x13b")  # layer 33 and TID 3; layer 2 and TID 3
    (payload,) = H265Packetizer().packetize(stream(*units), 100)
    assert payload[:2] == bytes((48 << 1, 2 << 3 | 3))
    (payload,) = H265Packetizer().packetize(stream(units[0], units[0]), 100)
    assert payload[:2] == bytes((48 << 1 | 1, 1 << 3 | 3))
    assert H265Depacketizer().parse(payload).temporal_layer == 2


def test_a_fragment_keeps_layer_and_temporal_id() -> None:
    unit = b"\x03\x0b\x80" + b"x" * 100
    payloads = H265Packetizer().packetize(stream(unit), MIN_PAYLOAD_SIZE)
    assert {payload[:2] for payload in payloads} == {bytes((49 << 1 | 1, 0x0B))}
    fragments = trip(H265Packetizer(), H265Depacketizer(), stream(unit), MIN_PAYLOAD_SIZE)
    assert {fragment.temporal_layer for fragment in fragments} == {2}
    assert H265Depacketizer().assemble(fragments) == stream(unit)


@pytest.mark.parametrize(
    ("unit", "begins", "key"),
    [
        (VPS, True, None),
        (SPS, True, None),
        (PPS, True, None),
        (b"\x46\x01\x50", True, None),  # delimiter
        (b"\x4e\x01\x05", True, None),  # prefix SEI
        (b"\x50\x01\x05", False, None),  # suffix SEI
        (IDR, True, True),
        (b"\x2a\x01\xaf", True, True),  # CRA
        (b"\x20\x01\x40", False, True),  # a later slice of a BLA picture
        (SLICE, True, False),
        (SECOND_SLICE, False, False),
        (b"\x02\x01", False, False),
    ],
)
def test_where_a_frame_may_begin(unit: bytes, begins: bool, key: bool | None) -> None:
    depacketizer = H265Depacketizer()
    fragment = depacketizer.parse(unit)
    assert (fragment.begins_frame, fragment.is_key, fragment.ends_frame) == (begins, key, False)
    if len(unit) > 2:
        fu = bytes((49 << 1, 1, 0x80 | unit[0] >> 1))
        fragment = depacketizer.parse(fu + unit[2:])
        assert (fragment.begins_frame, fragment.is_key) == (begins, key)
        assert not depacketizer.parse(bytes((fu[0], fu[1], fu[2] & 0x3F)) + unit[2:]).begins_frame


def test_a_key_frame_in_one_packet_is_read() -> None:
    (fragment,) = trip(H265Packetizer(), H265Depacketizer(), stream(VPS, SPS, PPS, IDR), 1200)
    assert fragment == Fragment((VPS, SPS, PPS, IDR), True, is_key=True)


@pytest.mark.parametrize(
    "payload",
    [
        "", "26", "a601", "2600",  # too short; the forbidden bit; no temporal id
        "6401 0000", "6601", "7e01",  # PACI, and types that nothing has
        "6001", "6001 00", "6001 0001 26", "6001 0003 2601", "6001 0002 6001", "6001 0002 2600",
        "6201", "620193", "6201b0 88",
    ],
)  # fmt: skip
def test_what_we_never_agree_on_is_malformed(payload: str) -> None:
    with pytest.raises(MalformedError):
        H265Depacketizer().parse(bytes.fromhex(payload))


@pytest.mark.parametrize("data", [stream(b"\x26"), stream(b"\x60\x01abc"), b"\x26\x01"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAccessError):
        H265Packetizer().packetize(data, 1200)


def test_an_empty_frame_is_no_packet() -> None:
    assert H265Packetizer().packetize(b"", 1200) == []


def test_key_frames_are_known() -> None:
    assert is_key_frame(stream(VPS, SPS, PPS, IDR))
    assert not is_key_frame(stream(SLICE))
    assert not is_key_frame(b"")
    assert parse_frame_size(stream(SLICE)) is None
    with pytest.raises(MalformedError):
        parse_frame_size(b"\x26")


@given(st.binary(max_size=20))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    depacketizer = H265Depacketizer()
    with contextlib.suppress(MalformedError):
        depacketizer.assemble([depacketizer.parse(data)])
    with contextlib.suppress(MalformedError):
        parse_frame_size(START_CODE + b"\x42\x01" + data)
