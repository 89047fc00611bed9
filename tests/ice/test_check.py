"""Checks as STUN messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.errors import IntegrityError, MalformedError, RemoteProtocolError
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
from icelane.stun.attributes import AttributeType, encode_uint32, encode_uint64
from icelane.stun.integrity import verify_fingerprint, verify_integrity
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from tests.vectors import stun as vectors

OURS = Credentials("ours", "our password, long enough")
THEIRS = Credentials("theirs", "their password, long enough")
CHECK = Check(priority=1, use_candidate=True, role=IceRole.CONTROLLING, tie_breaker=7)


def request(*attributes: tuple[int, bytes]) -> Message:
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
    for kind, value in attributes:
        builder.add(kind, value)
    return parse_message(builder.build())


@given(
    st.builds(
        Check,
        priority=st.integers(0, 2**32 - 1),
        use_candidate=st.booleans(),
        role=st.sampled_from(IceRole),
        tie_breaker=st.integers(0, 2**64 - 1),
    )
)
def test_a_check_says_what_it_was_told_signed_with_the_receiver_s_password(check: Check) -> None:
    message = parse_message(encode_check(bytes(12), check, local=OURS, remote=THEIRS))
    assert parse_username(message) == ("theirs", "ours")
    assert parse_check(message) == check
    assert not unknown_attributes(message)
    verify_fingerprint(message)
    verify_integrity(message, THEIRS.password.encode())
    with pytest.raises(IntegrityError):
        verify_integrity(message, OURS.password.encode())


def test_the_check_of_rfc_5769_is_read() -> None:
    message = parse_message(vectors.SAMPLE_REQUEST)
    assert parse_username(message) == ("evtj", "h6vY")
    assert parse_check(message) == Check(
        priority=0x6E0001FF, use_candidate=False, role=IceRole.CONTROLLED, tie_breaker=0x932FF9B151263B36
    )
    assert not unknown_attributes(message)
    assert parse_success(parse_message(vectors.SAMPLE_IPV4_RESPONSE)) == ("192.0.2.1", 32853)


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        [(AttributeType.PRIORITY, b"\0\0\1")],
        [(AttributeType.PRIORITY, encode_uint32(1)), (AttributeType.USE_CANDIDATE, b"\0")],
        [(AttributeType.PRIORITY, encode_uint32(1)), (AttributeType.ICE_CONTROLLED, b"\0")],
        [
            (AttributeType.PRIORITY, encode_uint32(1)),
            (AttributeType.ICE_CONTROLLED, encode_uint64(1)),
            (AttributeType.ICE_CONTROLLING, encode_uint64(1)),
        ],
    ],
)
def test_a_request_that_is_no_check_is_malformed(attributes: list[tuple[int, bytes]]) -> None:
    with pytest.raises(MalformedError):
        parse_check(request(*attributes))


def test_a_check_without_a_role_has_none() -> None:
    check = parse_check(request((AttributeType.PRIORITY, encode_uint32(5))))
    assert (check.priority, check.role, check.tie_breaker, check.use_candidate) == (5, None, 0, False)


@pytest.mark.parametrize("value", [None, b"alone", b"\xff:\xff"])
def test_a_username_has_two_halves(value: bytes | None) -> None:
    with pytest.raises(MalformedError):
        parse_username(request(*([] if value is None else [(AttributeType.USERNAME, value)])))


@pytest.mark.parametrize("source", [SocketAddress("192.0.2.1", 1), SocketAddress("2001:db8::1", 65535)])
def test_an_answer_tells_the_source_signed_with_the_password_of_who_answers(source: SocketAddress) -> None:
    asked = parse_message(encode_check(bytes(12), CHECK, local=OURS, remote=THEIRS))
    answer = parse_message(encode_success(asked, source, THEIRS.password))
    assert parse_success(answer) == source
    verify_integrity(answer, THEIRS.password.encode())
    verify_fingerprint(answer)


def test_errors_are_signed_and_name_what_was_not_understood() -> None:
    asked = parse_message(encode_check(bytes(12), CHECK, local=OURS, remote=THEIRS))
    for code in (400, 420, 487):
        answer = parse_message(encode_error(asked, code, THEIRS.password, [0x7FFF]))
        assert parse_error(answer) == code
        assert answer.has(AttributeType.UNKNOWN_ATTRIBUTES) is (code == 420)
        verify_integrity(answer, THEIRS.password.encode())


def test_an_answer_without_an_address_or_with_what_must_be_understood_cannot_be_used() -> None:
    for attributes, error in ([], MalformedError), ([(0x7FFF, b"")], RemoteProtocolError):
        builder = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, bytes(12))
        for kind, value in attributes:
            builder.add(kind, value)
        with pytest.raises(error):
            parse_success(parse_message(builder.build()))
    with pytest.raises(MalformedError):
        parse_error(parse_message(MessageBuilder(Method.BINDING, MessageClass.ERROR, bytes(12)).build()))
