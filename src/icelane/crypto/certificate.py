"""The certificate of a DTLS endpoint: made for one connection, or brought by the application.

    certificate = Certificate.generate(now=clock.unix_time(now))
    certificate.fingerprint("sha-256")         # goes into the session description (RFC 8122 section 5)

Nobody verifies a chain: in WebRTC a certificate is good because its fingerprint was signalled (RFC 8827 section 6.5).
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Sequence
from typing import Final, NoReturn, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from icelane.core.clock import Duration, UnixSeconds
from icelane.crypto.provider import digest
from icelane.errors import InvalidAccessError, NotSupportedError

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

FINGERPRINT_ALGORITHMS: Final = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""The hash functions that a fingerprint may use, by their names in RFC 8122 section 5, with Python's."""

DAY: Final = 86_400.0
# From notBefore to notAfter of what we make. A day of it lies in the past, for peers whose clock is behind.
MAX_VALIDITY: Final = 30 * DAY
BACKDATED: Final = DAY

MIN_RSA_BITS: Final = 2048
# Longer keys make one handshake cost seconds of CPU.
MAX_RSA_BITS: Final = 8192
RSA_EXPONENT: Final = 65_537
# RFC 8827 section 6.5 makes P-256 mandatory; a certificate on a curve that the peer does not offer as a group for the
# key exchange is refused by it (RFC 8422 section 5.1.1).
CURVES: Final = ("secp256r1", "secp384r1")
# How many certificates of a chain are kept; a longer one is refused. The whole chain travels in the handshake.
MAX_CHAIN: Final = 8

# What browsers write there. Anything else would tell endpoints apart.
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])


class KeyType(enum.Enum):
    """What kind of key `Certificate.generate` makes."""

    ECDSA_P256 = "ecdsa-p256"
    RSA = "rsa"


class Certificate:
    """A certificate, the chain above it, and its private key, which only `private_key_der` gives away.

    Made by `generate`, `from_pem` or `from_objects`. Immutable; equal when it is the same certificate.
    """

    __slots__ = ("_chain", "_expires", "_fingerprints", "_private_key")

    def __init__(self, chain: Sequence[x509.Certificate], private_key: PrivateKey) -> None:
        """`chain` begins with the endpoint's own certificate.

        Raises NotSupportedError for a kind of key that peers do not take, InvalidAccessError when the key is not that
        of the certificate.
        """
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise InvalidAccessError(f"a chain has 1 to {MAX_CHAIN} certificates, not {len(chain)}")
        _check_key(private_key)
        if _public_der(private_key) != _certified_key_der(chain[0]):
            raise InvalidAccessError("the private key does not belong to the certificate")
        self._chain = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
        self._private_key = private_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        self._expires = UnixSeconds(chain[0].not_valid_after_utc.timestamp())
        self._fingerprints: dict[str, bytes] = {}

    @classmethod
    def generate(
        cls,
        key_type: KeyType = KeyType.ECDSA_P256,
        *,
        rsa_bits: int = MIN_RSA_BITS,
        valid_for: Duration = MAX_VALIDITY - BACKDATED,
        now: UnixSeconds,
    ) -> Certificate:
        """A new key and a certificate that it signed itself, good from a day ago until `valid_for` seconds from now.

        `rsa_bits` is for RSA alone. Raises InvalidAccessError for a key that is too short or too long, or a validity
        that is not positive or makes the whole longer than 30 days.
        """
        if not 0 < valid_for <= MAX_VALIDITY - BACKDATED:
            raise InvalidAccessError(f"a certificate is made for up to {MAX_VALIDITY - BACKDATED:.0f} s from now")
        private_key = _generate_key(key_type, rsa_bits)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_NAME)
            .issuer_name(_NAME)
            .public_key(private_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_calendar(now - BACKDATED))
            .not_valid_after(_calendar(now + valid_for))
            .sign(private_key, hashes.SHA256())
        )
        return cls([certificate], private_key)

    @classmethod
    def from_pem(cls, certificate_chain: bytes, private_key: bytes, password: bytes | None = None) -> Certificate:
        """From PEM: the chain, the endpoint's own certificate first, and the key, which may stand in the same bytes.

        Raises InvalidAccessError when either does not parse or the password is wrong, and what the constructor raises.
        """
        try:
            chain = x509.load_pem_x509_certificates(certificate_chain)
            key = load_pem_private_key(private_key, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # the text may quote from the key: not passed on
            raise InvalidAccessError("the certificate or the private key cannot be read as PEM") from None
        return cls.from_objects(chain[0], key, chain[1:])

    @classmethod
    def from_objects(
        cls, certificate: x509.Certificate, private_key: object, chain: Sequence[x509.Certificate] = ()
    ) -> Certificate:
        """From the objects of `cryptography`; `chain` is what stands above `certificate`. Raises as the constructor."""
        if not isinstance(private_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise NotSupportedError("a key for DTLS is ECDSA or RSA")
        return cls([certificate, *chain], private_key)

    def fingerprint(self, algorithm: str = "sha-256") -> bytes:
        """The hash of the certificate; `algorithm` is `sha-256`, `sha-384` or `sha-512`, else NotSupportedError."""
        found = self._fingerprints.get(algorithm)
        if found is None:
            found = self._fingerprints[algorithm] = fingerprint_of(self.der, algorithm)
        return found

    def private_key_der(self) -> bytes:
        """The private key as SEC 1 or PKCS #1 has it, unencrypted. For a TLS library, and nobody else."""
        return self._private_key

    @property
    def der(self) -> bytes:
        """The endpoint's own certificate."""
        return self._chain[0]

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        """What stands above it, nearest first."""
        return self._chain[1:]

    @property
    def expires(self) -> UnixSeconds:
        """The end of its validity."""
        return self._expires

    def __eq__(self, other: object) -> bool:
        return self._chain == other._chain if isinstance(other, Certificate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._chain)

    def __repr__(self) -> str:
        return f"Certificate(sha-256 {self.fingerprint().hex()[:16]}..., expires {self._expires:.0f})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not written to anywhere: certificates cannot be pickled or copied")


def fingerprint_of(der: bytes, algorithm: str) -> bytes:
    """The hash of a certificate in DER; raises NotSupportedError when `algorithm` is none of FINGERPRINT_ALGORITHMS."""
    if algorithm not in FINGERPRINT_ALGORITHMS:
        raise NotSupportedError(f"fingerprints by {algorithm} are not made")
    return digest(der, FINGERPRINT_ALGORITHMS[algorithm])


def _generate_key(key_type: KeyType, rsa_bits: int) -> PrivateKey:
    if key_type is KeyType.ECDSA_P256:
        return ec.generate_private_key(ec.SECP256R1())
    if not MIN_RSA_BITS <= rsa_bits <= MAX_RSA_BITS:
        raise InvalidAccessError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {rsa_bits}")
    return rsa.generate_private_key(RSA_EXPONENT, rsa_bits)


def _check_key(private_key: PrivateKey) -> None:
    if isinstance(private_key, rsa.RSAPrivateKey):
        if not MIN_RSA_BITS <= private_key.key_size <= MAX_RSA_BITS:
            raise NotSupportedError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {private_key.key_size}")
    elif private_key.curve.name not in CURVES:
        raise NotSupportedError(f"an ECDSA key is on P-256 or P-384, not on {private_key.curve.name}")


def _public_der(private_key: PrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certified_key_der(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise NotSupportedError("the certificate is for a kind of key that is not known") from None


def _calendar(seconds: float) -> datetime.datetime:
    # Whole seconds are all that a certificate can say.
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
