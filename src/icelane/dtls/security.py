"""What a finished handshake came to: parameters for a report, and keys for SRTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from icelane.dtls.backend import Session
from icelane.dtls.identity import Fingerprint
from icelane.dtls.options import SRTP_NAMES, SUITE_NAMES, SrtpProfile
from icelane.errors import HandshakeError

# RFC 5764 section 4.2
EXPORTER_LABEL: Final = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True, slots=True)
class SecurityParameters:
    """How a connection is protected, and who is at its other end. Nothing in it is secret.

    `protocol` is `DTLSv1.2`, `cipher_suite` the name in IANA's registry. `remote_certificate` is in DER; each of
    `remote_fingerprints` was signalled and matches it. `remote_fingerprint` and `local_fingerprint` are by SHA-256.
    """

    protocol: str
    cipher_suite: str
    srtp_profile: SrtpProfile | None
    remote_certificate: bytes
    remote_fingerprint: bytes
    remote_fingerprints: tuple[Fingerprint, ...]
    local_fingerprint: bytes


@dataclass(frozen=True, slots=True)
class KeyingMaterial:
    """The master keys and salts of SRTP: what the DTLS client sends is protected by the `client_` ones."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    client_salt: bytes = field(repr=False)
    server_salt: bytes = field(repr=False)


def negotiated_profile(session: Session, offered: tuple[SrtpProfile, ...]) -> SrtpProfile | None:
    """The SRTP profile that was agreed on, None when there is none; HandshakeError for one that was not offered."""
    name = session.srtp_profile
    if not name:
        return None
    for profile in offered:
        if SRTP_NAMES[profile] == name:
            return profile
    raise HandshakeError(f"the peer chose the SRTP profile {name}, which was not offered")


def negotiated_suite(session: Session) -> str:
    """The cipher suite by IANA's name; HandshakeError for one that was not offered."""
    suite = SUITE_NAMES.get(session.cipher_suite)
    if suite is None or session.protocol != "DTLSv1.2":
        raise HandshakeError(f"{session.protocol} with {session.cipher_suite} was not offered")
    return suite


def export_keys(session: Session, profile: SrtpProfile) -> KeyingMaterial:
    """The keys of RFC 5764 section 4.2: client key, server key, client salt, server salt, in this order."""
    key, salt = profile.key_size, profile.salt_size
    material = session.export(EXPORTER_LABEL, 2 * (key + salt))
    return KeyingMaterial(
        client_key=material[:key],
        server_key=material[key : 2 * key],
        client_salt=material[2 * key : 2 * key + salt],
        server_salt=material[2 * key + salt :],
    )
