"""Certificates for tests: an authority that lives as long as the process, and what it signs, good and bad."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "turn.example.org"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
LAST_YEAR = datetime.now(UTC) - timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate chain and its key, as PEM files."""

    certificate: Path
    key: Path

    def toml(self) -> str:
        """The section `[tls]` of a configuration."""
        return f'[tls]\ncertificate = "{self.certificate}"\nkey = "{self.key}"\n'

    def section(self) -> dict[str, str]:
        """The section as a table."""
        return {"certificate": str(self.certificate), "key": str(self.key)}


@cache
def authority() -> trustme.CA:
    """The one that the clients of a test trust."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """One that nobody trusts."""
    return trustme.CA()


def authority_file(folder: Path, signer: trustme.CA | None = None) -> Path:
    """The certificate of `signer`, by default of `authority`, as a PEM file."""
    path = folder / "authority.pem"
    (signer or authority()).cert_pem.write_to_path(str(path))
    return path


def trusting() -> ssl.SSLContext:
    """A client's context, which trusts `authority` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


def serving(pair: Pair) -> ssl.SSLContext:
    """A server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def write_pair(folder: Path, leaf: trustme.LeafCert, name: str = "server", *, with_intermediates: bool = True) -> Pair:
    """Write the chain and the key."""
    pair = Pair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    chain = leaf.cert_chain_pems if with_intermediates else leaf.cert_chain_pems[:1]
    pair.certificate.write_bytes(b"".join(blob.bytes() for blob in chain))
    pair.key.write_bytes(leaf.private_key_pem.bytes())
    return pair


def good(folder: Path, *names: str, file: str = "server") -> Pair:
    """For `names`, by default `NAME`, from `authority`."""
    return write_pair(folder, authority().issue_cert(*(names or (NAME,))), file)


def expired(folder: Path, *names: str) -> Pair:
    """It was good until yesterday."""
    leaf = authority().issue_cert(*(names or (NAME,)), not_before=LAST_YEAR, not_after=YESTERDAY)
    return write_pair(folder, leaf, "expired")


def unknown(folder: Path, *names: str) -> Pair:
    """From an authority that nobody trusts."""
    return write_pair(folder, stranger().issue_cert(*(names or (NAME,))), "unknown")


def misnamed(folder: Path) -> Pair:
    """For another name."""
    return good(folder, "elsewhere.example.org", file="misnamed")


def for_an_address(folder: Path) -> Pair:
    """For the address that the server is at, and for no name."""
    return good(folder, "127.0.0.1", file="address")


def without_intermediate(folder: Path) -> Pair:
    """From an authority below `authority`, whose certificate is left out."""
    below = authority().create_child_ca()
    return write_pair(folder, below.issue_cert(NAME), "incomplete", with_intermediates=False)


def with_intermediate(folder: Path) -> Pair:
    """From an authority below `authority`, with the whole chain."""
    return write_pair(folder, authority().create_child_ca().issue_cert(NAME), "complete")


def self_signed(folder: Path) -> Pair:
    """Its own authority."""
    return _made(folder, "self-signed", None, ExtendedKeyUsageOID.SERVER_AUTH)


def for_clients_only(folder: Path) -> Pair:
    """The extended key usage says that it is for TLS clients, so a server must not use it."""
    return _made(folder, "client-only", authority(), ExtendedKeyUsageOID.CLIENT_AUTH)


BAD = {
    "expired": expired,
    "self-signed": self_signed,
    "another name": misnamed,
    "an address and no name": for_an_address,
    "for clients only": for_clients_only,
    "without its intermediate": without_intermediate,
    "unknown authority": unknown,
}


def _made(folder: Path, name: str, signer: trustme.CA | None, usage: x509.ObjectIdentifier) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    issuer, issuer_key = (subject, key) if signer is None else _signing(signer)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(YESTERDAY)
        .not_valid_after(datetime.now(UTC) + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pair = Pair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair


def _signing(signer: trustme.CA) -> tuple[x509.Name, CertificateIssuerPrivateKeyTypes]:
    key = serialization.load_pem_private_key(signer.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(signer.cert_pem.bytes()).subject, key
