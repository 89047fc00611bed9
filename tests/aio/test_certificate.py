"""RTCCertificate, and the connections that are made with one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from icelane.aio.certificate import RTCCertificate
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.errors import InvalidAccessError, NotSupportedError, TransportClosedError
from tests.aio.peers import configured, connect, pair
from tests.loops import Run


def self_signed(days: int = 1) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "custom")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=10)).not_valid_after(now + timedelta(days=days))
    return builder.sign(key, hashes.SHA256()), key


def test_a_certificate_in_pem_is_what_the_peer_sees(run: Run) -> None:
    certificate, key = self_signed()
    password = b"horse"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    custom = RTCCertificate.from_pem(certificate.public_bytes(Encoding.PEM), pem, password)
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert RTCCertificate.from_pem(certificate.public_bytes(Encoding.PEM), plain).expires == custom.expires

    async def main() -> None:
        async with pair(configured(certificates=[custom])) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            assert bob.sctp is not None
            (seen,) = bob.sctp.transport.getRemoteCertificates()
            assert seen == certificate.public_bytes(Encoding.DER)
            expected = next(one["value"] for one in custom.getFingerprints() if one["algorithm"] == "sha-256")
            assert bob.security_report().remote_fingerprint == f"sha-256 {expected.upper()}"
            assert alice.getConfiguration().certificates == [custom]
            assert alice.localDescription is not None
            assert expected.upper() in alice.localDescription.sdp

    run(main())


@pytest.mark.parametrize("rsa_bits", [2048, 4096])
def test_rsa_works_at_either_end_and_at_both(run: Run, rsa_bits: int) -> None:
    rsa, more = (configured(certificates=[RTCCertificate.generate(rsa_bits=rsa_bits)]) for _ in range(2))

    async def main() -> None:
        for one, other in ((rsa, configured()), (configured(), rsa), (rsa, more)):
            async with pair(one, other) as (alice, bob):
                channel = alice.createDataChannel("chat")
                await connect(alice, bob)
                await channel.opened()
                suite = alice.security_report().cipher_suite
                assert suite is not None
                # Bob answers, and so is the client; the certificate of the server decides.
                assert ("RSA" in suite) is (one is rsa)

    run(main())


def test_a_peer_with_our_own_certificate_is_refused_in_good_order(run: Run) -> None:
    """DT-3: whoever reflects our description names it; that is a failed connection and no exception."""
    shared = configured(certificates=[RTCCertificate.generate()])

    async def main() -> None:
        for one, other in ((shared, shared), (shared, configured(certificates=shared.certificates))):
            async with pair(one, other) as (alice, bob):
                alice.createDataChannel("chat")
                with pytest.raises(TransportClosedError):
                    await connect(alice, bob)
                assert alice.connectionState == bob.connectionState == "failed"
                await asyncio.sleep(0.3)

    run(main())


def test_objects_are_taken_and_other_keys_are_not() -> None:
    certificate, key = self_signed()
    custom = RTCCertificate.from_objects(certificate, key)
    assert next(one["algorithm"] for one in custom.getFingerprints()) == "sha-256"
    with pytest.raises(NotSupportedError):
        RTCCertificate.from_objects(certificate, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(InvalidAccessError):
        RTCCertificate.generate(rsa_bits=1024)


def test_what_has_expired_is_refused(run: Run) -> None:
    certificate, key = self_signed(days=-1)

    async def main() -> None:
        with pytest.raises(InvalidAccessError):
            RTCPeerConnection(configured(certificates=[RTCCertificate.from_objects(certificate, key)]))

    run(main())


def test_each_connection_makes_one_of_its_own_that_is_good_for_a_month(run: Run) -> None:
    """DT-12: and no key is in a repr."""

    async def main() -> None:
        async with pair() as (alice, bob):
            (ours,), (theirs,) = alice.getConfiguration().certificates, bob.getConfiguration().certificates
            assert ours.getFingerprints() != theirs.getFingerprints()
            left = ours.expires / 1000 - datetime.now(UTC).timestamp()
            assert 28 * 86_400 < left <= 30 * 86_400
            assert "PRIVATE" not in repr(ours)

    run(main())
