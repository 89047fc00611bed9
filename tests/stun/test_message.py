"""The message codec: header, attribute walk, what may be believed, and the builder."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.stun.attributes import AttributeType, encode_uint32
from icelane.stun.integrity import verify_fingerprint, verify_integrity, verify_integrity_sha256
from icelane.stun.message import (
    HEADER_SIZE,
    MAX_ATTRIBUTES,
    Message,
    MessageBuilder,
    MessageClass,
    Method,
    looks_like_stun,
    method_name,
    parse_message,
)
from icelane.testing.entropy import SeededEntropy
from tests.vectors import stun as vectors

pytestmark = pytest.mark.twin

COOKIE = b"\x21\x12\xa4\x42"
TRANSACTION_ID = bytes(range(12))
INTEGRITY_TYPES = (
    AttributeType.MESSAGE_INTEGRITY,
    AttributeType.MESSAGE_INTEGRITY_SHA256,
    AttributeType.FINGERPRINT,
)


def header(kind: int = 0x0001, length: int = 0) -> bytes:
    return kind.to_bytes(2, "big") + length.to_bytes(2, "big") + COOKIE + TRANSACTION_ID


def framed(body: bytes, kind: int = 0x0001) -> bytes:
    return header(kind, len(body)) + body


def attribute(kind: int, value: bytes, padding: bytes = b"\0\0\0") -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + padding[: -len(value) % 4]


def builder(method: int = Method.BINDING, message_class: int = MessageClass.REQUEST) -> MessageBuilder:
    return MessageBuilder(method, message_class, TRANSACTION_ID)


def types(message: Message) -> list[int]:
    return [kind for kind, _ in message.attributes]


def append_after_the_end(message: bytes, extra: bytes) -> bytes:
    """What an attacker on the path does: more attributes, and a header length that covers them."""
    body = message[HEADER_SIZE:] + extra
    return message[:2] + len(body).to_bytes(2, "big") + message[4:HEADER_SIZE] + body


# -- header


@pytest.mark.parametrize(
    ("method", "message_class", "kind"),
    [
        (Method.BINDING, MessageClass.REQUEST, 0x0001),
        (Method.BINDING, MessageClass.INDICATION, 0x0011),
        (Method.BINDING, MessageClass.SUCCESS, 0x0101),
        (Method.BINDING, MessageClass.ERROR, 0x0111),
        (Method.ALLOCATE, MessageClass.REQUEST, 0x0003),
        (Method.ALLOCATE, MessageClass.ERROR, 0x0113),
        (Method.SEND, MessageClass.INDICATION, 0x0016),
        (Method.DATA, MessageClass.INDICATION, 0x0017),
        (Method.CHANNEL_BIND, MessageClass.SUCCESS, 0x0109),
        (0xFFF, MessageClass.ERROR, 0x3FFF),
    ],
)
def test_the_type_field_interleaves_method_and_class(method: int, message_class: MessageClass, kind: int) -> None:
    data = MessageBuilder(method, message_class, TRANSACTION_ID).build()
    assert int.from_bytes(data[:2], "big") == kind
    message = parse_message(data)
    assert (message.method, message.message_class) == (method, message_class)


def test_every_type_of_fourteen_bits_round_trips() -> None:
    for method, message_class in itertools.product(range(0x1000), MessageClass):
        message = parse_message(MessageBuilder(method, message_class, TRANSACTION_ID).build())
        assert message.method == method
        assert message.message_class is message_class


@pytest.mark.parametrize("first_bits", [0x40, 0x80, 0xC0])
def test_a_message_with_the_first_two_bits_set_is_malformed(first_bits: int) -> None:
    """ST-8: the codec half."""
    data = bytearray(header())
    data[0] |= first_bits
    assert not looks_like_stun(data)
    with pytest.raises(MalformedError, match="first two bits"):
        parse_message(bytes(data))


def test_a_message_with_any_bit_of_the_cookie_wrong_is_malformed() -> None:
    """ST-8: the codec half."""
    for bit in range(32):
        data = bytearray(header())
        data[4 + bit // 8] ^= 0x80 >> bit % 8
        assert not looks_like_stun(data)
        with pytest.raises(MalformedError, match="cookie"):
            parse_message(bytes(data))


@pytest.mark.parametrize("length", [65520, 65524, 65528, 65532, 1, 2, 3, 5, 6, 7, 4, 8, 0xFFFF])
def test_a_length_that_is_not_that_of_the_datagram_is_malformed(length: int) -> None:
    """ST-6: lengths near the end of the field, not multiples of four, larger than the datagram."""
    with pytest.raises(MalformedError, match="length field"):
        parse_message(header(length=length))


@pytest.mark.parametrize("length", [0, 4, 8, 11, 13, 16])
def test_a_length_smaller_or_larger_than_the_body_is_malformed(length: int) -> None:
    """ST-6: twelve bytes of body under another length."""
    body = attribute(AttributeType.PRIORITY, bytes(4)) + attribute(AttributeType.USE_CANDIDATE, b"")
    assert len(body) == 12
    with pytest.raises(MalformedError, match="length field"):
        parse_message(header(length=length) + body)


def test_every_short_prefix_of_a_message_is_malformed() -> None:
    """ST-6, ST-7: truncation at any byte."""
    for size in range(len(vectors.SAMPLE_REQUEST)):
        with pytest.raises(MalformedError):
            parse_message(vectors.SAMPLE_REQUEST[:size])


def test_trailing_bytes_after_a_message_are_malformed() -> None:
    """ST-6: a datagram carries one message and nothing else."""
    for extra in (b"\0", b"\0\0\0\0", vectors.SAMPLE_REQUEST):
        with pytest.raises(MalformedError):
            parse_message(vectors.SAMPLE_REQUEST + extra)


def test_a_message_of_the_largest_length_parses() -> None:
    """ST-6: 65 532 is a legal length."""
    data = framed(attribute(AttributeType.DATA, bytes(65528)))
    assert data[2:4] == b"\xff\xfc"
    assert parse_message(data).get(AttributeType.DATA) == bytes(65528)


# -- attributes


@pytest.mark.parametrize(
    "body",
    [
        attribute(AttributeType.USERNAME, b"abcd")[:4],  # length 4, no value
        attribute(AttributeType.USERNAME, bytes(12))[:8],
        b"\x00\x06\xff\xff" + bytes(4),
        b"\x00\x06\x00\x05" + bytes(4),
        b"\x00\x24\x00\x08" + bytes(4),
        attribute(AttributeType.SOFTWARE, b"ok!!") + b"\x80\x22\x00\x01",
    ],
)
def test_an_attribute_that_runs_past_the_end_is_malformed(body: bytes) -> None:
    """ST-7."""
    with pytest.raises(MalformedError, match="past the end"):
        parse_message(framed(body))


def test_an_attribute_past_the_end_is_malformed_even_where_it_would_be_ignored() -> None:
    """ST-7: what stands after MESSAGE-INTEGRITY is not believed, but it must still be well formed."""
    data = append_after_the_end(builder().add_integrity_sha1(b"key").build(), b"\x00\x0d\x00\x08\x00\x00\x00\x00")
    with pytest.raises(MalformedError, match="past the end"):
        parse_message(data)


def test_an_attribute_without_value_is_present_and_empty() -> None:
    """ST-7: length zero is the value's affair, not the walk's."""
    message = parse_message(framed(attribute(AttributeType.USE_CANDIDATE, b"")))
    assert message.has(AttributeType.USE_CANDIDATE)
    assert message.get(AttributeType.USE_CANDIDATE) == b""


def test_padding_of_any_content_is_skipped() -> None:
    """RFC 8489 section 14: padding bits are ignored by the receiver."""
    body = attribute(AttributeType.USERNAME, b"x", padding=b"\xff\x80\x28") + attribute(
        AttributeType.PRIORITY, bytes(4)
    )
    message = parse_message(framed(body))
    assert message.attributes == [(AttributeType.USERNAME, b"x"), (AttributeType.PRIORITY, bytes(4))]


def test_more_attributes_than_the_bound_are_malformed() -> None:
    """ST-7: the parser's work is bounded whatever the stream frame holds."""
    one = attribute(AttributeType.DONT_FRAGMENT, b"")
    assert len(parse_message(framed(one * MAX_ATTRIBUTES)).attributes) == MAX_ATTRIBUTES
    with pytest.raises(MalformedError, match="more than"):
        parse_message(framed(one * (MAX_ATTRIBUTES + 1)))


def test_ignored_attributes_count_against_the_bound() -> None:
    data = builder().add_fingerprint().build()
    with pytest.raises(MalformedError, match="more than"):
        parse_message(append_after_the_end(data, attribute(AttributeType.DONT_FRAGMENT, b"") * MAX_ATTRIBUTES))


def test_the_first_of_two_equal_attributes_wins() -> None:
    """ST-9: RFC 8489 section 14: any but the first are ignored, XOR-PEER-ADDRESS in Send included."""
    first, second = b"\0\1\x11\x11aaaa", b"\0\1\x22\x22bbbb"
    for kind in (AttributeType.XOR_PEER_ADDRESS, AttributeType.USERNAME, AttributeType.LIFETIME):
        message = parse_message(builder(Method.SEND).add(kind, first).add(kind, second).build())
        assert message.get(kind) == first
        assert message.get_all(kind) == [first, second]


def test_the_first_of_two_integrity_attributes_wins() -> None:
    """ST-9: a second MESSAGE-INTEGRITY cannot displace the one that covers the message."""
    data = builder().add(AttributeType.PRIORITY, bytes(4)).add_integrity_sha1(b"key").build()
    forged = append_after_the_end(data, attribute(AttributeType.MESSAGE_INTEGRITY, bytes(20)))
    message = parse_message(forged)
    verify_integrity(message, b"key")
    assert len(message.get_all(AttributeType.MESSAGE_INTEGRITY)) == 1


# -- what stands after integrity (ST-4)

APPENDED = (
    attribute(AttributeType.LIFETIME, bytes(4))
    + attribute(AttributeType.XOR_PEER_ADDRESS, b"\0\1\x33\x33evil")
    + attribute(AttributeType.REQUESTED_TRANSPORT, b"\x11\0\0\0")
)


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.ALLOCATE])
@pytest.mark.parametrize("message_class", [MessageClass.REQUEST, MessageClass.SUCCESS, MessageClass.ERROR])
def test_attributes_after_message_integrity_are_as_if_absent(method: Method, message_class: MessageClass) -> None:
    """ST-4: for requests (server) and responses (client) alike, with a FINGERPRINT that covers the addition."""
    data = builder(method, message_class).add(AttributeType.LIFETIME, encode_uint32(600))
    honest = parse_message(data.add_integrity_sha1(b"k").build())
    tampered = MessageBuilder(method, message_class, TRANSACTION_ID)
    for kind, value in honest.attributes:
        tampered.add(kind, value)
    tampered.add(AttributeType.LIFETIME, bytes(4))
    tampered.add(AttributeType.XOR_PEER_ADDRESS, b"\0\1\x33\x33evil")
    tampered.add(AttributeType.REQUESTED_TRANSPORT, b"\x11\0\0\0")
    message = parse_message(tampered.add_fingerprint().build())
    verify_integrity(message, b"k")
    verify_fingerprint(message)
    assert types(message) == [AttributeType.LIFETIME, AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT]
    assert message.get(AttributeType.LIFETIME) == encode_uint32(600)


def test_only_sha256_and_fingerprint_are_honoured_after_sha1() -> None:
    """ST-4."""
    data = append_after_the_end(builder().add_integrity_sha1(b"key").build(), APPENDED)
    assert types(parse_message(data)) == [AttributeType.MESSAGE_INTEGRITY]
    both = builder().add_integrity_sha1(b"old").add_integrity_sha256(b"new").add_fingerprint().build()
    message = parse_message(both)
    assert types(message) == list(INTEGRITY_TYPES)
    verify_integrity(message, b"old")
    verify_integrity_sha256(message, b"new")
    verify_fingerprint(message)


def test_only_fingerprint_is_honoured_after_sha256() -> None:
    """ST-4: not even MESSAGE-INTEGRITY."""
    data = builder().add_integrity_sha256(b"new").add_integrity_sha1(b"old").add(AttributeType.LIFETIME, bytes(4))
    message = parse_message(data.add_fingerprint().build())
    assert types(message) == [AttributeType.MESSAGE_INTEGRITY_SHA256, AttributeType.FINGERPRINT]
    assert message.integrity_offset is None


def test_attributes_between_sha1_and_sha256_are_ignored_and_still_covered_by_sha256() -> None:
    """ST-4: an attacker who knows no key cannot use the gap, and nobody believes what stands in it."""
    data = (
        builder().add_integrity_sha1(b"old").add(AttributeType.LIFETIME, bytes(4)).add_integrity_sha256(b"new").build()
    )
    message = parse_message(data)
    assert not message.has(AttributeType.LIFETIME)
    verify_integrity(message, b"old")
    verify_integrity_sha256(message, b"new")


def test_nothing_is_honoured_after_fingerprint() -> None:
    """ST-4: FINGERPRINT is the last attribute (RFC 8489 section 14.7)."""
    data = builder().add_fingerprint().add(AttributeType.LIFETIME, bytes(4)).add_integrity_sha1(b"key")
    message = parse_message(data.build())
    assert types(message) == [AttributeType.FINGERPRINT]
    assert message.integrity_offset is None
    assert message.integrity_sha256_offset is None


# -- unknown attributes


def test_unknown_required_attributes_are_listed_once_each_in_order() -> None:
    """ST-8: the codec half of 420; optional types (0x8000 and above) are never unknown."""
    message = parse_message(
        builder()
        .add(0x7FFF)
        .add(AttributeType.USERNAME, b"u")
        .add(0x0042, b"x")
        .add(0x7FFF)
        .add(0x8042)
        .add(0xFFFF)
        .add(0x0042)
        .build()
    )
    assert message.unknown_required({AttributeType.USERNAME}) == [0x7FFF, 0x0042]
    assert message.unknown_required({AttributeType.USERNAME, 0x7FFF, 0x0042}) == []


def test_unknown_methods_have_a_name_for_the_log() -> None:
    """ST-8: an unknown method parses; dropping it is the engine's decision."""
    assert method_name(Method.CREATE_PERMISSION) == "create-permission"
    assert method_name(0xABC) == "method 0xabc"
    message = parse_message(MessageBuilder(0xABC, MessageClass.REQUEST, TRANSACTION_ID).build())
    assert repr(message) == "Message(method 0xabc request, 0 attributes)"


# -- the builder


def test_padding_is_always_zero_and_lengths_exclude_it() -> None:
    """ST-10: 10,000 varied messages; no byte that the caller did not give but zero."""
    entropy = SeededEntropy(10)
    for _ in range(10_000):
        data = MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, entropy.token(12))
        values = [entropy.token(1 + entropy.below(40)) for _ in range(1 + entropy.below(4))]
        for value in values:
            data.add(AttributeType.ERROR_CODE, value)
        built = data.build()
        position = HEADER_SIZE
        for value in values:
            assert int.from_bytes(built[position + 2 : position + 4], "big") == len(value)
            position += 4
            assert built[position : position + len(value)] == value
            position += len(value)
            padding = -len(value) % 4
            assert built[position : position + padding] == bytes(padding)
            position += padding
        assert position == len(built)


def test_a_transaction_id_of_another_size_is_refused() -> None:
    for size in (0, 11, 13, 16):
        with pytest.raises(ValueError, match="transaction id"):
            MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(size))


def test_a_message_larger_than_a_datagram_can_be_is_refused() -> None:
    data = builder().add(AttributeType.DATA, bytes(65508))
    with pytest.raises(ValueError, match="65535"):
        data.add(AttributeType.DATA, b"x")
    with pytest.raises(ValueError, match="65535"):
        data.add_integrity_sha1(b"key")
    assert parse_message(data.build()).get(AttributeType.DATA) == bytes(65508)


def test_padding_counts_against_the_largest_size() -> None:
    """An unpadded size below the limit must not let the padded one above it."""
    data = builder().add(AttributeType.DATA, bytes(65500))
    assert len(data) == 65524
    with pytest.raises(ValueError, match="65535"):
        data.add(AttributeType.DATA, bytes(5))
    assert len(data.build()) == 65524


def test_a_response_answers_with_the_method_and_transaction_of_its_request() -> None:
    request = parse_message(builder(Method.REFRESH).build())
    response = parse_message(MessageBuilder.response_to(request, MessageClass.ERROR).build())
    assert (response.method, response.message_class) == (Method.REFRESH, MessageClass.ERROR)
    assert response.transaction_id == TRANSACTION_ID
    assert parse_message(MessageBuilder.response_to(request).build()).message_class is MessageClass.SUCCESS


def test_a_builder_can_be_built_twice_and_grow_in_between() -> None:
    data = builder().add(AttributeType.USERNAME, b"u")
    first = data.build()
    assert data.build() == first
    assert types(parse_message(data.add_integrity_sha1(b"key").build())) == [
        AttributeType.USERNAME,
        AttributeType.MESSAGE_INTEGRITY,
    ]
    assert len(data) == len(data.build())


def test_a_parsed_message_keeps_no_reference_to_a_buffer_that_changes() -> None:
    """A driver may reuse its receive buffer."""
    buffer = bytearray(vectors.SAMPLE_REQUEST)
    message = parse_message(buffer)  # type: ignore[arg-type]  # a bytearray is accepted in both forms
    buffer[:] = bytes(len(buffer))
    verify_fingerprint(message)
    assert message.transaction_id == vectors.SHORT_TERM_TRANSACTION_ID


# -- properties

plain_attributes = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF).filter(lambda kind: kind not in INTEGRITY_TYPES),
        st.binary(max_size=70),
    ),
    max_size=12,
)


@given(
    method=st.integers(0, 0xFFF),
    message_class=st.sampled_from(MessageClass),
    transaction_id=st.binary(min_size=12, max_size=12),
    attributes=plain_attributes,
    sha1=st.none() | st.binary(max_size=70),
    sha256=st.none() | st.binary(max_size=70),
    fingerprint=st.booleans(),
)
def test_parse_undoes_build(
    method: int,
    message_class: MessageClass,
    transaction_id: bytes,
    attributes: list[tuple[int, bytes]],
    sha1: bytes | None,
    sha256: bytes | None,
    fingerprint: bool,
) -> None:
    """FZ-1: parse(build(m)) is m, and its checks verify."""
    data = MessageBuilder(method, message_class, transaction_id)
    for kind, value in attributes:
        data.add(kind, value)
    if sha1 is not None:
        data.add_integrity_sha1(sha1)
    if sha256 is not None:
        data.add_integrity_sha256(sha256)
    if fingerprint:
        data.add_fingerprint()
    message = parse_message(data.build())
    assert (message.method, message.message_class, message.transaction_id) == (method, message_class, transaction_id)
    assert [(kind, value) for kind, value in message.attributes if kind not in INTEGRITY_TYPES] == attributes
    assert message.raw == data.build()
    if sha1 is not None:
        verify_integrity(message, sha1)
    if sha256 is not None:
        verify_integrity_sha256(message, sha256)
    if fingerprint:
        verify_fingerprint(message)


@given(attributes=plain_attributes, flips=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=6))
def test_damaged_messages_raise_nothing_but_malformed_error(
    attributes: list[tuple[int, bytes]], flips: list[tuple[int, int]]
) -> None:
    """ST-7, FZ-1: the catch-all: any other exception fails the test by escaping."""
    data = builder()
    for kind, value in attributes:
        data.add(kind, value)
    damaged = bytearray(data.add_integrity_sha1(b"key").add_fingerprint().build())
    for position, mask in flips:
        damaged[position % len(damaged)] ^= mask
    try:
        message = parse_message(bytes(damaged))
    except MalformedError:
        return
    assert message.raw == damaged


@given(st.binary(max_size=120))
def test_arbitrary_bytes_raise_nothing_but_malformed_error(data: bytes) -> None:
    """ST-7, FZ-1."""
    for candidate in (data, framed(data), header(length=len(data) & 0xFFFC) + data[: len(data) & 0xFFFC]):
        try:
            parse_message(candidate)
        except MalformedError:
            continue
        assert looks_like_stun(candidate)
