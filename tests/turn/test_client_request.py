"""Client requests and the reading of responses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.stun.attributes import AttributeType, encode_address, encode_text, encode_uint32, encode_xor_address
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.client_event import Redirected
from icelane.turn.client_request import parse_allocated, parse_lifetime, parse_redirect

ID = bytes(range(12))
RELAYED = SocketAddress("192.0.2.1", 50_000)
PARSERS: list[Callable[[Message], object]] = [
    lambda message: parse_allocated(message, "server"),
    parse_lifetime,
    parse_redirect,
]
KINDS = [
    AttributeType.XOR_RELAYED_ADDRESS,
    AttributeType.XOR_MAPPED_ADDRESS,
    AttributeType.LIFETIME,
    AttributeType.RESERVATION_TOKEN,
    AttributeType.ADDRESS_ERROR_CODE,
    AttributeType.ALTERNATE_SERVER,
    AttributeType.ALTERNATE_DOMAIN,
]


def response(*attributes: tuple[int, bytes]) -> Message:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.SUCCESS, ID)
    for kind, value in attributes:
        builder.add(kind, value)
    return parse_message(builder.build())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.one_of(
                st.binary(max_size=24),
                st.sampled_from(
                    [encode_xor_address(RELAYED, ID), encode_address(RELAYED), encode_uint32(600), bytes(8)]
                ),
            ),
        ),
        max_size=8,
    )
)
def test_a_response_is_read_whole_or_is_malformed(attributes: list[tuple[int, bytes]]) -> None:
    """FZ-1: no other exception leaves the parsers."""
    message = response(*attributes)
    for parse in PARSERS:
        try:
            parse(message)
        except MalformedError:
            continue


def test_two_relayed_addresses_of_one_family_are_malformed() -> None:
    relayed = (AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(RELAYED, ID))
    mapped = (AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(RELAYED, ID))
    lifetime = (AttributeType.LIFETIME, encode_uint32(600))
    assert parse_allocated(response(relayed, mapped, lifetime), "server").relayed == (RELAYED,)
    with pytest.raises(MalformedError):
        parse_allocated(response(relayed, relayed, mapped, lifetime), "server")


def test_a_redirection_has_a_server_and_may_have_a_domain() -> None:
    server = (AttributeType.ALTERNATE_SERVER, encode_address(RELAYED))
    assert parse_redirect(response(server)) == Redirected(RELAYED, "")
    domain = (AttributeType.ALTERNATE_DOMAIN, encode_text("b.example.org"))
    assert parse_redirect(response(server, domain)) == Redirected(RELAYED, "b.example.org")
    with pytest.raises(MalformedError):
        parse_redirect(response(domain))
