"""The two ways to protect a packet whose number is known, in Python.

SRTP           header | payload, encrypted | tag
SRTCP, AEAD    header | payload, encrypted | tag | E and index
SRTCP, AES_CM  header | payload, encrypted | E and index | tag
"""

from __future__ import annotations

from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from icelane.crypto.provider import equal, hmac_sha1
from icelane.errors import AuthenticationError
from icelane.srtp.key_derivation import StreamKeys

# RFC 3711 section 3.4: the first header and the SSRC of its sender stay in the clear.
RTCP_HEADER_SIZE: Final = 8
INDEX_SIZE: Final = 4
_HMAC_TAG_SIZE: Final = 10
_REFUSED: Final = "the authentication tag does not match"


class Transform(Protocol):
    """Protects and opens. `index` is the packet's number, `trailer` the four bytes that say so in SRTCP.

    Opening raises AuthenticationError; sizes were looked at before.
    """

    def seal_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """The SRTP packet."""
        ...

    def open_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """The RTP packet."""
        ...

    def seal_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """The SRTCP packet."""
        ...

    def open_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """The RTCP packet."""
        ...

    def index_of(self, packet: bytes) -> bytes:
        """The trailer of an SRTCP packet."""
        ...


class Gcm:
    """AES in Galois/counter mode (RFC 7714 sections 8 and 9)."""

    def __init__(self, keys: StreamKeys) -> None:
        self._aead = AESGCM(keys.encryption)
        self._salt = int.from_bytes(keys.salt, "big")

    def seal_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """See Transform."""
        header = packet[:header_size]
        return header + self._aead.encrypt(self._nonce(ssrc, index), packet[header_size:], header)

    def open_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """See Transform."""
        header = packet[:header_size]
        return header + self._open(ssrc, index, packet[header_size:], header)

    def seal_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """See Transform."""
        header = packet[:RTCP_HEADER_SIZE]
        body = self._aead.encrypt(self._nonce(ssrc, index), packet[RTCP_HEADER_SIZE:], header + trailer)
        return header + body + trailer

    def open_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """See Transform."""
        header = packet[:RTCP_HEADER_SIZE]
        return header + self._open(ssrc, index, packet[RTCP_HEADER_SIZE:-INDEX_SIZE], header + trailer)

    def index_of(self, packet: bytes) -> bytes:
        """See Transform."""
        return packet[-INDEX_SIZE:]

    def _open(self, ssrc: int, index: int, data: bytes, associated: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(ssrc, index), data, associated)
        except InvalidTag as error:
            raise AuthenticationError(_REFUSED) from error

    def _nonce(self, ssrc: int, index: int) -> bytes:
        return (self._salt ^ (ssrc << 48 | index)).to_bytes(12, "big")


class CounterMode:
    """AES in counter mode, and HMAC-SHA1 cut to 80 bits (RFC 3711 sections 4.1.1 and 4.2.1)."""

    def __init__(self, keys: StreamKeys) -> None:
        self._aes = algorithms.AES(keys.encryption)
        self._authentication_key = keys.authentication
        self._salt = int.from_bytes(keys.salt, "big")

    def seal_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """See Transform."""
        sealed = packet[:header_size] + self._crypt(ssrc, index, packet[header_size:])
        return sealed + self._tag(sealed, _rollover(index))

    def open_rtp(self, packet: bytes, header_size: int, ssrc: int, index: int) -> bytes:
        """See Transform."""
        sealed = packet[:-_HMAC_TAG_SIZE]
        self._check(packet, self._tag(sealed, _rollover(index)))
        return sealed[:header_size] + self._crypt(ssrc, index, sealed[header_size:])

    def seal_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """See Transform."""
        sealed = packet[:RTCP_HEADER_SIZE] + self._crypt(ssrc, index, packet[RTCP_HEADER_SIZE:])
        return sealed + trailer + self._tag(sealed, trailer)

    def open_rtcp(self, packet: bytes, ssrc: int, index: int, trailer: bytes) -> bytes:
        """See Transform."""
        sealed = packet[: -_HMAC_TAG_SIZE - INDEX_SIZE]
        self._check(packet, self._tag(sealed, trailer))
        return sealed[:RTCP_HEADER_SIZE] + self._crypt(ssrc, index, sealed[RTCP_HEADER_SIZE:])

    def index_of(self, packet: bytes) -> bytes:
        """See Transform."""
        return packet[-_HMAC_TAG_SIZE - INDEX_SIZE : -_HMAC_TAG_SIZE]

    def _tag(self, sealed: bytes, behind: bytes) -> bytes:
        return hmac_sha1(self._authentication_key, sealed + behind)[:_HMAC_TAG_SIZE]

    def _check(self, packet: bytes, tag: bytes) -> None:
        if not equal(packet[-_HMAC_TAG_SIZE:], tag):
            raise AuthenticationError(_REFUSED)

    def _crypt(self, ssrc: int, index: int, data: bytes) -> bytes:
        counter = (self._salt << 16 ^ ssrc << 64 ^ index << 16).to_bytes(16, "big")
        return Cipher(self._aes, modes.CTR(counter)).encryptor().update(data)


def _rollover(index: int) -> bytes:
    return (index >> 16).to_bytes(4, "big")
