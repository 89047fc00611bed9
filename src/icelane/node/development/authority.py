"""The certificate authority of one user's development nodes, and the certificates that it signs.

    authority = authority_of(places.authority, now, host_name="laptop")    # read, or made the first time
    leaf = authority.issue(names=("laptop.local",), hosts=("192.168.1.20",), unix_time=now)

Whoever trusts it trusts its key, which lies in a file. So its certificate says, in an extension that nobody may pass
over, that what it signs counts for private addresses, for `localhost` and for names ending in `.local` alone
(RFC 5280 section 4.2.1.10): a stolen key opens no bank. What it signs lives for a week, and each start makes another.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from icelane.core.clock import Duration, UnixSeconds
from icelane.crypto.certificate import DAY, fingerprint_of
from icelane.errors import ConfigurationError
from icelane.node.development.addresses import LOOPBACK, PRIVATE
from icelane.node.development.places import PRIVATE_FILE
from icelane.node.development.places import PUBLIC_FILE as PUBLIC_FILE

LIFETIME: Final[Duration] = 730 * DAY
"""Of the authority: each new one has to be trusted again on every device."""

LEAF_LIFETIME: Final[Duration] = 7 * DAY
"""Of what it signs; a node that runs for longer is to be started again."""

NAMES: Final = ("localhost", "local")
"""What names it may sign: these, and what ends in them."""

_ORGANIZATION: Final = "icelane development"
# Clocks of phones differ.
_BACKDATED: Final = DAY
_KEY: Final = "the development authority"
_OWNER_ONLY: Final = 0o600
_FOR_ALL: Final = 0o644
_MAX_NAME: Final = 40


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A server's certificate with the authority's below it, and its key; both PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """`file` holds the certificate for others to read."""

    certificate: x509.Certificate
    file: Path
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    def issue(self, *, names: Sequence[str], hosts: Sequence[str], unix_time: UnixSeconds) -> Leaf:
        """A new key and a certificate for it, good for a week. Browsers refuse what its constraints do not cover."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        subject += [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
        signed = (
            _validity(x509.CertificateBuilder(), unix_time, LEAF_LIFETIME)
            .subject_name(_name("development node"))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .add_extension(x509.SubjectAlternativeName(subject), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        chain = signed.public_bytes(Encoding.PEM) + self.pem
        return Leaf(chain=chain, key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The same in DER, as phones take it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def name(self) -> str:
        """What lists of certificates show."""
        found = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else _ORGANIZATION

    @property
    def fingerprint(self) -> str:
        """SHA-256, in pairs of hexadecimal digits with colons between them."""
        return fingerprint_of(self.der, "sha-256").hex(":").upper()

    def fingerprint_lines(self, count: int) -> list[str]:
        """The same in so many lines of equal length, for people who compare it."""
        pairs = self.fingerprint.split(":")
        size = len(pairs) // count
        return [":".join(pairs[start : start + size]) for start in range(0, len(pairs), size)]

    @property
    def expires_at(self) -> UnixSeconds:
        """When it ends."""
        return UnixSeconds(self.certificate.not_valid_after_utc.timestamp())


def authority_of(folder: Path, unix_time: UnixSeconds, *, host_name: str, make: bool = True) -> Authority:
    """The one in `folder`, or with `make` a new one where there is none or it ends soon. Raises ConfigurationError.

    `host_name` becomes a part of its name, so that lists of certificates tell two machines apart. Root does not `make`
    one in somebody else's home: what he made there would be root's, and the other's commands could not use it.
    """
    found = load_authority(folder)
    if not make:
        if found is None:
            text = "is not there yet: `icelane certs show`, without sudo, makes one that is yours"
            raise ConfigurationError(text, key=_KEY, file=str(folder))
        return found
    try:
        if found is not None and _is_good(found, unix_time) and _is_published(found):
            return found
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            _renew(folder, unix_time, host_name)
    except OSError as error:
        raise ConfigurationError(f"cannot be written: {_reason(error)}", key=_KEY, file=str(folder)) from None
    made = load_authority(folder)
    if made is None:
        raise ConfigurationError("is gone as soon as it was made", key=_KEY, file=str(folder))
    return made


def load_authority(folder: Path) -> Authority | None:
    """The one in `folder`; None when there is none. Raises ConfigurationError for a file that is broken or open."""
    path = folder / PRIVATE_FILE
    try:
        content = path.read_bytes()
        if path.stat().st_mode & 0o077:
            text = "others can read its key, so it is nobody's to trust: `icelane certs untrust`, then delete the file"
            raise ConfigurationError(text, key=_KEY, file=str(path))
        key = load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {_reason(error)}", key=_KEY, file=str(path)) from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError("is broken; delete the file, and trust the next one", key=_KEY, file=str(path))
    return Authority(certificate=certificate, file=folder / PUBLIC_FILE, _key=key)


def is_constrained(certificate: x509.Certificate) -> bool:
    """Whether it is an authority whose signature counts for private addresses and our names alone, on servers.

    Constraints bind only the kinds of names that they list (RFC 5280 section 4.2.1.10), so that one which permits
    fewer may sign more: all of ours have to be there.
    """
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.NameConstraints)
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return (
        basic.ca
        and basic.path_length == 0
        and constraints.critical
        and set(constraints.value.permitted_subtrees or ()) == set(_permitted())
        and list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    )


def _is_good(authority: Authority, unix_time: UnixSeconds) -> bool:
    return authority.expires_at > unix_time + LEAF_LIFETIME


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of two that write at once the second waits, and finds what the first has made. Raises OSError."""
    try:
        import fcntl
    except ImportError:  # Windows, where the first one's stays all the same, but for that moment
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _renew(folder: Path, unix_time: UnixSeconds, host_name: str) -> None:
    found = load_authority(folder)
    if found is not None and _is_good(found, unix_time):
        _publish(folder, found.pem)
        return
    if found is not None:
        (folder / PRIVATE_FILE).unlink(missing_ok=True)
    _make(folder, unix_time, host_name)


def _is_published(authority: Authority) -> bool:
    """Whether others can read the certificate, and no other one."""
    try:
        return authority.file.read_bytes() == authority.pem
    except FileNotFoundError:
        return False


def _publish(folder: Path, pem: bytes) -> None:
    _written(folder / f".{PUBLIC_FILE}.{os.getpid()}", pem, _FOR_ALL).replace(folder / PUBLIC_FILE)


def _make(folder: Path, unix_time: UnixSeconds, host_name: str) -> None:
    """The two files; of two that do it at once the first one's stay."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"icelane development on {host_name[:_MAX_NAME]} {serial % (1 << 24):06x}")
    certificate = (
        _validity(x509.CertificateBuilder(), unix_time, LIFETIME)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=_permitted(), excluded_subtrees=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        # Of what it signs as well: no program and no mail (RFC 5280 leaves that open, and everybody reads it so).
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = _written(folder / f".{PRIVATE_FILE}.{os.getpid()}", pem + private, _OWNER_ONLY)
    try:
        with suppress(FileExistsError):
            os.link(draft, folder / PRIVATE_FILE)
            _publish(folder, pem)
    finally:
        draft.unlink(missing_ok=True)


def _written(path: Path, content: bytes, mode: int) -> Path:
    path.unlink(missing_ok=True)
    # Created with its mode, not given it afterwards: in between others could open it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
    return path


def _permitted() -> list[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_network(text)) for text in (*PRIVATE, *LOOPBACK)]
    return [*(x509.DNSName(name) for name in NAMES), *addresses]


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _validity(builder: x509.CertificateBuilder, now: UnixSeconds, lifetime: Duration) -> x509.CertificateBuilder:
    first, last = (datetime.datetime.fromtimestamp(int(at), datetime.UTC) for at in (now - _BACKDATED, now + lifetime))
    return builder.not_valid_before(first).not_valid_after(last)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
