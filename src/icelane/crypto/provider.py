"""Hashes, MACs, constant-time comparison and the real source of randomness."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib


class SystemEntropy:
    """The operating system's randomness; satisfies `icelane.core.entropy.Entropy`."""

    def token(self, size: int) -> bytes:
        """`size` random bytes."""
        return secrets.token_bytes(size)

    def below(self, limit: int) -> int:
        """A uniform integer in `0 <= n < limit`."""
        return secrets.randbelow(limit)


def hmac_sha1(key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """HMAC-SHA1, 20 bytes (RFC 2104)."""
    return hmac.digest(key, data, "sha1")


def hmac_sha256(key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """HMAC-SHA256, 32 bytes (RFC 2104)."""
    return hmac.digest(key, data, "sha256")


def md5(data: bytes) -> bytes:
    """MD5, 16 bytes: the long-term key of RFC 8489 section 9.2.2, where the MAC around it is what protects."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def digest(data: bytes, name: str) -> bytes:
    """The hash of `data` by the function that Python's hashlib calls `name`."""
    return hashlib.new(name, data).digest()


def equal(a: bytes, b: bytes) -> bool:
    """Whether both are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(a, b)


def crc32(data: bytes | bytearray | memoryview) -> int:
    """The CRC-32 of FINGERPRINT (RFC 8489 section 14.7)."""
    return zlib.crc32(data)
