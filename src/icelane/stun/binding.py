"""The client's side of a Binding: asking a server which address it sees us at (RFC 8489 section 2)."""

from __future__ import annotations

from typing import Final

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError, RemoteProtocolError, StunError
from icelane.stun.attributes import AttributeType, parse_address, parse_error_code, parse_xor_address
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method

# Comprehension-required types that may stand in a response. The last three are those of RFC 3489 that old servers
# still send beside the address: SOURCE-ADDRESS, CHANGED-ADDRESS and REFLECTED-FROM.
_KNOWN: Final = frozenset(
    {
        AttributeType.MAPPED_ADDRESS,
        AttributeType.XOR_MAPPED_ADDRESS,
        AttributeType.ERROR_CODE,
        AttributeType.UNKNOWN_ATTRIBUTES,
        AttributeType.MESSAGE_INTEGRITY,
        AttributeType.MESSAGE_INTEGRITY_SHA256,
        AttributeType.USERNAME,
        AttributeType.REALM,
        AttributeType.NONCE,
        0x0004,
        0x0005,
        0x000B,
    }
)


def encode_binding_request(transaction_id: bytes) -> bytes:
    """A Binding request without credentials, with FINGERPRINT."""
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id).add_fingerprint().build()


def parse_binding_response(message: Message, server: str = "") -> SocketAddress:
    """The mapped address in a response that answers our request; `server` names it in errors.

    Raises StunError for an error response, IntegrityError when a FINGERPRINT is there and wrong, RemoteProtocolError
    for an unknown attribute that must be understood, MalformedError for a missing or misshapen address.
    """
    if message.fingerprint_offset is not None:
        verify_fingerprint(message)
    if message.message_class is MessageClass.ERROR:
        value = message.get(AttributeType.ERROR_CODE)
        if value is None:
            raise MalformedError("an error response without ERROR-CODE")
        error = parse_error_code(value)
        raise StunError(error.code, error.reason, server)
    if unknown := message.unknown_required(_KNOWN):
        # RFC 8489 section 6.3.3: the transaction has failed.
        raise RemoteProtocolError(f"the response has an attribute {unknown[0]:#06x} that is not understood")
    hidden = message.get(AttributeType.XOR_MAPPED_ADDRESS)
    if hidden is not None:
        return parse_xor_address(hidden, message.transaction_id)
    plain = message.get(AttributeType.MAPPED_ADDRESS)
    if plain is None:
        raise MalformedError("a Binding response without XOR-MAPPED-ADDRESS")
    return parse_address(plain)
