"""The protection profiles, and which key of a DTLS handshake is whose (RFC 5764)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from icelane.errors import InvalidAccessError


class ProtectionProfile(enum.IntEnum):
    """By their numbers in DTLS (RFC 5764 section 4.1.2, RFC 7714 section 14.2)."""

    AES128_CM_HMAC_SHA1_80 = 0x0001
    AEAD_AES_128_GCM = 0x0007
    AEAD_AES_256_GCM = 0x0008

    @property
    def is_aead(self) -> bool:
        """Whether one algorithm both encrypts and authenticates."""
        return self is not ProtectionProfile.AES128_CM_HMAC_SHA1_80

    @property
    def key_size(self) -> int:
        """Bytes of a master key, and of an encryption key."""
        return 32 if self is ProtectionProfile.AEAD_AES_256_GCM else 16

    @property
    def salt_size(self) -> int:
        """Bytes of a master salt, and of a session salt."""
        return 12 if self.is_aead else 14

    @property
    def authentication_key_size(self) -> int:
        """Bytes of an authentication key; AEAD has none."""
        return 0 if self.is_aead else 20

    @property
    def tag_size(self) -> int:
        """Bytes that authenticate a packet."""
        return 16 if self.is_aead else 10


def profile_of(number: int) -> ProtectionProfile:
    """The profile with a number of DTLS. Raises InvalidAccessError when it is not known here."""
    try:
        return ProtectionProfile(number)
    except ValueError as error:
        raise InvalidAccessError(f"no SRTP protection profile: {number:#06x}") from error


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The master keys and salts of both directions, seen from one end."""

    local_key: bytes = field(repr=False)
    local_salt: bytes = field(repr=False)
    remote_key: bytes = field(repr=False)
    remote_salt: bytes = field(repr=False)


def keys_from_exporter(profile: int, material: bytes, is_client: bool) -> MasterKeys:
    """Divide what the DTLS exporter gave: client key, server key, client salt, server salt (RFC 5764 section 4.2).

    `is_client` says which end of DTLS we are. Raises InvalidAccessError when `material` has not the profile's size.
    """
    known = profile_of(profile)
    key, salt = known.key_size, known.salt_size
    if len(material) != 2 * (key + salt):
        raise InvalidAccessError(f"{len(material)} bytes of keying material for {known.name}")
    return keys_for_role(
        client_key=material[:key],
        server_key=material[key : 2 * key],
        client_salt=material[2 * key : 2 * key + salt],
        server_salt=material[2 * key + salt :],
        is_client=is_client,
    )


def keys_for_role(
    *, client_key: bytes, server_key: bytes, client_salt: bytes, server_salt: bytes, is_client: bool
) -> MasterKeys:
    """The same, where DTLS has divided it already: what the client sends is protected by the `client_` ones."""
    if is_client:
        return MasterKeys(client_key, client_salt, server_key, server_salt)
    return MasterKeys(server_key, server_salt, client_key, client_salt)
