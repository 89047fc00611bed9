"""Published vectors, damaged vectors, and integrity attributes of the wrong shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.crypto.provider import hmac_sha256
from icelane.errors import IntegrityError, RemoteProtocolError
from icelane.stun.attributes import (
    AttributeType,
    encode_password_algorithms,
    encode_text,
    encode_xor_address,
    parse_text,
    parse_uint32,
    parse_uint64,
    parse_userhash,
    parse_xor_address,
)
from icelane.stun.integrity import (
    has_well_formed_integrity,
    long_term_key_md5,
    long_term_key_sha256,
    userhash,
    verify_fingerprint,
    verify_integrity,
    verify_integrity_sha256,
)
from icelane.stun.message import HEADER_SIZE, Message, MessageBuilder, MessageClass, Method, parse_message
from tests.vectors import stun as vectors

pytestmark = pytest.mark.twin

SHORT_TERM_KEY = vectors.SHORT_TERM_PASSWORD.encode()
LONG_TERM_KEY = long_term_key_md5(
    vectors.LONG_TERM_USERNAME, vectors.LONG_TERM_REALM, vectors.LONG_TERM_PREPARED_PASSWORD
)
B1_KEY = long_term_key_sha256(vectors.LONG_TERM_USERNAME, vectors.LONG_TERM_REALM, vectors.LONG_TERM_PREPARED_PASSWORD)
SHORT_TERM_VECTORS = [vectors.SAMPLE_REQUEST, vectors.SAMPLE_IPV4_RESPONSE, vectors.SAMPLE_IPV6_RESPONSE]
TRANSACTION_ID = bytes(range(12))


def request() -> MessageBuilder:
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, TRANSACTION_ID)


# -- RFC 5769


def test_the_sample_request_of_rfc_5769_decodes_and_verifies() -> None:
    """ST-1: RFC 5769 section 2.1."""
    message = parse_message(vectors.SAMPLE_REQUEST)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert message.transaction_id == vectors.SHORT_TERM_TRANSACTION_ID
    assert parse_text(message.get(AttributeType.SOFTWARE) or b"") == "STUN test client"
    assert parse_text(message.get(AttributeType.USERNAME) or b"") == vectors.SHORT_TERM_USERNAME
    assert parse_uint32(message.get(AttributeType.PRIORITY) or b"") == 0x6E0001FF
    assert parse_uint64(message.get(AttributeType.ICE_CONTROLLED) or b"") == 0x932FF9B151263B36
    verify_integrity(message, SHORT_TERM_KEY)
    verify_fingerprint(message)


@pytest.mark.parametrize(
    ("vector", "mapped"),
    [
        (vectors.SAMPLE_IPV4_RESPONSE, SocketAddress("192.0.2.1", 32853)),
        (vectors.SAMPLE_IPV6_RESPONSE, SocketAddress("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_the_sample_responses_of_rfc_5769_decode_and_verify(vector: bytes, mapped: SocketAddress) -> None:
    """ST-1: RFC 5769 sections 2.2 and 2.3."""
    message = parse_message(vector)
    assert message.message_class is MessageClass.SUCCESS
    assert parse_text(message.get(AttributeType.SOFTWARE) or b"") == "test vector"
    value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
    assert value is not None
    assert parse_xor_address(value, message.transaction_id) == mapped
    assert encode_xor_address(mapped, message.transaction_id) == value
    verify_integrity(message, SHORT_TERM_KEY)
    verify_fingerprint(message)


@pytest.mark.parametrize("vector", [*SHORT_TERM_VECTORS, vectors.SAMPLE_LONG_TERM_REQUEST, vectors.B1_REQUEST])
def test_a_decoded_vector_encodes_to_the_same_attributes(vector: bytes) -> None:
    """ST-1: byte for byte where the vector pads with zeros, else all but the padding."""
    message = parse_message(vector)
    rebuilt = MessageBuilder(message.method, message.message_class, message.transaction_id)
    for kind, value in message.attributes:
        rebuilt.add(kind, value)
    again = parse_message(rebuilt.build())
    assert again.attributes == message.attributes
    assert again.raw[:HEADER_SIZE] == vector[:HEADER_SIZE]
    if vector in (vectors.SAMPLE_LONG_TERM_REQUEST, vectors.B1_REQUEST):
        assert rebuilt.build() == vector


def test_the_long_term_request_of_rfc_5769_is_rebuilt_byte_for_byte() -> None:
    """ST-1: RFC 5769 section 2.4, MESSAGE-INTEGRITY computed by us."""
    built = MessageBuilder(Method.BINDING, MessageClass.REQUEST, vectors.LONG_TERM_TRANSACTION_ID)
    built.add(AttributeType.USERNAME, encode_text(vectors.LONG_TERM_USERNAME))
    built.add(AttributeType.NONCE, encode_text(vectors.LONG_TERM_NONCE))
    built.add(AttributeType.REALM, encode_text(vectors.LONG_TERM_REALM))
    assert built.add_integrity_sha1(LONG_TERM_KEY).build() == vectors.SAMPLE_LONG_TERM_REQUEST


def test_the_long_term_request_fails_with_the_password_as_typed() -> None:
    """ST-1: the key needs the prepared password."""
    message = parse_message(vectors.SAMPLE_LONG_TERM_REQUEST)
    verify_integrity(message, LONG_TERM_KEY)
    raw = long_term_key_md5(vectors.LONG_TERM_USERNAME, vectors.LONG_TERM_REALM, vectors.LONG_TERM_PASSWORD)
    with pytest.raises(IntegrityError):
        verify_integrity(message, raw)


def integrity_ends_at(message: Message) -> int:
    assert message.integrity_offset is not None
    return message.integrity_offset + 24


@pytest.mark.parametrize("vector", [*SHORT_TERM_VECTORS, vectors.SAMPLE_LONG_TERM_REQUEST])
def test_no_bit_under_message_integrity_can_be_flipped(vector: bytes) -> None:
    """ST-1: every single bit up to the end of MESSAGE-INTEGRITY."""
    key = LONG_TERM_KEY if vector is vectors.SAMPLE_LONG_TERM_REQUEST else SHORT_TERM_KEY
    for bit in range(8 * integrity_ends_at(parse_message(vector))):
        with pytest.raises(RemoteProtocolError):
            verify_integrity(parse_message(flipped(vector, bit)), key)


@pytest.mark.parametrize("vector", SHORT_TERM_VECTORS)
def test_no_bit_under_fingerprint_can_be_flipped(vector: bytes) -> None:
    """ST-1: every single bit of the message."""
    for bit in range(8 * len(vector)):
        with pytest.raises(RemoteProtocolError):
            verify_fingerprint(parse_message(flipped(vector, bit)))


def test_no_bit_under_message_integrity_sha256_can_be_flipped() -> None:
    """ST-1, ST-2: every single bit of the RFC 8489 vector."""
    for bit in range(8 * len(vectors.B1_REQUEST)):
        with pytest.raises(RemoteProtocolError):
            verify_integrity_sha256(parse_message(flipped(vectors.B1_REQUEST, bit)), B1_KEY)


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 0x80 >> bit % 8
    return bytes(damaged)


# -- RFC 8489


def test_the_request_of_rfc_8489_appendix_b_is_built_with_the_erratum_s_mac() -> None:
    """ST-2: USERHASH and MESSAGE-INTEGRITY-SHA256 are those of erratum 6268, not the printed ones."""
    hashed = userhash(vectors.LONG_TERM_USERNAME, vectors.LONG_TERM_REALM)
    assert hashed == vectors.B1_USERHASH
    built = MessageBuilder(Method.BINDING, MessageClass.REQUEST, vectors.LONG_TERM_TRANSACTION_ID)
    built.add(AttributeType.USERHASH, hashed)
    built.add(AttributeType.NONCE, encode_text(vectors.B1_NONCE))
    built.add(AttributeType.REALM, encode_text(vectors.LONG_TERM_REALM))
    built.add(AttributeType.PASSWORD_ALGORITHM, encode_password_algorithms([(2, b"")]))
    message = parse_message(built.add_integrity_sha256(B1_KEY).build())
    assert message.raw[2:4] == b"\x00\x90"
    mac = message.get(AttributeType.MESSAGE_INTEGRITY_SHA256)
    assert mac == vectors.B1_INTEGRITY_SHA256
    assert not mac.startswith(vectors.B1_PRINTED_INTEGRITY_SHA256_BEGINS)
    assert message.raw == vectors.B1_REQUEST
    assert parse_userhash(message.get(AttributeType.USERHASH) or b"") == hashed


def test_the_long_term_key_is_that_of_rfc_8489() -> None:
    """ST-3."""
    assert long_term_key_md5("user", "realm", "pass") == vectors.LONG_TERM_KEY_EXAMPLE


# -- missing and misshapen (ST-5)


def test_a_message_without_integrity_is_rejected_by_every_check() -> None:
    """ST-5."""
    message = parse_message(request().add(AttributeType.USERNAME, b"u").build())
    for verify in (verify_integrity, verify_integrity_sha256):
        with pytest.raises(IntegrityError, match="missing"):
            verify(message, b"key")
    with pytest.raises(IntegrityError, match="missing"):
        verify_fingerprint(message)
    assert has_well_formed_integrity(message)


def test_one_mac_does_not_stand_in_for_the_other() -> None:
    """ST-5: a message that carries only SHA-1 fails the SHA-256 check and the reverse."""
    with pytest.raises(IntegrityError, match="missing"):
        verify_integrity_sha256(parse_message(request().add_integrity_sha1(b"key").build()), b"key")
    with pytest.raises(IntegrityError, match="missing"):
        verify_integrity(parse_message(request().add_integrity_sha256(b"key").build()), b"key")


@pytest.mark.parametrize("size", [size for size in range(65) if size != 20])
def test_message_integrity_of_another_size_than_twenty_is_rejected(size: int) -> None:
    """ST-5."""
    message = parse_message(request().add(AttributeType.MESSAGE_INTEGRITY, bytes(size)).build())
    assert not has_well_formed_integrity(message)
    with pytest.raises(IntegrityError, match=f"{size} bytes"):
        verify_integrity(message, b"key")


# Spelled out, because the product's own constant would move with a mistake in it.
LEGAL_SHA256_SIZES = (16, 20, 24, 28, 32)


@pytest.mark.parametrize("size", [size for size in range(65) if size not in LEGAL_SHA256_SIZES])
def test_message_integrity_sha256_of_an_illegal_size_is_rejected(size: int) -> None:
    """ST-5: truncation to 12 bytes or to an odd size must not verify even when the bytes are right."""
    right = hmac_sha256(b"key", covered_by_sha256(size)) + bytes(64)
    message = parse_message(request().add(AttributeType.MESSAGE_INTEGRITY_SHA256, right[:size]).build())
    assert not has_well_formed_integrity(message)
    with pytest.raises(IntegrityError, match=f"{size} bytes"):
        verify_integrity_sha256(message, b"key")


@pytest.mark.parametrize("size", LEGAL_SHA256_SIZES)
def test_message_integrity_sha256_truncated_to_a_legal_size_verifies(size: int) -> None:
    """ST-5: RFC 8489 section 14.6."""
    mac = hmac_sha256(b"key", covered_by_sha256(size))[:size]
    message = parse_message(request().add(AttributeType.MESSAGE_INTEGRITY_SHA256, mac).build())
    assert has_well_formed_integrity(message)
    verify_integrity_sha256(message, b"key")
    with pytest.raises(IntegrityError, match="match"):
        verify_integrity_sha256(message, b"kez")


def covered_by_sha256(size: int) -> bytes:
    """The empty request under a header whose length ends with an attribute of `size` bytes."""
    return request().build()[:2] + (4 + size).to_bytes(2, "big") + request().build()[4:]


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8, 20])
def test_a_fingerprint_of_another_size_than_four_is_rejected(size: int) -> None:
    with pytest.raises(IntegrityError):
        verify_fingerprint(parse_message(request().add(AttributeType.FINGERPRINT, bytes(size)).build()))


@given(key=st.binary(min_size=1, max_size=64), other=st.binary(min_size=1, max_size=64), payload=st.binary(max_size=64))
def test_no_message_verifies_under_another_key(key: bytes, other: bytes, payload: bytes) -> None:
    """FZ-1: stun_auth."""
    # HMAC pads a key shorter than its block with zeros, so only keys that differ before that are different.
    if key.rstrip(b"\0") == other.rstrip(b"\0"):
        return
    message = parse_message(
        request().add(AttributeType.DATA, payload).add_integrity_sha1(key).add_integrity_sha256(key).build()
    )
    verify_integrity(message, key)
    verify_integrity_sha256(message, key)
    with pytest.raises(IntegrityError):
        verify_integrity(message, other)
    with pytest.raises(IntegrityError):
        verify_integrity_sha256(message, other)


def test_an_integrity_error_tells_neither_the_key_nor_the_right_mac() -> None:
    message = parse_message(request().add(AttributeType.MESSAGE_INTEGRITY, bytes(20)).build())
    with pytest.raises(IntegrityError) as caught:
        verify_integrity(message, b"a-secret-key")
    assert str(caught.value) == "MESSAGE-INTEGRITY does not match"
