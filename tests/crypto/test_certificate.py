"""Certificates: what is made, what is taken, and where the private key does not appear."""

from __future__ import annotations

import copy
import datetime
import hashlib
import pickle
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from icelane.core.clock import UnixSeconds
from icelane.crypto import certificate as module
from icelane.crypto.certificate import DAY, Certificate, KeyType, PrivateKey, fingerprint_of
from icelane.errors import InvalidAccessError, NotSupportedError

NOW = UnixSeconds(1_800_000_000.5)


def parsed(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)


def signed(key: PrivateKey | ed25519.Ed25519PrivateKey, name: str = "mine", issuer: str = "mine") -> x509.Certificate:
    """A certificate that the key signed itself."""
    begin = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=365))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


def pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def test_the_default_is_a_key_on_p256_that_signed_itself() -> None:
    """DT-12: ECDSA P-256."""
    found = parsed(Certificate.generate(now=NOW))
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    found.verify_directly_issued_by(found)
    assert found.subject.rfc4514_string() == "CN=WebRTC"


def test_a_certificate_is_good_for_thirty_days_at_most_of_which_one_is_past() -> None:
    """DT-12: short-lived, and good for peers whose clock is behind."""
    made = Certificate.generate(now=NOW)
    found = parsed(made)
    assert found.not_valid_before_utc.timestamp() == int(NOW - DAY)
    assert found.not_valid_after_utc - found.not_valid_before_utc == datetime.timedelta(days=30)
    assert made.expires == found.not_valid_after_utc.timestamp()
    assert int(Certificate.generate(valid_for=60, now=NOW).expires) == int(NOW + 60)


@pytest.mark.parametrize("valid_for", [0, -1, 29 * DAY + 1, float("inf"), float("nan")])
def test_no_certificate_is_made_for_longer(valid_for: float) -> None:
    """DT-12: not even on request."""
    with pytest.raises(InvalidAccessError):
        Certificate.generate(valid_for=valid_for, now=NOW)


def test_no_two_certificates_share_a_key_or_a_serial_number() -> None:
    """DT-12: one for each connection."""
    made = [Certificate.generate(now=NOW) for _ in range(50)]
    assert len({one.private_key_der() for one in made}) == 50
    assert len({parsed(one).serial_number for one in made}) == 50
    assert len(set(made)) == 50


def test_no_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> float:
        raise AssertionError("a clock was read")

    monkeypatch.setattr(time, "time", read)
    Certificate.generate(now=NOW)


def test_rsa_is_made_on_request() -> None:
    made = Certificate.generate(KeyType.RSA, now=NOW)
    key = parsed(made).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


@pytest.mark.parametrize("bits", [512, 1024, 2047, 8193, 1 << 20])
def test_no_rsa_key_is_made_that_is_too_short_or_takes_for_ever(bits: int) -> None:
    """DT-12: 2048 bits or more."""
    with pytest.raises(InvalidAccessError):
        Certificate.generate(KeyType.RSA, rsa_bits=bits, now=NOW)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_the_fingerprint_is_the_hash_of_the_certificate(algorithm: str) -> None:
    made = Certificate.generate(now=NOW)
    expected = hashlib.new(algorithm.replace("-", ""), made.der).digest()
    assert made.fingerprint(algorithm) == made.fingerprint(algorithm) == fingerprint_of(made.der, algorithm) == expected


@pytest.mark.parametrize("algorithm", ["sha-1", "md5", "sha-224", "SHA-256", "sha256", ""])
def test_no_fingerprint_is_made_by_another_hash(algorithm: str) -> None:
    """DT-3: MD5 and SHA-1 count for nothing."""
    with pytest.raises(NotSupportedError):
        Certificate.generate(now=NOW).fingerprint(algorithm)


def test_the_private_key_is_nowhere_but_where_it_is_asked_for() -> None:
    """DT-12: neither in repr, nor in a pickle, nor in a copy."""
    made = Certificate.generate(now=NOW)
    key = load_der_private_key(made.private_key_der(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    for text in (repr(made), str(made), f"{made}"):
        assert f"{number:x}" not in text
        assert str(number) not in text
        assert made.private_key_der().hex() not in text
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="private key"):
            take(made)
    assert not hasattr(made, "__dict__")


def test_nothing_that_generates_writes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DT-12: the private key is never written."""
    opened: list[object] = []
    monkeypatch.setattr("builtins.open", lambda *arguments, **_: opened.append(arguments))
    monkeypatch.chdir(tmp_path)
    Certificate.generate(now=NOW)
    Certificate.generate(KeyType.RSA, now=NOW)
    assert not opened
    assert not list(tmp_path.iterdir())


def test_a_certificate_and_its_key_are_read_from_pem() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    above = ec.generate_private_key(ec.SECP256R1())
    own, higher = signed(key, issuer="higher"), signed(above, "higher", "higher")
    chain = own.public_bytes(Encoding.PEM) + higher.public_bytes(Encoding.PEM)
    for secret, password in ((pem(key), None), (pem(key, b"open sesame"), b"open sesame")):
        read = Certificate.from_pem(chain, secret, password)
        assert read.der == own.public_bytes(Encoding.DER)
        assert read.chain_der == (higher.public_bytes(Encoding.DER),)
        assert read.expires == own.not_valid_after_utc.timestamp()
    both = Certificate.from_pem(pem(key) + chain, pem(key) + chain)
    assert both == Certificate.from_objects(own, key, [higher])
    assert both != Certificate.from_objects(own, key)


def test_an_rsa_certificate_is_taken_from_objects() -> None:
    key = rsa.generate_private_key(65537, 3072)
    assert Certificate.from_objects(signed(key), key).der == signed(key).public_bytes(Encoding.DER)


def test_keys_that_peers_do_not_take_are_refused() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    other = ed25519.Ed25519PrivateKey.generate()
    brainpool = ec.generate_private_key(ec.SECP521R1())
    for key in (weak, other, brainpool):
        with pytest.raises(NotSupportedError):
            Certificate.from_objects(signed(key), key)


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidAccessError, match="does not belong"):
        Certificate.from_objects(signed(one), other)


def test_a_chain_has_an_end() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidAccessError, match="chain"):
        Certificate.from_objects(signed(key), key, [signed(key)] * module.MAX_CHAIN)


def test_what_is_no_pem_is_refused_without_quoting_it() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = signed(key).public_bytes(Encoding.PEM)
    garbled = pem(key).replace(b"PRIVATE", b"PRIMATE")
    for certificate, secret, password in (
        (chain, garbled, None),
        (b"", pem(key), None),
        (chain, pem(key, b"right"), b"wrong"),
        (chain, pem(key, b"right"), None),
        (chain, pem(key), b"for nothing"),
        (chain[:80], pem(key), None),
    ):
        with pytest.raises(InvalidAccessError) as caught:
            Certificate.from_pem(certificate, secret, password)
        assert caught.value.__cause__ is None
        assert "PRI" not in str(caught.value)
