"""Keys and the verification of MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.

A check whose result must not be ignored raises, so no function here returns a bool.
"""

from __future__ import annotations

from typing import Final

from icelane.crypto.provider import crc32, equal, hmac_sha1, hmac_sha256, md5, sha256
from icelane.errors import IntegrityError
from icelane.stun.message import FINGERPRINT_XOR, HEADER_SIZE, Message

SHA1_SIZE: Final = 20
SHA256_SIZES: Final = (16, 20, 24, 28, 32)  # RFC 8489 section 14.6: truncated to a multiple of four, 16 at least


def long_term_key_md5(username: str, realm: str, password: str) -> bytes:
    """The key of RFC 8489 section 9.2.2 with the MD5 algorithm; strings are already prepared."""
    return md5(f"{username}:{realm}:{password}".encode())


def long_term_key_sha256(username: str, realm: str, password: str) -> bytes:
    """The key of RFC 8489 section 9.2.2 with the SHA-256 algorithm; strings are already prepared."""
    return sha256(f"{username}:{realm}:{password}".encode())


def userhash(username: str, realm: str) -> bytes:
    """USERHASH (RFC 8489 section 14.4), 32 bytes."""
    return sha256(f"{username}:{realm}".encode())


def verify_integrity(message: Message, key: bytes) -> None:
    """Check MESSAGE-INTEGRITY with `key`; raises IntegrityError when it is absent, misshapen or wrong."""
    offset = message.integrity_offset
    if offset is None:
        raise IntegrityError("MESSAGE-INTEGRITY is missing")
    value = _value_at(message, offset)
    if len(value) != SHA1_SIZE:
        raise IntegrityError(f"MESSAGE-INTEGRITY has {len(value)} bytes")
    if not equal(value, hmac_sha1(key, _covered(message, offset, SHA1_SIZE))):
        raise IntegrityError("MESSAGE-INTEGRITY does not match")


def verify_integrity_sha256(message: Message, key: bytes) -> None:
    """Check MESSAGE-INTEGRITY-SHA256 with `key`; raises IntegrityError when it is absent, misshapen or wrong."""
    offset = message.integrity_sha256_offset
    if offset is None:
        raise IntegrityError("MESSAGE-INTEGRITY-SHA256 is missing")
    value = _value_at(message, offset)
    if len(value) not in SHA256_SIZES:
        raise IntegrityError(f"MESSAGE-INTEGRITY-SHA256 has {len(value)} bytes")
    if not equal(value, hmac_sha256(key, _covered(message, offset, len(value)))[: len(value)]):
        raise IntegrityError("MESSAGE-INTEGRITY-SHA256 does not match")


def has_well_formed_integrity(message: Message) -> bool:
    """Whether every integrity attribute present has a legal size; a request that fails this gets 400 (ST-5)."""
    offset = message.integrity_offset
    if offset is not None and len(_value_at(message, offset)) != SHA1_SIZE:
        return False
    offset = message.integrity_sha256_offset
    return offset is None or len(_value_at(message, offset)) in SHA256_SIZES


def verify_fingerprint(message: Message) -> None:
    """Check FINGERPRINT; raises IntegrityError when it is absent or wrong."""
    offset = message.fingerprint_offset
    if offset is None:
        raise IntegrityError("FINGERPRINT is missing")
    expected = (crc32(_covered(message, offset, 4)) ^ FINGERPRINT_XOR).to_bytes(4, "big")
    if not equal(_value_at(message, offset), expected):
        raise IntegrityError("FINGERPRINT does not match")


def _value_at(message: Message, offset: int) -> bytes:
    raw = message.raw
    length = raw[offset + 2] << 8 | raw[offset + 3]
    return raw[offset + 4 : offset + 4 + length]


def _covered(message: Message, offset: int, value_size: int) -> bytearray:
    # Section 14.5: the MAC covers what stands before the attribute, under a header whose length ends with it.
    length = offset + 4 + value_size - HEADER_SIZE
    covered = bytearray(message.raw[:offset])
    covered[2] = length >> 8
    covered[3] = length & 0xFF
    return covered
