"""Connectivity checks as STUN messages (RFC 8445 sections 7.1, 7.2.2, 7.3 and 16).

Binding request     USERNAME "theirs:ours", PRIORITY, ICE-CONTROLLING or ICE-CONTROLLED, USE-CANDIDATE where the
                    controlling side nominates; MESSAGE-INTEGRITY by the receiver's password, FINGERPRINT
success response    XOR-MAPPED-ADDRESS; MESSAGE-INTEGRITY by the same password, FINGERPRINT
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError, RemoteProtocolError
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole
from icelane.stun.attributes import (
    MAX_USERNAME,
    REASONS,
    AttributeType,
    encode_error_code,
    encode_text,
    encode_uint32,
    encode_uint64,
    encode_unknown_attributes,
    encode_xor_address,
    parse_error_code,
    parse_flag,
    parse_text,
    parse_uint32,
    parse_uint64,
    parse_xor_address,
)
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method

BAD_REQUEST: Final = 400
UNKNOWN_ATTRIBUTE: Final = 420
ROLE_CONFLICT: Final = 487

_KNOWN_IN_REQUESTS: Final = frozenset(
    {
        AttributeType.USERNAME,
        AttributeType.MESSAGE_INTEGRITY,
        AttributeType.MESSAGE_INTEGRITY_SHA256,
        AttributeType.PRIORITY,
        AttributeType.USE_CANDIDATE,
    }
)
_KNOWN_IN_RESPONSES: Final = frozenset(
    {
        AttributeType.MAPPED_ADDRESS,
        AttributeType.XOR_MAPPED_ADDRESS,
        AttributeType.MESSAGE_INTEGRITY,
        AttributeType.MESSAGE_INTEGRITY_SHA256,
        AttributeType.USERNAME,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a Binding request says. `role` is the sender's, None when it did not say."""

    priority: int
    use_candidate: bool
    role: IceRole | None
    tie_breaker: int


def encode_check(transaction_id: bytes, check: Check, *, local: Credentials, remote: Credentials) -> bytes:
    """A check of ours, signed with the peer's password."""
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id)
    builder.add(AttributeType.USERNAME, encode_text(f"{remote.ufrag}:{local.ufrag}", 2 * MAX_USERNAME))
    builder.add(AttributeType.PRIORITY, encode_uint32(check.priority))
    if check.role is not None:
        builder.add(_ROLE_ATTRIBUTES[check.role], encode_uint64(check.tie_breaker))
    if check.use_candidate:
        builder.add(AttributeType.USE_CANDIDATE)
    return builder.add_integrity_sha1(remote.password.encode()).add_fingerprint().build()


_ROLE_ATTRIBUTES: Final = {
    IceRole.CONTROLLING: AttributeType.ICE_CONTROLLING,
    IceRole.CONTROLLED: AttributeType.ICE_CONTROLLED,
}


def parse_username(message: Message) -> tuple[str, str]:
    """The fragments in USERNAME, the receiver's first; raises MalformedError."""
    value = message.get(AttributeType.USERNAME)
    if value is None:
        raise MalformedError("a check without USERNAME")
    receiver, colon, sender = parse_text(value, 2 * MAX_USERNAME).partition(":")
    if not colon:
        raise MalformedError("a USERNAME without a colon")
    return receiver, sender


def unknown_attributes(request: Message) -> list[int]:
    """What stands in a request, must be understood and is not."""
    return request.unknown_required(_KNOWN_IN_REQUESTS)


def parse_check(request: Message) -> Check:
    """The attributes of ICE in a request whose integrity was verified; raises MalformedError."""
    priority = request.get(AttributeType.PRIORITY)
    if priority is None:
        raise MalformedError("a check without PRIORITY")
    use_candidate = request.get(AttributeType.USE_CANDIDATE)
    if use_candidate is not None:
        parse_flag(use_candidate)
    role, tie_breaker = _parse_role(request)
    return Check(
        priority=parse_uint32(priority),
        use_candidate=use_candidate is not None,
        role=role,
        tie_breaker=tie_breaker,
    )


def _parse_role(request: Message) -> tuple[IceRole | None, int]:
    claims = {
        role: parse_uint64(value) for role, kind in _ROLE_ATTRIBUTES.items() if (value := request.get(kind)) is not None
    }
    if len(claims) > 1:
        raise MalformedError("a check of both roles")
    for role, tie_breaker in claims.items():
        return role, tie_breaker
    return None, 0


def encode_success(request: Message, source: SocketAddress, password: str) -> bytes:
    """The answer to a check from `source`, signed with our password."""
    builder = MessageBuilder.response_to(request)
    builder.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(source, request.transaction_id))
    return builder.add_integrity_sha1(password.encode()).add_fingerprint().build()


def encode_error(request: Message, code: int, password: str, unknown: Iterable[int] = ()) -> bytes:
    """An error response, signed with our password."""
    builder = MessageBuilder.response_to(request, MessageClass.ERROR)
    builder.add(AttributeType.ERROR_CODE, encode_error_code(code, REASONS[code]))
    if code == UNKNOWN_ATTRIBUTE:
        builder.add(AttributeType.UNKNOWN_ATTRIBUTES, encode_unknown_attributes(unknown))
    return builder.add_integrity_sha1(password.encode()).add_fingerprint().build()


def parse_success(response: Message) -> SocketAddress:
    """The mapped address in a success response; raises MalformedError, RemoteProtocolError when it cannot be used."""
    if unknown := response.unknown_required(_KNOWN_IN_RESPONSES):
        raise RemoteProtocolError(f"the response has an attribute {unknown[0]:#06x} that is not understood")
    value = response.get(AttributeType.XOR_MAPPED_ADDRESS)
    if value is None:
        raise MalformedError("a response without XOR-MAPPED-ADDRESS")
    return parse_xor_address(value, response.transaction_id)


def parse_error(response: Message) -> int:
    """The code of an error response; raises MalformedError."""
    value = response.get(AttributeType.ERROR_CODE)
    if value is None:
        raise MalformedError("an error response without ERROR-CODE")
    return parse_error_code(value).code
