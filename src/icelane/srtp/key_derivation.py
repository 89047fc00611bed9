"""Session keys from master keys (RFC 3711 section 4.3, RFC 7714 section 11), derived once: the rate is zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from icelane.errors import InvalidAccessError
from icelane.srtp.profile import ProtectionProfile

_RTP_LABELS: Final = (0x00, 0x01, 0x02)
_RTCP_LABELS: Final = (0x03, 0x04, 0x05)
# Where the label stands in the 14 bytes that the salt is combined with: in front of six bytes of index, which are 0.
_LABEL_POSITION: Final = 7


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """What protects RTP, or RTCP, in one direction; `authentication` is empty with AEAD."""

    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What protects one direction."""

    rtp: StreamKeys
    rtcp: StreamKeys


def derive_session_keys(profile: ProtectionProfile, master_key: bytes, master_salt: bytes) -> SessionKeys:
    """The keys of one direction. Raises InvalidAccessError when a size is not the profile's."""
    if len(master_key) != profile.key_size or len(master_salt) != profile.salt_size:
        raise InvalidAccessError(f"{len(master_key)} bytes of key and {len(master_salt)} of salt for {profile.name}")
    return SessionKeys(
        _stream_keys(profile, master_key, master_salt, _RTP_LABELS),
        _stream_keys(profile, master_key, master_salt, _RTCP_LABELS),
    )


def _stream_keys(profile: ProtectionProfile, key: bytes, salt: bytes, labels: tuple[int, int, int]) -> StreamKeys:
    encryption, authentication, salting = labels
    return StreamKeys(
        derive(key, salt, encryption, profile.key_size),
        derive(key, salt, authentication, profile.authentication_key_size),
        derive(key, salt, salting, profile.salt_size),
    )


def derive(master_key: bytes, master_salt: bytes, label: int, size: int) -> bytes:
    """`size` bytes of the key stream of AES in counter mode that belongs to `label` (RFC 3711 section 4.3.3).

    A salt of 12 bytes counts as one of 14 that ends with zeros.
    """
    block = bytearray(master_salt.ljust(16, b"\0"))
    block[_LABEL_POSITION] ^= label
    return Cipher(algorithms.AES(master_key), modes.CTR(bytes(block))).encryptor().update(bytes(size))
