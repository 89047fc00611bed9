"""The attributes of ICE in a Binding request or response."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError, RemoteProtocolError
from icelane.ice.check import (
    Check,
    encode_check,
    encode_error,
    encode_success,
    parse_check,
    parse_error,
    parse_success,
    parse_username,
    unknown_attributes,
)
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole
from icelane.stun.message import Message, MessageClass, parse_message
from tests.vectors import stun as vectors

OURS = Credentials("ours", "our password, long enough")
THEIRS = Credentials("theirs", "their password, long enough")
CHECK = Check(priority=1845501695, use_candidate=True, role=IceRole.CONTROLLING, tie_breaker=2**63 + 7)
REQUEST = encode_check(bytes(range(12)), CHECK, local=OURS, remote=THEIRS)

SEEDS = [
    REQUEST,
    encode_success(parse_message(REQUEST), SocketAddress("192.0.2.1", 5000), THEIRS.password),
    encode_success(parse_message(REQUEST), SocketAddress("2001:db8::1", 5000), THEIRS.password),
    encode_error(parse_message(REQUEST), 487, THEIRS.password),
    encode_error(parse_message(REQUEST), 420, THEIRS.password, [0x7FFF]),
    vectors.SAMPLE_REQUEST,
    vectors.SAMPLE_IPV4_RESPONSE,
]


def run(data: bytes) -> Hashable:
    """What the message says, or why it cannot be used."""
    message = parse_message(data)
    if message.message_class is MessageClass.ERROR:
        return parse_error(message)
    if message.message_class is MessageClass.SUCCESS:
        try:
            return parse_success(message).family
        except RemoteProtocolError as error:
            if isinstance(error, MalformedError):
                raise
            return "not understood"
    return _run_request(message)


def _run_request(message: Message) -> Hashable:
    receiver, _ = parse_username(message)
    assert ":" not in receiver
    check = parse_check(message)
    unknown = unknown_attributes(message)
    again = parse_message(encode_check(message.transaction_id, check, local=OURS, remote=THEIRS))
    assert parse_check(again) == check, "writing and reading again gives another check"
    answer = encode_error(message, 420, OURS.password, unknown)
    assert parse_error(parse_message(answer)) == 420
    return check.role, check.use_candidate, bool(unknown)
