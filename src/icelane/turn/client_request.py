"""What a client writes into its requests and reads from the responses (RFC 8656 sections 7 to 12)."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.core.net import AddressFamily, SocketAddress
from icelane.errors import IcelaneError, LocalProtocolError, MalformedError, TurnError
from icelane.stun.attributes import (
    AttributeType,
    encode_uint32,
    encode_xor_address,
    parse_address,
    parse_text,
    parse_uint32,
    parse_xor_address,
)
from icelane.stun.message import Message, MessageBuilder
from icelane.turn.attributes import (
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    RESERVATION_TOKEN_SIZE,
    encode_address_family,
    encode_channel_number,
    encode_even_port,
    encode_requested_transport,
    parse_address_error_code,
    parse_reservation_token,
)
from icelane.turn.client_event import Allocated, PeerAttempted, Redirected


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocateOptions:
    """What to ask the server for; the defaults ask for one IPv4 address with the server's lifetime.

    `family` is that of the relayed address; `dual` asks for an IPv6 address beside the IPv4 one. `even_port` wants an
    even port, `reserve_next` also the next one kept for somebody with the token of the answer; `reservation_token` is
    such a token. `dont_fragment` fails where the server cannot set the DF bit. `lifetime` is in seconds. With `tcp`
    peers are reached by TCP (RFC 6062), which needs a server over TCP or TLS that allows it.

    Raises LocalProtocolError for what RFC 8656 section 7.1 and RFC 6062 section 4.1 do not allow together.
    """

    family: AddressFamily | None = None
    dual: bool = False
    lifetime: int | None = None
    even_port: bool = False
    reserve_next: bool = False
    reservation_token: bytes | None = None
    dont_fragment: bool = False
    tcp: bool = False

    def __post_init__(self) -> None:
        if self.lifetime is not None and not 0 < self.lifetime < 1 << 32:
            raise LocalProtocolError("a lifetime is a positive number of seconds")
        if self.family is not None and self.dual:
            raise LocalProtocolError("one family, or both: not together")
        reserving = self.even_port or self.reserve_next or self.reservation_token is not None
        if self.tcp and (reserving or self.dont_fragment):
            raise LocalProtocolError("a TCP allocation has no reservation, no even port and no DF bit")
        if self.dual and self.reserve_next:
            raise LocalProtocolError("a port cannot be reserved with two relayed addresses")
        if self.reservation_token is None:
            return
        if len(self.reservation_token) != RESERVATION_TOKEN_SIZE:
            raise LocalProtocolError(f"a reservation token has {RESERVATION_TOKEN_SIZE} bytes")
        if self.family is not None or self.dual or self.even_port or self.reserve_next:
            raise LocalProtocolError("a reservation token already decides the family and the port")

    @property
    def families(self) -> frozenset[AddressFamily]:
        """The families that relayed addresses may have; empty when the reservation token decides."""
        if self.reservation_token is not None:
            return frozenset()
        if self.dual:
            return frozenset(AddressFamily)
        return frozenset({self.family or AddressFamily.IPV4})


def write_allocate(builder: MessageBuilder, options: AllocateOptions) -> None:
    """The attributes of an Allocate request (section 7.1)."""
    protocol = PROTOCOL_TCP if options.tcp else PROTOCOL_UDP
    builder.add(AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(protocol))
    if options.lifetime is not None:
        builder.add(AttributeType.LIFETIME, encode_uint32(options.lifetime))
    if options.dont_fragment:
        builder.add(AttributeType.DONT_FRAGMENT)
    if options.family is not None:
        builder.add(AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(options.family))
    if options.dual:
        builder.add(AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
    if options.even_port or options.reserve_next:
        builder.add(AttributeType.EVEN_PORT, encode_even_port(options.reserve_next))
    if options.reservation_token is not None:
        builder.add(AttributeType.RESERVATION_TOKEN, options.reservation_token)


def write_refresh(builder: MessageBuilder, lifetime: int | None) -> None:
    """The attributes of a Refresh request (section 8.1), for all relayed addresses."""
    if lifetime is not None:
        builder.add(AttributeType.LIFETIME, encode_uint32(lifetime))


def write_create_permission(builder: MessageBuilder, transaction_id: bytes, hosts: tuple[str, ...]) -> None:
    """The attributes of a CreatePermission request (section 10.1); ports do not count and are 0."""
    for host in hosts:
        builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(SocketAddress(host, 0), transaction_id))


def write_channel_bind(builder: MessageBuilder, transaction_id: bytes, number: int, peer: SocketAddress) -> None:
    """The attributes of a ChannelBind request (section 12.1)."""
    builder.add(AttributeType.CHANNEL_NUMBER, encode_channel_number(number))
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))


def write_connect(builder: MessageBuilder, transaction_id: bytes, peer: SocketAddress) -> None:
    """The attributes of a Connect request (RFC 6062 section 4.3)."""
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))


def write_connection_bind(builder: MessageBuilder, connection_id: int) -> None:
    """The attributes of a ConnectionBind request (RFC 6062 section 4.3)."""
    builder.add(AttributeType.CONNECTION_ID, encode_uint32(connection_id))


def parse_connection_id(message: Message) -> int:
    """CONNECTION-ID of a message that must have it. Raises MalformedError."""
    value = message.get(AttributeType.CONNECTION_ID)
    if value is None:
        raise MalformedError("a message without CONNECTION-ID")
    return parse_uint32(value)


def parse_connection_attempt(indication: Message) -> PeerAttempted:
    """Read a ConnectionAttempt indication (RFC 6062 section 4.4). Raises MalformedError."""
    peer = indication.get(AttributeType.XOR_PEER_ADDRESS)
    if peer is None:
        raise MalformedError("ConnectionAttempt without a peer")
    return PeerAttempted(parse_xor_address(peer, indication.transaction_id), parse_connection_id(indication))


def parse_allocated(response: Message, server: str) -> Allocated:
    """Read an Allocate success response (section 7.3). Raises MalformedError when something is missing or wrong."""
    relayed = tuple(
        parse_xor_address(value, response.transaction_id)
        for value in response.get_all(AttributeType.XOR_RELAYED_ADDRESS)
    )
    families = [address.family for address in relayed]
    if not relayed or len(set(families)) != len(families):
        raise MalformedError("an Allocate response with no relayed address, or with two of one family")
    mapped = response.get(AttributeType.XOR_MAPPED_ADDRESS)
    if mapped is None:
        raise MalformedError("an Allocate response without XOR-MAPPED-ADDRESS")
    lifetime = parse_lifetime(response)
    if lifetime == 0:
        raise MalformedError("an allocation that lives for no time")
    token = response.get(AttributeType.RESERVATION_TOKEN)
    return Allocated(
        relayed=relayed,
        mapped=parse_xor_address(mapped, response.transaction_id),
        lifetime=lifetime,
        reservation_token=parse_reservation_token(token) if token is not None else None,
        additional_error=_additional_error(response, server),
    )


def parse_lifetime(response: Message) -> int:
    """LIFETIME of a response that must have it. Raises MalformedError."""
    value = response.get(AttributeType.LIFETIME)
    if value is None:
        raise MalformedError("a response without LIFETIME")
    return parse_uint32(value)


def parse_redirect(response: Message) -> Redirected:
    """Read a response that sends us to another server (RFC 8489 section 10). Raises MalformedError."""
    server = response.get(AttributeType.ALTERNATE_SERVER)
    if server is None:
        raise MalformedError("300 Try Alternate without ALTERNATE-SERVER")
    domain = response.get(AttributeType.ALTERNATE_DOMAIN)
    return Redirected(parse_address(server), parse_text(domain) if domain is not None else "")


def _additional_error(response: Message, server: str) -> IcelaneError | None:
    value = response.get(AttributeType.ADDRESS_ERROR_CODE)
    if value is None:
        return None
    _, (code, reason) = parse_address_error_code(value)
    return TurnError(code, reason, server)
