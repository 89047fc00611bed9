"""Hashes, MACs, constant-time comparison and the real source of randomness."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

# For how many keys the two hashes are kept that begin a MAC.
_MAX_KEYS: Final = 1024
# RFC 2104: of SHA-1 and SHA-256, and what the key is masked with.
_BLOCK_SIZE: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


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
    return _hmac(hashlib.sha1, key, data)


def hmac_sha256(key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """HMAC-SHA256, 32 bytes (RFC 2104)."""
    return _hmac(hashlib.sha256, key, data)


def _hmac(make: Callable[[bytes], Hash], key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    begun = _begun(make, key)
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(data)
    outer.update(inner.digest())
    return outer.digest()


# hmac.digest looks the hash up and hashes the key's two blocks every time, which takes four times as long as the rest
# of the MAC of a STUN message. The keys here are those of whoever uses the program right now, in memory anyway.
@lru_cache(maxsize=_MAX_KEYS)
def _begun(make: Callable[[bytes], Hash], key: bytes) -> tuple[Hash, Hash]:
    padded = (key if len(key) <= _BLOCK_SIZE else make(key).digest()).ljust(_BLOCK_SIZE, b"\0")
    return make(padded.translate(_INNER)), make(padded.translate(_OUTER))


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
