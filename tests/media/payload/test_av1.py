"""AV1 in packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.av1 import Av1Depacketizer, Av1Packetizer, is_key_frame, parse_frame_size
from icelane.media.payload.obu import encode_temporal_unit
from icelane.media.payload.packetizer import MAX_UNITS, MIN_PAYLOAD_SIZE, Fragment
from tests.media.payload.trips import trip

SEQUENCE = bytes.fromhex("0800000004 3d9f7f00")  # without a length, as in packets
KEY = b"\x30\x10" + b"intra" * 10
DELTA = b"\x30\x30" + b"inter" * 10
DELIMITER = b"\x12\0"


def unit_of(kind: int, extension: int | None, content: bytes) -> bytes:
    head = bytes((kind << 3,)) if extension is None else bytes((kind << 3 | 4, extension))
    return head + content


kinds = st.sampled_from([1, 3, 4, 5, 6, 7, 15])
layers = st.sampled_from([None, None, 0, 0x20, 0x08])
frames = st.lists(st.builds(unit_of, kinds, layers, st.binary(max_size=400)), min_size=1, max_size=12)


@given(frames, st.integers(MIN_PAYLOAD_SIZE, 1500))
def test_a_temporal_unit_comes_back_at_every_size(units: list[bytes], max_size: int) -> None:
    depacketizer = Av1Depacketizer()
    data = encode_temporal_unit(units)
    payloads = Av1Packetizer().packetize(DELIMITER + data, max_size)
    assert all(1 < len(payload) <= max_size for payload in payloads)
    fragments = [depacketizer.parse(payload) for payload in payloads]
    assert depacketizer.assemble(fragments) == data
    assert [fragment.continues for fragment in fragments[1:]] == [fragment.is_continued for fragment in fragments[:-1]]
    assert not fragments[0].continues
    assert not fragments[-1].is_continued


def test_many_small_obus_come_back() -> None:
    units = [unit_of(5, None, bytes((index & 0xFF,))) for index in range(3 * MAX_UNITS)]
    fragments = trip(Av1Packetizer(), Av1Depacketizer(), encode_temporal_unit(units), 1200)
    assert [len(fragment.pieces) for fragment in fragments] == [MAX_UNITS] * 3
    assert Av1Depacketizer().assemble(fragments) == encode_temporal_unit(units)


def test_a_key_frame_has_n_in_its_first_packet() -> None:
    """Section 4.4: Z, Y, W and N; the last element has no length."""
    packetizer = Av1Packetizer()
    (whole,) = packetizer.packetize(DELIMITER + encode_temporal_unit([SEQUENCE, KEY]), 1200)
    assert whole == b"\x28" + b"\x09" + SEQUENCE + KEY
    first, second = packetizer.packetize(encode_temporal_unit([SEQUENCE, KEY]), MIN_PAYLOAD_SIZE)
    assert first == b"\x68" + b"\x09" + SEQUENCE + KEY[:21]
    assert second == b"\x90" + KEY[21:]
    assert packetizer.packetize(encode_temporal_unit([DELTA]), 1200) == [b"\x10" + DELTA]


def test_more_than_three_obus_all_have_lengths() -> None:
    units = [SEQUENCE, b"\x28\x01", b"\x28\x02", KEY]
    (payload,) = Av1Packetizer().packetize(encode_temporal_unit(units), 1200)
    assert payload == b"\x08" + b"".join(bytes((len(unit),)) + unit for unit in units)


def test_layers_do_not_share_a_packet() -> None:
    """Section 5: what has an extension header has the same one within a packet."""
    units = [SEQUENCE, unit_of(6, 0, b"\x10base"), unit_of(6, 0x08, b"\x30upper"), unit_of(4, 0x08, b"tiles")]
    fragments = trip(Av1Packetizer(), Av1Depacketizer(), encode_temporal_unit(units), 1200)
    assert [fragment.pieces for fragment in fragments] == [tuple(units[:2]), tuple(units[2:])]
    assert [fragment.begins_frame for fragment in fragments] == [True, False]
    assert [fragment.spatial_layer for fragment in fragments] == [0, 1]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        # As Chromium sends a key frame: N, two elements, the last one going on in the next packet.
        (b"\x68\x09" + SEQUENCE + KEY, Fragment((SEQUENCE, KEY), True, is_key=True, is_continued=True)),
        (b"\xd0" + KEY, Fragment((KEY,), False, continues=True, is_continued=True)),
        (b"\x90" + KEY, Fragment((KEY,), False, continues=True)),
        (b"\x10" + DELTA, Fragment((DELTA,), True, is_key=False)),
        (b"\x10\x34\x20" + DELTA, Fragment((b"\x34\x20" + DELTA,), True, is_key=False, temporal_layer=1)),
        (b"\x10\x34\x48" + DELTA, Fragment((b"\x34\x48" + DELTA,), False, temporal_layer=2, spatial_layer=1)),
        (b"\x10\x20tiles", Fragment((b"\x20tiles",), False)),  # a tile group does not begin a temporal unit
        (b"\x00\x02\x28\x01\x03\x28\x02\x03", Fragment((b"\x28\x01", b"\x28\x02\x03"), True, is_key=False)),
    ],
)
def test_packets_of_every_form_are_read(payload: bytes, expected: Fragment) -> None:
    assert Av1Depacketizer().parse(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        "", "10", "9830 10", "88 01 30",  # N within an OBU
        "20 01 30", "30 01 30 01 30", "20 05 3010", "00 05 3010", "00 00", "20 00 30", "00 80",
    ],
)  # fmt: skip
def test_packets_whose_counts_or_lengths_lie_are_malformed(payload: str) -> None:
    with pytest.raises(MalformedError):
        Av1Depacketizer().parse(bytes.fromhex(payload))


def test_more_obus_than_the_bound_are_malformed() -> None:
    element = b"\x02\x28\x01"
    assert len(Av1Depacketizer().parse(b"\0" + element * MAX_UNITS).pieces) == MAX_UNITS
    with pytest.raises(MalformedError, match="OBUs"):
        Av1Depacketizer().parse(b"\0" + element * (MAX_UNITS + 1))


def test_delimiters_and_tile_lists_of_a_sender_are_ignored() -> None:
    depacketizer = Av1Depacketizer()
    fragments = [depacketizer.parse(b"\x20\x01\x10" + KEY), depacketizer.parse(b"\x10\x40list")]
    assert depacketizer.assemble(fragments) == encode_temporal_unit([KEY])
    with pytest.raises(MalformedError):
        depacketizer.assemble(fragments[1:])


@pytest.mark.parametrize("data", [b"\x32\x05\x01", b"\xb2\x00"])
def test_what_is_no_temporal_unit_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAccessError):
        Av1Packetizer().packetize(data, 1200)


def test_a_temporal_unit_without_anything_to_carry_is_no_packet() -> None:
    assert Av1Packetizer().packetize(b"", 1200) == []
    assert Av1Packetizer().packetize(DELIMITER, 1200) == []


def test_a_sequence_begins_with_its_header_and_a_key_frame() -> None:
    assert is_key_frame(encode_temporal_unit([SEQUENCE, KEY]))
    assert is_key_frame(encode_temporal_unit([b"\x08\x18", b"\x30\x7f"]))  # a still picture
    assert not is_key_frame(encode_temporal_unit([KEY]))
    assert not is_key_frame(encode_temporal_unit([SEQUENCE, DELTA]))
    assert not is_key_frame(encode_temporal_unit([SEQUENCE]))
    assert not is_key_frame(b"")
    assert not is_key_frame(b"\x32\x05")
    assert parse_frame_size(encode_temporal_unit([DELTA])) is None


@given(st.binary(max_size=20))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    depacketizer = Av1Depacketizer()
    with contextlib.suppress(MalformedError):
        depacketizer.assemble([depacketizer.parse(data)])
    with contextlib.suppress(MalformedError):
        parse_frame_size(data)
