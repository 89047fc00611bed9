"""The message parser and every attribute parser, on a datagram."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.stun import attributes as stun
from icelane.stun.attributes import AttributeType
from icelane.stun.integrity import has_well_formed_integrity
from icelane.stun.message import looks_like_stun, parse_message
from icelane.turn import attributes as turn
from tests.vectors import stun as vectors

SEEDS = [
    vectors.SAMPLE_REQUEST,
    vectors.SAMPLE_IPV4_RESPONSE,
    vectors.SAMPLE_IPV6_RESPONSE,
    vectors.SAMPLE_LONG_TERM_REQUEST,
    vectors.B1_REQUEST,
    bytes.fromhex("00010000 2112a442 000000000000000000000000"),
    bytes.fromhex("00010010 2112a442 000000000000000000000000 00030004 00000006 00270004 9c400000"),
]

PARSERS: dict[int, Callable[[bytes], object]] = {
    AttributeType.MAPPED_ADDRESS: stun.parse_address,
    AttributeType.ALTERNATE_SERVER: stun.parse_address,
    AttributeType.RESPONSE_ORIGIN: stun.parse_address,
    AttributeType.OTHER_ADDRESS: stun.parse_address,
    AttributeType.CHANGE_REQUEST: stun.parse_change_request,
    AttributeType.RESPONSE_PORT: stun.parse_response_port,
    AttributeType.USERNAME: lambda value: stun.parse_text(value, stun.MAX_USERNAME),
    AttributeType.REALM: stun.parse_text,
    AttributeType.NONCE: stun.parse_text,
    AttributeType.SOFTWARE: stun.parse_text,
    AttributeType.ALTERNATE_DOMAIN: lambda value: stun.parse_text(value, stun.MAX_DOMAIN),
    AttributeType.ERROR_CODE: stun.parse_error_code,
    AttributeType.UNKNOWN_ATTRIBUTES: stun.parse_unknown_attributes,
    AttributeType.LIFETIME: stun.parse_uint32,
    AttributeType.PRIORITY: stun.parse_uint32,
    AttributeType.ICE_CONTROLLED: stun.parse_uint64,
    AttributeType.ICE_CONTROLLING: stun.parse_uint64,
    AttributeType.USERHASH: stun.parse_userhash,
    AttributeType.USE_CANDIDATE: stun.parse_flag,
    AttributeType.DONT_FRAGMENT: stun.parse_flag,
    AttributeType.PASSWORD_ALGORITHM: stun.parse_password_algorithm,
    AttributeType.PASSWORD_ALGORITHMS: stun.parse_password_algorithms,
    AttributeType.CHANNEL_NUMBER: turn.parse_channel_number,
    AttributeType.REQUESTED_TRANSPORT: turn.parse_requested_transport,
    AttributeType.REQUESTED_ADDRESS_FAMILY: turn.parse_address_family,
    AttributeType.ADDITIONAL_ADDRESS_FAMILY: turn.parse_address_family,
    AttributeType.EVEN_PORT: turn.parse_even_port,
    AttributeType.RESERVATION_TOKEN: turn.parse_reservation_token,
    AttributeType.ADDRESS_ERROR_CODE: turn.parse_address_error_code,
    AttributeType.ICMP: turn.parse_icmp,
}
XORED = {AttributeType.XOR_MAPPED_ADDRESS, AttributeType.XOR_PEER_ADDRESS, AttributeType.XOR_RELAYED_ADDRESS}


def run(data: bytes) -> Hashable:
    """The kinds of attribute that were read, and which of them were refused."""
    message = parse_message(data)
    assert looks_like_stun(data) == (data[0] < 4)
    assert message.raw == data
    repr(message)
    has_well_formed_integrity(message)
    message.unknown_required(PARSERS)
    outcomes = []
    for kind, value in message.attributes:
        try:
            if kind in XORED:
                assert isinstance(stun.parse_xor_address(value, message.transaction_id), SocketAddress)
            elif kind in PARSERS:
                PARSERS[kind](value)
            outcomes.append(kind)
        except MalformedError:
            outcomes.append(-kind)
    return tuple(sorted(set(outcomes)))
