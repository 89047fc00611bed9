"""A DTLS 1.2 endpoint that does what it is told: one suite (ECDHE-ECDSA, P-256, AES-128-GCM), no timers.

It shares no code with the product but the parsers of records. Messages are made one by one, so that a test can leave
one out, repeat it or send it in the wrong place and still finish with the right Finished for what it did send.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from icelane.crypto.certificate import Certificate
from icelane.dtls.record import ContentType, HandshakeType, parse_fragments, parse_records

VERSION: Final = b"\xfe\xfd"
SUITE: Final = 0xC02B  # ECDHE-ECDSA-AES128-GCM-SHA256
P256: Final = b"\x00\x17"
ECDSA_SHA256: Final = b"\x04\x03"
SRTP_GCM_128: Final = 0x0007
USE_SRTP: Final = 14


def vector(size: int, data: bytes) -> bytes:
    """`data` behind its length in `size` bytes."""
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    """One extension of a hello."""
    return kind.to_bytes(2, "big") + vector(2, data)


def use_srtp(*profiles: int) -> bytes:
    """The extension of RFC 5764 section 4.1.1."""
    return extension(USE_SRTP, vector(2, b"".join(profile.to_bytes(2, "big") for profile in profiles)) + b"\x00")


EXTENSIONS: Final = (
    extension(10, vector(2, P256))
    + extension(11, b"\x01\x00")
    + extension(13, vector(2, ECDSA_SHA256))
    + extension(0xFF01, b"\x00")
    + use_srtp(SRTP_GCM_128)
)


def prf(secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """The pseudorandom function of RFC 5246 section 5, with SHA-256."""
    seed = label + seed
    block, output = seed, b""
    while len(output) < size:
        block = hmac.digest(secret, block, "sha256")
        output += hmac.digest(secret, block + seed, "sha256")
    return output[:size]


class RawPeer:
    """One endpoint. What it makes is a datagram of one record; what it takes is given to `take`."""

    def __init__(self, certificate: Certificate, *, client: bool) -> None:
        self.client = client
        self.certificate = certificate
        self.random = hashlib.sha256(b"raw peer").digest()
        self.peer_random = bytes(32)
        self.peer_point = b""
        self.received: list[tuple[int, bytes]] = []
        self.records: list[tuple[int, int, bytes]] = []
        self.transcript = bytearray()
        self.last_message = b""
        self.next_sequence = 0
        self.record_number = [0, 0]
        self.epoch = 0
        self._ephemeral = ec.generate_private_key(ec.SECP256R1())
        self._master = b""

    # Records

    def record(
        self, content_type: int, content: bytes, *, epoch: int | None = None, number: int | None = None
    ) -> bytes:
        """A record; protected in epoch 1."""
        epoch = self.epoch if epoch is None else epoch
        if number is None:
            number = self.record_number[epoch]
            self.record_number[epoch] += 1
        sequence = epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
        if epoch:
            content = self._protect(content_type, sequence, content)
        return bytes((content_type,)) + VERSION + sequence + vector(2, content)

    def handshake(self, kind: int, body: bytes, *, sequence: int | None = None, epoch: int | None = None) -> bytes:
        """A handshake message in one record, as the next of the transcript."""
        if sequence is None:
            sequence = self.next_sequence
            self.next_sequence += 1
        number = sequence.to_bytes(2, "big")
        message = (
            bytes((kind,)) + len(body).to_bytes(3, "big") + number + bytes(3) + len(body).to_bytes(3, "big") + body
        )
        self.transcript += message
        self.last_message = message
        return self.record(ContentType.HANDSHAKE, message, epoch=epoch)

    def repeat(self) -> bytes:
        """The last message again, in a record with a number of its own."""
        return self.record(ContentType.HANDSHAKE, self.last_message)

    def take(self, datagrams: Sequence[bytes]) -> None:
        """Read what the other end sent: whole messages, as an endpoint with a large MTU sends them."""
        for datagram in datagrams:
            for record in parse_records(datagram):
                content = datagram[record.body : record.end]
                if record.epoch:
                    content = self._unprotect(record.content_type, datagram[record.start : record.end])
                self.records.append((record.content_type, record.epoch, content))
                if record.content_type == ContentType.HANDSHAKE:
                    self._take_messages(content)

    # Messages of both

    def send_certificate(self, *, empty: bool = False) -> bytes:
        """Certificate."""
        entries = b"" if empty else vector(3, self.certificate.der)
        return self.handshake(HandshakeType.CERTIFICATE, vector(3, entries))

    def change_cipher_spec(self) -> bytes:
        """ChangeCipherSpec; what follows is protected."""
        made = self.record(ContentType.CHANGE_CIPHER_SPEC, b"\x01", epoch=0)
        self.epoch = 1
        return made

    def finished(self) -> bytes:
        """Finished, right for all that was sent and received."""
        label = b"client finished" if self.client else b"server finished"
        proof = prf(self.master, label, hashlib.sha256(self.transcript).digest(), 12)
        return self.handshake(HandshakeType.FINISHED, proof, epoch=1)

    # Messages of a client

    def client_hello(
        self, *, suites: Sequence[int] = (SUITE,), version: bytes = VERSION, extensions: bytes = EXTENSIONS
    ) -> bytes:
        """ClientHello."""
        offered = b"".join(suite.to_bytes(2, "big") for suite in suites)
        body = version + self.random + b"\x00\x00" + vector(2, offered) + b"\x01\x00" + vector(2, extensions)
        return self.handshake(HandshakeType.CLIENT_HELLO, body)

    def client_key_exchange(self) -> bytes:
        """ClientKeyExchange."""
        return self.handshake(HandshakeType.CLIENT_KEY_EXCHANGE, vector(1, self._point()))

    def certificate_verify(self, *, forged: bool = False) -> bytes:
        """CertificateVerify; `forged` is signed by a key that is not the certificate's."""
        key = ec.generate_private_key(ec.SECP256R1()) if forged else self._key()
        signature = key.sign(bytes(self.transcript), ec.ECDSA(hashes.SHA256()))
        return self.handshake(HandshakeType.CERTIFICATE_VERIFY, ECDSA_SHA256 + vector(2, signature))

    # Messages of a server

    def server_hello(self, *, suite: int = SUITE, version: bytes = VERSION, extensions: bytes = b"") -> bytes:
        """ServerHello."""
        body = version + self.random + b"\x00" + suite.to_bytes(2, "big") + b"\x00"
        extensions = extension(0xFF01, b"\x00") + extension(11, b"\x01\x00") + extensions
        return self.handshake(HandshakeType.SERVER_HELLO, body + vector(2, extensions))

    def server_key_exchange(self, *, forged: bool = False) -> bytes:
        """ServerKeyExchange; `forged` is signed by a key that is not the certificate's."""
        key = ec.generate_private_key(ec.SECP256R1()) if forged else self._key()
        parameters = b"\x03" + P256 + vector(1, self._point())
        signature = key.sign(self.peer_random + self.random + parameters, ec.ECDSA(hashes.SHA256()))
        return self.handshake(HandshakeType.SERVER_KEY_EXCHANGE, parameters + ECDSA_SHA256 + vector(2, signature))

    def certificate_request(self) -> bytes:
        """CertificateRequest."""
        return self.handshake(HandshakeType.CERTIFICATE_REQUEST, b"\x01\x40" + vector(2, ECDSA_SHA256) + b"\x00\x00")

    def server_hello_done(self) -> bytes:
        """ServerHelloDone."""
        return self.handshake(HandshakeType.SERVER_HELLO_DONE, b"")

    # Secrets

    @property
    def master(self) -> bytes:
        """The master secret; needs the other end's point."""
        if not self._master:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.peer_point)
            self._master = prf(self._ephemeral.exchange(ec.ECDH(), peer), b"master secret", self._randoms(), 48)
        return self._master

    def export(self, size: int) -> bytes:
        """The exporter of RFC 5705 with the label of RFC 5764."""
        return prf(self.master, b"EXTRACTOR-dtls_srtp", self._randoms(), size)

    def _randoms(self) -> bytes:
        return self.random + self.peer_random if self.client else self.peer_random + self.random

    def _keys(self, ours: bool) -> tuple[AESGCM, bytes]:
        block = prf(self.master, b"key expansion", self._randoms()[32:] + self._randoms()[:32], 40)
        of_client = ours == self.client
        key, salt = (block[:16], block[32:36]) if of_client else (block[16:32], block[36:40])
        return AESGCM(key), salt

    def _protect(self, content_type: int, sequence: bytes, content: bytes) -> bytes:
        cipher, salt = self._keys(ours=True)
        extra = sequence + bytes((content_type,)) + VERSION + len(content).to_bytes(2, "big")
        return sequence + cipher.encrypt(salt + sequence, content, extra)

    def _unprotect(self, content_type: int, record: bytes) -> bytes:
        cipher, salt = self._keys(ours=False)
        size = len(record) - 13 - 8 - 16
        extra = record[3:11] + bytes((content_type,)) + VERSION + size.to_bytes(2, "big")
        return cipher.decrypt(salt + record[13:21], record[21:], extra)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = load_der_private_key(self.certificate.private_key_der(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _point(self) -> bytes:
        return self._ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def _take_messages(self, content: bytes) -> None:
        start = 0
        for fragment in parse_fragments(content, 0, len(content)):
            assert fragment.size == fragment.length
            body = content[fragment.end - fragment.size : fragment.end]
            self.received.append((fragment.message_type, body))
            self.transcript += content[start : fragment.end]
            start = fragment.end
            if fragment.message_type in (HandshakeType.SERVER_HELLO, HandshakeType.CLIENT_HELLO):
                self.peer_random = body[2:34]
            elif fragment.message_type == HandshakeType.SERVER_KEY_EXCHANGE:
                assert body[:3] == b"\x03" + P256
                self.peer_point = body[4 : 4 + body[3]]
            elif fragment.message_type == HandshakeType.CLIENT_KEY_EXCHANGE:
                self.peer_point = body[1:]

    def messages(self, kind: int) -> Iterator[bytes]:
        """The bodies of the messages of a kind that were received."""
        return (body for received, body in self.received if received == kind)
