"""Requests as complete values: what a client asks for, or the Refusal it gets for asking wrongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.errors import MalformedError
from icelane.stun.attributes import AttributeType, parse_flag, parse_uint32, parse_xor_address
from icelane.stun.message import Message, Method
from icelane.turn.attributes import (
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    parse_address_family,
    parse_channel_number,
    parse_even_port,
    parse_requested_transport,
    parse_reservation_token,
)
from icelane.turn.channel_data import MAX_LEGACY_CHANNEL_NUMBER, MIN_CHANNEL_NUMBER
from icelane.turn.refusal import Refusal
from icelane.turn.routes import ConnectionId

T = TypeVar("T")

_CREDENTIALS: Final = frozenset(
    {
        AttributeType.USERNAME,
        AttributeType.USERHASH,
        AttributeType.REALM,
        AttributeType.NONCE,
        AttributeType.MESSAGE_INTEGRITY,
        AttributeType.MESSAGE_INTEGRITY_SHA256,
        AttributeType.PASSWORD_ALGORITHM,
    }
)
_ALLOCATE: Final = _CREDENTIALS | {
    AttributeType.REQUESTED_TRANSPORT,
    AttributeType.REQUESTED_ADDRESS_FAMILY,
    AttributeType.LIFETIME,
    AttributeType.EVEN_PORT,
    AttributeType.RESERVATION_TOKEN,
}
_ALLOCATE_UNFRAGMENTED: Final = _ALLOCATE | {AttributeType.DONT_FRAGMENT}

# RFC 6062 section 5.1: what an Allocate for a TCP relay must not carry.
_UDP_ONLY: Final = (AttributeType.DONT_FRAGMENT, AttributeType.EVEN_PORT, AttributeType.RESERVATION_TOKEN)

KNOWN: Final[dict[int, frozenset[int]]] = {
    Method.BINDING: _CREDENTIALS,
    Method.REFRESH: _CREDENTIALS | {AttributeType.LIFETIME, AttributeType.REQUESTED_ADDRESS_FAMILY},
    Method.CREATE_PERMISSION: _CREDENTIALS | {AttributeType.XOR_PEER_ADDRESS},
    Method.CHANNEL_BIND: _CREDENTIALS | {AttributeType.XOR_PEER_ADDRESS, AttributeType.CHANNEL_NUMBER},
    Method.CONNECT: _CREDENTIALS | {AttributeType.XOR_PEER_ADDRESS},
    Method.CONNECTION_BIND: _CREDENTIALS | {AttributeType.CONNECTION_ID},
}
"""The comprehension-required attributes that each method understands; Allocate depends on the plane, see `known_in`."""


_ALLOCATE_METHOD: Final = int(Method.ALLOCATE)


def known_in(method: int, dont_fragment: bool) -> frozenset[int]:
    """The comprehension-required attributes that a request of `method` may carry.

    RFC 8656 section 7.2: a server that cannot set the DF bit treats DONT-FRAGMENT as unknown.
    """
    if method == _ALLOCATE_METHOD:
        return _ALLOCATE_UNFRAGMENTED if dont_fragment else _ALLOCATE
    return KNOWN[method]


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_ADDITIONAL_ADDRESS_FAMILY: Final = AttributeType.ADDITIONAL_ADDRESS_FAMILY
_CHANNEL_NUMBER: Final = AttributeType.CHANNEL_NUMBER
_CONNECTION_ID: Final = AttributeType.CONNECTION_ID
_DONT_FRAGMENT: Final = AttributeType.DONT_FRAGMENT
_DRAFT_ADDITIONAL_ADDRESS_FAMILY: Final = AttributeType.DRAFT_ADDITIONAL_ADDRESS_FAMILY
_EVEN_PORT: Final = AttributeType.EVEN_PORT
_IPV4: Final = AddressFamily.IPV4
_IPV6: Final = AddressFamily.IPV6
_LIFETIME: Final = AttributeType.LIFETIME
_REQUESTED_ADDRESS_FAMILY: Final = AttributeType.REQUESTED_ADDRESS_FAMILY
_REQUESTED_TRANSPORT: Final = AttributeType.REQUESTED_TRANSPORT
_RESERVATION_TOKEN: Final = AttributeType.RESERVATION_TOKEN
_XOR_PEER_ADDRESS: Final = AttributeType.XOR_PEER_ADDRESS


@dataclass(kw_only=True, unsafe_hash=True)
class AllocateRequest:
    """`family` is that of the first relayed address; `additional` asks for an IPv6 one beside an IPv4 one.

    `draft_numbers` says that the client knows the second family by the attribute numbers of before RFC 8656, `tcp` that
    it wants to reach peers by TCP.
    """

    __slots__ = (
        "additional",
        "draft_numbers",
        "even_port",
        "family",
        "lifetime",
        "reservation_token",
        "reserve_next",
        "tcp",
    )

    tcp: bool
    family: AddressFamily
    additional: bool
    draft_numbers: bool
    lifetime: int | None
    even_port: bool
    reserve_next: bool
    reservation_token: bytes | None


@dataclass(frozen=True)
class RefreshRequest:
    """`lifetime` in seconds, None for the default; `family` is a number from the wire, None for both."""

    __slots__ = ("family", "lifetime")

    lifetime: int | None
    family: int | None


@dataclass(unsafe_hash=True)
class ChannelBindRequest:
    """A channel in the legal range, and whom it is for."""

    __slots__ = ("channel", "peer")

    channel: int
    peer: SocketAddress


def parse_allocate(message: Message, client: Transport, tcp_allocations: bool = False) -> AllocateRequest:
    """RFC 8656 section 7.2, steps 3 to 8, and RFC 6062 section 5.1. Raises Refusal.

    `client` is what the request came over; `tcp_allocations` says whether peers may be reached by TCP.
    """
    tcp = _requested_transport(message, tcp_allocations) == PROTOCOL_TCP
    if tcp:
        _check_tcp(message, client)
    token = _optional(message, _RESERVATION_TOKEN, parse_reservation_token)
    even_port = _optional(message, _EVEN_PORT, parse_even_port)
    family = _optional(message, _REQUESTED_ADDRESS_FAMILY, parse_address_family)
    additional = _additional_family(message)
    _optional(message, _DONT_FRAGMENT, parse_flag)
    if token is not None and (even_port is not None or family is not None or additional is not None):
        raise Refusal(400, "reservation-token-combined")
    if family is not None and additional is not None:
        raise Refusal(400, "both-address-families")
    if additional is not None and (additional != _IPV6 or even_port):
        raise Refusal(400, "bad-additional-family")
    if family is not None and family not in (_IPV4, _IPV6):
        raise Refusal(440, "unknown-family")
    return AllocateRequest(
        tcp=tcp,
        family=AddressFamily(family) if family is not None else _IPV4,
        additional=additional is not None,
        draft_numbers=message.has(_DRAFT_ADDITIONAL_ADDRESS_FAMILY),
        lifetime=_optional(message, _LIFETIME, parse_uint32),
        even_port=even_port is not None,
        reserve_next=bool(even_port),
        reservation_token=token,
    )


def parse_refresh(message: Message) -> RefreshRequest:
    """RFC 8656 section 8.2. Raises Refusal."""
    return RefreshRequest(
        _optional(message, _LIFETIME, parse_uint32),
        _optional(message, _REQUESTED_ADDRESS_FAMILY, parse_address_family),
    )


def parse_create_permission(message: Message) -> list[SocketAddress]:
    """RFC 8656 section 10.2: one peer or more. Raises Refusal."""
    values = message.get_all(_XOR_PEER_ADDRESS)
    if not values:
        raise Refusal(400, "peer-address-missing")
    try:
        return [parse_xor_address(value, message.transaction_id) for value in values]
    except MalformedError:
        raise Refusal(400, "attribute-malformed") from None


def parse_connect(message: Message) -> SocketAddress:
    """RFC 6062 section 5.2: the peer. Raises Refusal."""
    peer = _peer(message)
    if peer is None:
        raise Refusal(400, "peer-address-missing")
    return peer


def parse_connection_bind(message: Message) -> ConnectionId:
    """RFC 6062 section 5.4: which connection with a peer. Raises Refusal."""
    connection_id = _optional(message, _CONNECTION_ID, parse_uint32)
    if connection_id is None:
        raise Refusal(400, "connection-id-missing")
    return ConnectionId(connection_id)


def connection_id_in(message: Message) -> ConnectionId | None:
    """The connection that a ConnectionBind names; None when it names none that could be read. Raises nothing."""
    try:
        return parse_connection_bind(message)
    except Refusal:
        return None


def parse_channel_bind(message: Message) -> ChannelBindRequest:
    """RFC 8656 section 12.2. Raises Refusal."""
    channel = _optional(message, _CHANNEL_NUMBER, parse_channel_number)
    peer = _peer(message)
    if channel is None or peer is None:
        raise Refusal(400, "channel-or-peer-missing")
    if not MIN_CHANNEL_NUMBER <= channel <= MAX_LEGACY_CHANNEL_NUMBER:
        raise Refusal(400, "channel-out-of-range")
    return ChannelBindRequest(channel, peer)


def _peer(message: Message) -> SocketAddress | None:
    value = message.get(_XOR_PEER_ADDRESS)
    if value is None:
        return None
    try:
        return parse_xor_address(value, message.transaction_id)
    except MalformedError:
        raise Refusal(400, "attribute-malformed") from None


def _additional_family(message: Message) -> int | None:
    family = _optional(message, _ADDITIONAL_ADDRESS_FAMILY, parse_address_family)
    if family is not None:
        return family
    return _optional(message, _DRAFT_ADDITIONAL_ADDRESS_FAMILY, parse_address_family)


def _requested_transport(message: Message, tcp_allocations: bool) -> int:
    transport = _optional(message, _REQUESTED_TRANSPORT, parse_requested_transport)
    if transport is None:
        raise Refusal(400, "transport-missing")
    if transport != PROTOCOL_UDP and not (transport == PROTOCOL_TCP and tcp_allocations):
        raise Refusal(442, "transport-unsupported")
    return transport


def _check_tcp(message: Message, client: Transport) -> None:
    if not client.reliable:
        raise Refusal(400, "tcp-allocation-over-udp")
    if any(message.has(kind) for kind in _UDP_ONLY):
        raise Refusal(400, "not-with-tcp")


def _optional(message: Message, attribute_type: AttributeType, parse: Callable[[bytes], T]) -> T | None:
    value = message.get(attribute_type)
    if value is None:
        return None
    try:
        return parse(value)
    except MalformedError:
        raise Refusal(400, "attribute-malformed") from None
