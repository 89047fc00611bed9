"""The client's side of a Binding."""

from __future__ import annotations

import pytest

from icelane.core.net import SocketAddress
from icelane.errors import IntegrityError, MalformedError, RemoteProtocolError, StunError
from icelane.stun.attributes import AttributeType as A
from icelane.stun.attributes import encode_address, encode_error_code, encode_xor_address
from icelane.stun.binding import encode_binding_request, parse_binding_response
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from tests.vectors.stun import SAMPLE_IPV4_RESPONSE, SAMPLE_IPV6_RESPONSE

ID = bytes(range(12))
MAPPED = SocketAddress("198.51.100.7", 40000)


def response(message_class: MessageClass = MessageClass.SUCCESS) -> MessageBuilder:
    return MessageBuilder(Method.BINDING, message_class, ID)


def parsed(builder: MessageBuilder) -> Message:
    return parse_message(builder.build())


def test_a_request_is_a_binding_with_a_fingerprint_and_nothing_else() -> None:
    request = parse_message(encode_binding_request(ID))
    assert (request.method, request.message_class, request.transaction_id) == (Method.BINDING, MessageClass.REQUEST, ID)
    assert [kind for kind, _ in request.attributes] == [A.FINGERPRINT]
    verify_fingerprint(request)


def test_the_published_responses_hold_the_published_addresses() -> None:
    """ST-1: RFC 5769 sections 2.2 and 2.3."""
    assert parse_binding_response(parse_message(SAMPLE_IPV4_RESPONSE)) == ("192.0.2.1", 32853)
    assert parse_binding_response(parse_message(SAMPLE_IPV6_RESPONSE)) == (
        "2001:db8:1234:5678:11:2233:4455:6677",
        32853,
    )


def test_a_server_of_rfc_3489_may_send_the_address_in_the_clear_beside_its_own() -> None:
    builder = response().add(A.MAPPED_ADDRESS, encode_address(MAPPED)).add(0x0004, bytes(8)).add(0x0005, bytes(8))
    assert parse_binding_response(parsed(builder)) == MAPPED


def test_the_hidden_address_counts_more_than_the_clear_one_that_a_router_may_have_rewritten() -> None:
    clear = encode_address(SocketAddress("10.0.0.1", 1))
    builder = response().add(A.MAPPED_ADDRESS, clear).add(A.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, ID))
    assert parse_binding_response(parsed(builder)) == MAPPED


def test_an_error_response_raises_its_code_and_names_the_server() -> None:
    builder = response(MessageClass.ERROR).add(A.ERROR_CODE, encode_error_code(420, "Unknown Attribute"))
    with pytest.raises(StunError, match=r"192\.0\.2\.9:3478: 420 Unknown Attribute") as caught:
        parse_binding_response(parsed(builder), "192.0.2.9:3478")
    assert caught.value.code == 420


def test_a_wrong_fingerprint_is_not_believed() -> None:
    builder = response().add(A.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, ID)).add(A.FINGERPRINT, bytes(4))
    with pytest.raises(IntegrityError):
        parse_binding_response(parsed(builder))


def test_an_attribute_that_must_be_understood_and_is_not_fails_the_request() -> None:
    """RFC 8489 section 6.3.3."""
    builder = response().add(A.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, ID)).add(0x7777, b"")
    with pytest.raises(RemoteProtocolError, match="0x7777"):
        parse_binding_response(parsed(builder))


@pytest.mark.parametrize(
    "builder",
    [
        response(),
        response().add(A.XOR_MAPPED_ADDRESS, bytes(8)),
        response().add(A.MAPPED_ADDRESS, b"\0\1"),
        response(MessageClass.ERROR),
        response(MessageClass.ERROR).add(A.ERROR_CODE, b"\0"),
    ],
)
def test_a_missing_or_misshapen_answer_is_the_parse_error(builder: MessageBuilder) -> None:
    """ST-7: one typed error."""
    with pytest.raises(MalformedError):
        parse_binding_response(parsed(builder))
