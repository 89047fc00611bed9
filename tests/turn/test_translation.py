"""Send and Data indications (RFC 8656 section 11)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.stun.attributes import AttributeType, encode_xor_address
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.attributes import IcmpError
from icelane.turn.channel_data import encode_channel_data
from icelane.turn.translation import (
    DataIndication,
    SendIndication,
    build_data_indication,
    build_icmp_indication,
    build_send_indication,
    is_send_indication,
    parse_data_indication,
    parse_send_indication,
)

ID = b"transaction!"
PEERS = [SocketAddress("8.8.8.8", 53), SocketAddress("2606:4700::1111", 65535)]
PEER = (AttributeType.XOR_PEER_ADDRESS, encode_xor_address(PEERS[0], ID))
OTHER = (AttributeType.XOR_PEER_ADDRESS, encode_xor_address(PEERS[1], ID))
DATA = (AttributeType.DATA, b"data")
peers = st.sampled_from(PEERS)


def indication(method: Method, *attributes: tuple[int, bytes]) -> bytes:
    builder = MessageBuilder(method, MessageClass.INDICATION, ID)
    for attribute in attributes:
        builder.add(*attribute)
    return builder.build()


@given(peers, st.binary(max_size=1500), st.binary(min_size=12, max_size=12), st.booleans())
def test_a_send_indication_is_read_as_it_was_built(
    peer: SocketAddress, payload: bytes, transaction_id: bytes, dont_fragment: bool
) -> None:
    data = build_send_indication(peer, payload, transaction_id, dont_fragment)
    assert is_send_indication(data)
    assert parse_send_indication(data) == SendIndication(peer, payload, dont_fragment)


@given(peers, st.binary(max_size=1500), st.binary(min_size=12, max_size=12))
def test_a_data_indication_is_read_as_it_was_built(peer: SocketAddress, payload: bytes, transaction_id: bytes) -> None:
    data = build_data_indication(peer, payload, transaction_id)
    assert not is_send_indication(data)
    assert parse_data_indication(parse_message(data)) == DataIndication(peer, payload, None)


@given(peers, st.integers(0, 127), st.integers(0, 511), st.integers(0, 0xFFFFFFFF))
def test_an_icmp_error_is_read_as_it_was_built(peer: SocketAddress, kind: int, code: int, data: int) -> None:
    """RFC 8656 section 11.5."""
    error = IcmpError(kind, code, data)
    message = parse_message(build_icmp_indication(peer, error, ID))
    assert parse_data_indication(message) == DataIndication(peer, b"", error)


@pytest.mark.parametrize("peer", PEERS)
def test_no_payload_and_the_largest_payload_are_payloads(peer: SocketAddress) -> None:
    """TR-14."""
    assert parse_send_indication(build_send_indication(peer, b"", ID)).payload == b""
    largest = bytes(65_535 - len(build_send_indication(peer, b"", ID, dont_fragment=True)) - 3)
    assert parse_send_indication(build_send_indication(peer, largest, ID, dont_fragment=True)).payload == largest
    for build in (build_send_indication, build_data_indication):
        with pytest.raises(ValueError, match="65535"):
            build(peer, bytes(65_507), ID)


def test_the_first_peer_and_the_first_payload_count() -> None:
    """ST-9: also in Send, where the second could be one that the policy never saw."""
    data = indication(Method.SEND, PEER, OTHER, DATA, (AttributeType.DATA, b"more"))
    assert parse_send_indication(data) == SendIndication(PEERS[0], b"data", False)
    message = parse_message(indication(Method.DATA, PEER, OTHER, DATA, (AttributeType.DATA, b"more")))
    assert parse_data_indication(message) == DataIndication(PEERS[0], b"data", None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x16",
        indication(Method.SEND),
        indication(Method.SEND, PEER),
        indication(Method.SEND, DATA),
        indication(Method.SEND, DATA, (AttributeType.XOR_PEER_ADDRESS, b"\0\1\0\0")),
        indication(Method.SEND, DATA, (AttributeType.XOR_PEER_ADDRESS, b"\0\3\0\0\0\0\0\0")),
        indication(Method.SEND, PEER, DATA, (AttributeType.DONT_FRAGMENT, b"\0")),
        indication(Method.SEND, PEER, DATA, (0x7FFF, b"")),
        indication(Method.SEND, PEER, DATA, (AttributeType.LIFETIME, bytes(4))),
        indication(Method.DATA, PEER, DATA),
        MessageBuilder(Method.SEND, MessageClass.REQUEST, ID).add(*PEER).add(*DATA).build(),
        indication(Method.SEND, PEER, DATA) + b"\0",
        indication(Method.SEND, PEER, DATA)[:-1],
        encode_channel_data(0x4000, b"data"),
    ],
)
def test_what_is_not_a_whole_send_indication_is_malformed(data: bytes) -> None:
    """ST-8, FZ-1: RFC 8656 section 11.2 has it discarded in silence."""
    with pytest.raises(MalformedError):
        parse_send_indication(data)


def test_a_fingerprint_is_checked_where_there_is_one() -> None:
    """RFC 8489 section 14.7: and what stands behind it does not exist."""
    builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, ID).add(*PEER).add(*DATA)
    good = builder.add_fingerprint().build()
    assert parse_send_indication(good) == SendIndication(PEERS[0], b"data", False)
    for place in (len(good) - 1, good.index(b"data"), 8):
        damaged = bytearray(good)
        damaged[place] ^= 1
        with pytest.raises(MalformedError, match="FINGERPRINT"):
            parse_send_indication(bytes(damaged))
    with pytest.raises(MalformedError, match="FINGERPRINT"):
        parse_send_indication(indication(Method.SEND, PEER, DATA, (AttributeType.FINGERPRINT, bytes(4))))


def test_what_is_optional_and_unknown_is_skipped() -> None:
    data = indication(Method.SEND, (AttributeType.SOFTWARE, b"x"), PEER, (0xFFFF, b"?"), DATA)
    assert parse_send_indication(data).payload == b"data"


@pytest.mark.parametrize(
    "attributes", [[], [PEER], [DATA], [PEER, (AttributeType.ICMP, b"\0" * 7)], [PEER, DATA, (0x7FFF, b"")]]
)
def test_what_is_not_a_whole_data_indication_is_malformed(attributes: list[tuple[int, bytes]]) -> None:
    with pytest.raises(MalformedError):
        parse_data_indication(parse_message(indication(Method.DATA, *attributes)))


@given(st.binary(max_size=100), st.integers(0, 60), st.integers(0, 255))
def test_damage_is_malformed_and_nothing_else(payload: bytes, place: int, change: int) -> None:
    """FZ-1."""
    damaged = bytearray(build_send_indication(PEERS[0], payload, ID))
    damaged[place % len(damaged)] ^= change
    with suppress(MalformedError):
        parse_send_indication(bytes(damaged))
