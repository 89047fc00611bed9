"""The two forms of RTP packets and of sequence numbers agree on every value, every refusal and every built byte."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from tests.twin.twins import pure_form, running_form

pytestmark = pytest.mark.twin

PACKET = (running_form("icelane.rtp.packet"), pure_form("icelane.rtp.packet"))
SEQUENCE = (running_form("icelane.rtp.sequence"), pure_form("icelane.rtp.sequence"))

FIELDS = ("payload_type", "marker", "sequence_number", "timestamp", "ssrc", "payload", "extensions", "csrcs")
SEEDS = [
    bytes.fromhex("9160 ffff 00000002 00000003 00000004 bede 0002 10303100 22aabbcc") + b"payload",
    bytes.fromhex("b060 ffff fffffff2 ffffff03 1000 0002 01000f03 aabbcc00") + b"payload\x02\x02",
    bytes.fromhex("8f60 0000 00000002 00000003") + bytes(60),
]


def told(module: ModuleType, data: bytes) -> object:
    """All that a parsed packet says and is written as, or the text of the refusal."""
    try:
        packet = module.parse_rtp_packet(data)
    except MalformedError as error:
        return str(error)
    values = [getattr(packet, field) for field in FIELDS]
    return values, packet.extension_profile, packet.padding_length, repr(packet), written(module, packet)


def written(module: ModuleType, packet: object) -> object:
    """The bytes of a packet, or the text of the refusal."""
    try:
        return module.serialize(packet)
    except InvalidAccessError as error:
        return str(error)


@given(seed=st.sampled_from(SEEDS), edits=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), max_size=8))
def test_both_forms_read_and_write_damaged_packets_alike(seed: bytes, edits: list[tuple[int, int]]) -> None:
    """SR-5."""
    data = bytearray(seed)
    for position, value in edits:
        data[position % len(data)] = value
    for cut in (len(data), edits[0][0] if edits else 0):
        first, second = (told(module, bytes(data[:cut])) for module in PACKET)
        assert first == second


@given(
    payload_type=st.integers(-1, 128),
    numbers=st.lists(st.integers(0, 0xFFFFFFFF), min_size=3, max_size=3),
    profile=st.sampled_from([0, 0xBEDE, 0x1000, 0x1003, 0x1234]),
    extensions=st.lists(st.tuples(st.integers(-1, 256), st.binary(max_size=20)), max_size=3),
    csrcs=st.integers(0, 16),
    padding=st.integers(-1, 256),
)
def test_both_forms_build_the_same_bytes(
    payload_type: int, numbers: list[int], profile: int, extensions: list[tuple[int, bytes]], csrcs: int, padding: int
) -> None:
    first, second = (
        written(
            module,
            module.RtpPacket(
                payload_type=payload_type,
                sequence_number=numbers[0] & 0xFFFFF,
                timestamp=numbers[1],
                ssrc=numbers[2],
                payload=b"x",
                extensions=list(extensions),
                csrcs=tuple(range(csrcs)),
                extension_profile=profile,
                padding_length=padding,
            ),
        )
        for module in PACKET
    )
    assert first == second


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=20), st.sampled_from([1 << 16, 1 << 32]))
def test_both_forms_count_alike(numbers: list[int], circle: int) -> None:
    unwrappers = [module.Unwrapper(circle) for module in SEQUENCE]
    for number in numbers:
        first, second = (unwrapper.unwrap(number % circle) for unwrapper in unwrappers)
        assert first == second
    for one, other in pairwise(numbers):
        first, second = (
            (
                module.sequence_distance(one & 0xFFFF, other & 0xFFFF),
                module.timestamp_distance(one, other),
            )
            for module in SEQUENCE
        )
        assert first == second
