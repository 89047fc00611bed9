"""Nonces that need no memory, and the security features they announce (RFC 8489 section 9.2).

    obMatJos2  gAAA     22 characters of base64
    |          |        |
    |          |        4 bytes of issue time, 12 bytes of HMAC-SHA256 over features, time, client address and port
    |          24 bits of security features, bit 0 is the most significant (see docs/assumptions/stun.md)
    the nonce cookie

A nonce is bound to the source address and port that asked for it, so it cannot be replayed from elsewhere, and it is
bound to nothing else, so a server issues any number of them without state.
"""

from __future__ import annotations

import base64
import binascii
import enum
from typing import Final

from icelane.core.clock import Duration, UnixSeconds
from icelane.core.net import SocketAddress, pack_host
from icelane.crypto.provider import equal, sealed_text
from icelane.errors import MalformedError

NONCE_COOKIE: Final = "obMatJos2"
_FEATURES_SIZE: Final = 4
_TIME_SIZE: Final = 4
_MAC_SIZE: Final = 12
_TOKEN_SIZE: Final = 22
_TOKEN_START: Final = len(NONCE_COOKIE) + _FEATURES_SIZE
NONCE_SIZE: Final = _TOKEN_START + _TOKEN_SIZE
# So many characters of base64 hold the issue time, and are whole bytes.
_TIME_END: Final = _TOKEN_START + 8
KEY_SIZE: Final = 32
# From the base64 of URLs, in which a nonce is written, to that of MIME, which binascii knows.
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


class SecurityFeature(enum.IntFlag):
    """The bits of RFC 8489 section 18.1, numbered from the most significant of 24."""

    NONE = 0
    PASSWORD_ALGORITHMS = 1 << 23
    USERNAME_ANONYMITY = 1 << 22


class NonceVerdict(enum.Enum):
    """What a server thinks of a nonce that came back."""

    VALID = "valid"
    STALE = "stale"  # ours, for this source, but too old or from the future
    FOREIGN = "foreign"  # not ours, altered, or issued to another source


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_VALID: Final = NonceVerdict.VALID
_STALE: Final = NonceVerdict.STALE
_FOREIGN: Final = NonceVerdict.FOREIGN


def parse_security_features(nonce: str) -> SecurityFeature | None:
    """The features that a nonce announces, None when it has no cookie (an RFC 5389 server).

    Raises MalformedError when the cookie is there and its four characters are not base64.
    """
    if not nonce.startswith(NONCE_COOKIE):
        return None
    encoded = nonce[len(NONCE_COOKIE) : len(NONCE_COOKIE) + _FEATURES_SIZE]
    try:
        bits = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedError("the nonce cookie is not followed by base64") from None
    if len(bits) != 3:
        raise MalformedError("the nonce cookie is not followed by 24 bits")
    return SecurityFeature(int.from_bytes(bits, "big"))


class NonceFactory:
    """Issues and checks nonces with one secret key of 32 bytes.

    `lifetime` is how long a nonce is good for, `skew` how far another worker's clock may run ahead.
    """

    __slots__ = ("_beginning", "_features", "_key", "_lifetime", "_skew")

    def __init__(
        self,
        key: bytes,
        features: SecurityFeature = SecurityFeature.PASSWORD_ALGORITHMS,
        lifetime: Duration = 600.0,
        skew: Duration = 5.0,
    ) -> None:
        if len(key) < KEY_SIZE:
            raise ValueError(f"a nonce key has at least {KEY_SIZE} bytes")
        self._key = key
        self._features = base64.b64encode(features.to_bytes(3, "big"))
        self._beginning = NONCE_COOKIE.encode("ascii") + self._features
        self._lifetime = lifetime
        self._skew = skew

    def issue(self, client: SocketAddress, unix_time: UnixSeconds) -> str:
        """A nonce for `client`."""
        return self._nonce((int(unix_time) & 0xFFFFFFFF).to_bytes(_TIME_SIZE, "big"), client).decode("ascii")

    def verify(self, nonce: str, client: SocketAddress, unix_time: UnixSeconds) -> NonceVerdict:
        """Whether `nonce` was issued to `client` by a holder of this key, and is still good."""
        if len(nonce) != NONCE_SIZE or not nonce.isascii():
            return _FOREIGN
        text = nonce.encode("ascii")
        try:
            issued = binascii.a2b_base64(text[_TOKEN_START:_TIME_END].translate(_FROM_URL))[:_TIME_SIZE]
        except binascii.Error:
            return _FOREIGN
        # The whole text is compared: decoding ignores some bits of the last character, and what is no base64.
        if not equal(text, self._nonce(issued, client)):
            return _FOREIGN
        age = unix_time - int.from_bytes(issued, "big")
        return _VALID if -self._skew <= age <= self._lifetime else _STALE

    def _nonce(self, issued: bytes, client: SocketAddress) -> bytes:
        bound = self._features + client[1].to_bytes(2, "big") + pack_host(client[0])
        return self._beginning + sealed_text(self._key, issued, bound, _MAC_SIZE)
