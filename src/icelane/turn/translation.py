"""Payload in and out of Send and Data indications (RFC 8656 section 11): pure functions for a plane.

Channel data has its own module, `icelane.turn.channel_data`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from icelane.core.net import SocketAddress
from icelane.errors import IntegrityError, MalformedError
from icelane.stun.attributes import AttributeType, encode_xor_address, parse_flag, parse_xor_address
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.attributes import IcmpError, encode_icmp, parse_icmp

_SEND_TYPE: Final = b"\x00\x16"
_KNOWN_IN_SEND: Final = frozenset(
    {AttributeType.XOR_PEER_ADDRESS, AttributeType.DATA, AttributeType.DONT_FRAGMENT, AttributeType.MESSAGE_INTEGRITY}
)
_KNOWN_IN_DATA: Final = frozenset({AttributeType.XOR_PEER_ADDRESS, AttributeType.DATA, AttributeType.MESSAGE_INTEGRITY})


class SendIndication(NamedTuple):
    """What a client wants relayed."""

    peer: SocketAddress
    payload: bytes
    dont_fragment: bool


class DataIndication(NamedTuple):
    """What came from a peer: payload, or the ICMP error that a packet to it caused."""

    peer: SocketAddress
    payload: bytes
    icmp: IcmpError | None


def is_send_indication(data: bytes | bytearray | memoryview) -> bool:
    """Whether `data` begins as a Send indication does."""
    return data[:2] == _SEND_TYPE


def parse_send_indication(data: bytes) -> SendIndication:
    """Parse a Send indication.

    Raises MalformedError also where RFC 8656 section 11.2 says "silently discarded": without XOR-PEER-ADDRESS or DATA,
    or with an unknown comprehension-required attribute; and where a FINGERPRINT is wrong.
    """
    message = parse_message(data)
    if message.fingerprint_offset is not None:
        _check_fingerprint(message)
    if message.method != Method.SEND or message.message_class != MessageClass.INDICATION:
        raise MalformedError("not a Send indication")
    peer, payload = _peer_and_payload(message, _KNOWN_IN_SEND)
    dont_fragment = message.get(AttributeType.DONT_FRAGMENT)
    if dont_fragment is not None:
        parse_flag(dont_fragment)
    if payload is None:
        raise MalformedError("a Send indication without DATA")
    return SendIndication(peer, payload, dont_fragment is not None)


def parse_data_indication(message: Message) -> DataIndication:
    """Read a Data indication that has been parsed; raises MalformedError when an attribute is missing or wrong."""
    peer, payload = _peer_and_payload(message, _KNOWN_IN_DATA)
    icmp = message.get(AttributeType.ICMP)
    if icmp is not None:
        return DataIndication(peer, payload or b"", parse_icmp(icmp))
    if payload is None:
        raise MalformedError("a Data indication with neither DATA nor ICMP")
    return DataIndication(peer, payload, None)


def build_send_indication(
    peer: SocketAddress, payload: bytes, transaction_id: bytes, dont_fragment: bool = False
) -> bytes:
    """A Send indication; raises ValueError when the payload does not fit."""
    builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, transaction_id)
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    if dont_fragment:
        builder.add(AttributeType.DONT_FRAGMENT)
    return builder.add(AttributeType.DATA, payload).build()


def build_data_indication(peer: SocketAddress, payload: bytes, transaction_id: bytes) -> bytes:
    """A Data indication with payload; raises ValueError when the payload does not fit."""
    builder = MessageBuilder(Method.DATA, MessageClass.INDICATION, transaction_id)
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    return builder.add(AttributeType.DATA, payload).build()


def build_icmp_indication(peer: SocketAddress, error: IcmpError, transaction_id: bytes) -> bytes:
    """A Data indication that reports an ICMP error instead of payload (RFC 8656 section 11.5)."""
    builder = MessageBuilder(Method.DATA, MessageClass.INDICATION, transaction_id)
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    return builder.add(AttributeType.ICMP, encode_icmp(error)).build()


def _check_fingerprint(message: Message) -> None:
    try:
        verify_fingerprint(message)
    except IntegrityError as error:
        raise MalformedError(str(error)) from None


def _peer_and_payload(message: Message, known: frozenset[AttributeType]) -> tuple[SocketAddress, bytes | None]:
    if message.unknown_required(known):
        raise MalformedError("an unknown comprehension-required attribute")
    peer = message.get(AttributeType.XOR_PEER_ADDRESS)
    if peer is None:
        raise MalformedError("no XOR-PEER-ADDRESS")
    return parse_xor_address(peer, message.transaction_id), message.get(AttributeType.DATA)
