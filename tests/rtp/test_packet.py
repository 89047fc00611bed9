from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.packet import (
    MAX_EXTENSIONS,
    ONE_BYTE_PROFILE,
    TWO_BYTE_PROFILE,
    RtpPacket,
    parse_rtp_packet,
    serialize,
)

HEAD = bytes.fromhex("0064 00010203 0a0b0c0d")


def packet_of(first: int, rest: bytes = b"", marker_and_type: int = 0x60) -> bytes:
    """A packet whose first byte is `first`, with `rest` behind the fixed header."""
    return bytes((first, marker_and_type)) + HEAD + rest


def fields(packet: RtpPacket) -> tuple[object, ...]:
    """All that a packet says."""
    return (
        packet.payload_type,
        packet.marker,
        packet.sequence_number,
        packet.timestamp,
        packet.ssrc,
        packet.csrcs,
        packet.extension_profile,
        packet.extensions,
        packet.payload,
        packet.padding_length,
    )


def test_the_fixed_header_is_read_field_by_field() -> None:
    packet = parse_rtp_packet(packet_of(0x80, b"payload", 0xE0))
    assert fields(packet) == (0x60, True, 100, 0x00010203, 0x0A0B0C0D, (), 0, [], b"payload", 0)
    assert repr(packet) == "RtpPacket(payload_type=96, sequence_number=100, timestamp=66051, ssrc=0x0a0b0c0d, 7 bytes)"
    assert serialize(packet) == packet_of(0x80, b"payload", 0xE0)


def test_fifteen_contributing_sources_are_read() -> None:
    """SR-5: CSRC 15."""
    packet = parse_rtp_packet(packet_of(0x8F, b"".join(n.to_bytes(4, "big") for n in range(15)) + b"x"))
    assert packet.csrcs == tuple(range(15))
    assert packet.payload == b"x"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(packet_of(0x80)[:11], id="a byte less than a header"),
        pytest.param(packet_of(0x00), id="version 0"),
        pytest.param(packet_of(0xC0), id="version 3"),
        pytest.param(packet_of(0x8F, bytes(59)), id="15 sources, a byte short"),
        pytest.param(packet_of(0x90, b"\xbe\xde\x00"), id="extension header cut"),
        pytest.param(packet_of(0x90, b"\xbe\xde\x00\x02" + bytes(7)), id="extension longer than the packet"),
        pytest.param(packet_of(0x90, b"\xbe\xde\xff\xff" + bytes(8)), id="extension of 65,535 words"),
        pytest.param(packet_of(0x90, b"\xbe\xde\x00\x01\x13abc"), id="element of one byte longer than its extension"),
        pytest.param(packet_of(0x90, b"\x10\x00\x00\x01\x01\x03ab"), id="element of two bytes longer"),
        pytest.param(packet_of(0x90, b"\x10\x00\x00\x01\x00\x00\x00\x01"), id="element of two bytes without length"),
        pytest.param(packet_of(0xA0, b"\x00"), id="padding of no length"),
        pytest.param(packet_of(0xA0), id="padding without a byte"),
        pytest.param(packet_of(0xA0, b"\x02"), id="padding longer than the payload"),
        pytest.param(packet_of(0xB0, b"\xbe\xde\x00\x01\x10ab\x05x\x03"), id="padding into the extension"),
        pytest.param(packet_of(0x90, b"\x10\x00\x00\x80" + b"\x01\x00" * 256), id="more elements than there can be"),
    ],
)
def test_a_lie_about_a_length_is_malformed(data: bytes) -> None:
    """SR-5: padding > length, CSRC 15, extensions: a typed error, nothing else."""
    with pytest.raises(MalformedError):
        parse_rtp_packet(data)


def test_padding_is_taken_off_and_put_back() -> None:
    packet = parse_rtp_packet(packet_of(0xA0, b"ab\x00\x00\x03"))
    assert (packet.payload, packet.padding_length) == (b"ab", 3)
    assert serialize(packet) == packet_of(0xA0, b"ab\x00\x00\x03")


def test_a_packet_of_padding_alone_has_no_payload() -> None:
    packet = parse_rtp_packet(packet_of(0xA0, bytes(254) + b"\xff"))
    assert (packet.payload, packet.padding_length) == (b"", 255)


def test_elements_of_one_byte_stand_between_padding() -> None:
    packet = parse_rtp_packet(packet_of(0x90, b"\xbe\xde\x00\x02" + b"\x10A\x00\x21BC\x00\x00" + b"x"))
    assert packet.extension_profile == ONE_BYTE_PROFILE
    assert packet.extensions == [(1, b"A"), (2, b"BC")]
    assert packet.payload == b"x"


@pytest.mark.parametrize("ends", [b"\xf0", b"\x03"])
def test_what_follows_a_reserved_identifier_does_not_count(ends: bytes) -> None:
    """RFC 8285 section 4.2: 15 ends the elements, and so does 0 with a length."""
    packet = parse_rtp_packet(packet_of(0x90, b"\xbe\xde\x00\x02\x10A" + ends + b"\x10B\x00\x00\x00"))
    assert packet.extensions == [(1, b"A")]


@pytest.mark.parametrize("profile", [0x1000, 0x1005, 0x100F])
def test_elements_of_two_bytes_may_be_empty(profile: int) -> None:
    rest = profile.to_bytes(2, "big") + b"\x00\x02" + b"\x0f\x00\x00\xff\x03ABC"
    packet = parse_rtp_packet(packet_of(0x90, rest))
    assert packet.extension_profile == profile
    assert packet.extensions == [(15, b""), (255, b"ABC")]
    assert parse_rtp_packet(serialize(packet)).extensions == packet.extensions
    assert parse_rtp_packet(serialize(packet)).extension_profile == profile


def test_an_extension_of_another_profile_stays_as_it_came() -> None:
    data = packet_of(0x90, b"\x12\x34\x00\x01abcdx")
    packet = parse_rtp_packet(data)
    assert packet.extension_profile == 0x1234
    assert packet.extensions == [(0, b"abcd")]
    assert serialize(packet) == data


def test_an_extension_of_profile_zero_is_skipped() -> None:
    packet = parse_rtp_packet(packet_of(0x90, b"\x00\x00\x00\x01abcdx"))
    assert (packet.extension_profile, packet.extensions, packet.payload) == (0, [], b"x")


@pytest.mark.parametrize(
    ("elements", "profile"),
    [
        ([(1, b"a"), (14, bytes(16))], ONE_BYTE_PROFILE),
        ([(15, b"a")], TWO_BYTE_PROFILE),
        ([(1, b"")], TWO_BYTE_PROFILE),
        ([(1, bytes(17))], TWO_BYTE_PROFILE),
        ([(255, bytes(255))], TWO_BYTE_PROFILE),
    ],
)
def test_headers_of_two_bytes_are_written_only_where_needed(elements: list[tuple[int, bytes]], profile: int) -> None:
    written = parse_rtp_packet(serialize(RtpPacket(extensions=elements, payload=b"x")))
    assert (written.extension_profile, written.extensions, written.payload) == (profile, elements, b"x")


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(payload_type=128),
        RtpPacket(padding_length=256),
        RtpPacket(csrcs=tuple(range(16))),
        RtpPacket(extensions=[(0, b"a")]),
        RtpPacket(extensions=[(256, b"a")]),
        RtpPacket(extensions=[(1, bytes(256))]),
        RtpPacket(extensions=[(1, b"a")] * (MAX_EXTENSIONS + 1)),
        RtpPacket(extension_profile=0x1234, extensions=[(0, b"abc")]),
        RtpPacket(extension_profile=0x1234, extensions=[(1, b"abcd")]),
    ],
)
def test_what_does_not_fit_is_refused(packet: RtpPacket) -> None:
    with pytest.raises(InvalidAccessError):
        serialize(packet)


def test_an_element_is_found_and_replaced_in_its_place() -> None:
    packet = RtpPacket(extensions=[(1, b"a"), (2, b"b")])
    assert packet.extension(2) == b"b"
    assert packet.extension(3) is None
    packet.set_extension(1, b"c")
    packet.set_extension(3, b"d")
    assert packet.extensions == [(1, b"c"), (2, b"b"), (3, b"d")]


def test_two_packets_do_not_share_their_elements() -> None:
    one, other = RtpPacket(), RtpPacket()
    one.set_extension(1, b"a")
    assert other.extensions == []


packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extensions=st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=20)), max_size=5),
    payload=st.binary(max_size=64),
    padding_length=st.integers(0, 255),
)


@given(packets)
def test_what_is_written_is_read_again(packet: RtpPacket) -> None:
    read = parse_rtp_packet(serialize(packet))
    if packet.extensions:
        packet.extension_profile = read.extension_profile
    assert fields(read) == fields(packet)
