"""Hashes, MACs, constant-time comparison and the real source of randomness."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import zlib
from collections.abc import Callable
from functools import lru_cache
from os import urandom
from types import ModuleType
from typing import TYPE_CHECKING, Final

from icelane.errors import NotSupportedError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

Mac = Callable[[bytes, "bytes | bytearray | memoryview"], bytes]
"""Key and data to the MAC."""

# For how many keys the two hashes are kept that begin a MAC.
_MAX_KEYS: Final = 1024
# RFC 2104: of SHA-1 and SHA-256, and what the key is masked with.
_BLOCK_SIZE: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
# The base64 of MIME, which binascii knows, and that of URLs.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")


class SystemEntropy:
    """The operating system's randomness; satisfies `icelane.core.entropy.Entropy`."""

    def token(self, size: int) -> bytes:
        """`size` random bytes."""
        return urandom(size)

    def below(self, limit: int) -> int:
        """A uniform integer in `0 <= n < limit`."""
        if limit <= 0:
            raise ValueError("there is no number below that")
        bits = (limit - 1).bit_length()
        size, excess = (bits + 7) // 8, -bits % 8
        while True:
            number = int.from_bytes(urandom(size), "big") >> excess
            if number < limit:
                return number


def _find_libcrypto() -> ModuleType | None:
    """What calls the system's library without hashlib between, where it was compiled and the library is there."""
    try:
        from icelane.crypto import libcrypto

        libcrypto.load()
    except (ImportError, NotSupportedError):
        return None
    return libcrypto


def _hmac_sha1(key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """HMAC-SHA1, 20 bytes (RFC 2104)."""
    return _hmac(hashlib.sha1, key, data)


def _hmac_sha256(key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """HMAC-SHA256, 32 bytes (RFC 2104)."""
    return _hmac(hashlib.sha256, key, data)


def _sealed_text(key: bytes, head: bytes, bound: bytes, size: int) -> bytes:
    """`head` and the first `size` bytes of the HMAC-SHA256 of `head` and `bound`, in base64 of URLs without padding."""
    text = binascii.b2a_base64(head + _hmac_sha256(key, head + bound)[:size], newline=False)
    return text.translate(_TO_URL).rstrip(b"=")


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


def _equal(a: bytes, b: bytes) -> bool:
    """Whether both are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(a, b)


def crc32(data: bytes | bytearray | memoryview) -> int:
    """The CRC-32 of FINGERPRINT (RFC 8489 section 14.7)."""
    return zlib.crc32(data)


_libcrypto = _find_libcrypto()
hmac_sha1: Final[Mac] = _hmac_sha1 if _libcrypto is None else _libcrypto.hmac_sha1
hmac_sha256: Final[Mac] = _hmac_sha256 if _libcrypto is None else _libcrypto.hmac_sha256
sealed_text: Final[Callable[[bytes, bytes, bytes, int], bytes]] = (
    _sealed_text if _libcrypto is None else _libcrypto.sealed_text
)
equal: Final[Callable[[bytes, bytes], bool]] = _equal if _libcrypto is None else _libcrypto.equal
