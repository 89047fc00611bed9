"""Peers that do what OpenSSL would not: what they offer, what they leave out, and in which order they say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from icelane.crypto.certificate import Certificate
from icelane.dtls.backend import Backend
from icelane.dtls.connection import DtlsConnection, DtlsState, HandshakeCompleted, HandshakeFailed
from icelane.dtls.options import DtlsOptions, DtlsRole, SrtpProfile
from icelane.dtls.record import ContentType, HandshakeType
from tests.dtls.pair import NOW, certificate
from tests.dtls.raw_peer import EXTENSIONS, SUITE, RawPeer, extension, use_srtp, vector

OURS, THEIRS = certificate("ours"), certificate("theirs")


class Facing:
    """A connection of ours, and the raw peer that it talks to."""

    def __init__(
        self, backend: Backend, role: DtlsRole, options: DtlsOptions | None = None, own: Certificate | None = None
    ) -> None:
        self.raw = RawPeer(THEIRS, client=role is DtlsRole.SERVER)
        options = options or DtlsOptions(mtu=16_000)
        self.connection = DtlsConnection(own or OURS, role=role, options=options, backend=backend)
        self.connection.set_remote_fingerprints([("sha-256", THEIRS.fingerprint())], NOW)
        self.connection.start(NOW)
        self.answers()

    def answers(self) -> int:
        """Give the peer what we sent; returns how many datagrams that was."""
        sent = []
        while (datagram := self.connection.poll_transmit()) is not None:
            sent.append(datagram)
        self.raw.take(sent)
        return len(sent)

    def say(self, *datagrams: bytes) -> int:
        """The peer sends; returns how many datagrams we answered."""
        for datagram in datagrams:
            self.connection.handle_datagram(datagram, NOW)
        return self.answers()

    def state(self) -> DtlsState:
        """Of our connection; a call, because mypy takes an attribute for what it was before."""
        return self.connection.state

    @property
    def alerts(self) -> list[bytes]:
        """What we complained about."""
        return [content for kind, _, content in self.raw.records if kind == ContentType.ALERT]

    def client_flight(self) -> list[bytes]:
        """Everything that a client says after the server's flight."""
        raw = self.raw
        return [
            raw.send_certificate(),
            raw.client_key_exchange(),
            raw.certificate_verify(),
            raw.change_cipher_spec(),
            raw.finished(),
        ]

    def server_flight(self) -> list[bytes]:
        """Everything that a server says after the ClientHello."""
        raw = self.raw
        return [
            raw.server_hello(extensions=use_srtp(0x0007)),
            raw.send_certificate(),
            raw.server_key_exchange(),
            raw.certificate_request(),
            raw.server_hello_done(),
        ]


@pytest.fixture
def server(backend: Backend) -> Facing:
    """Our server."""
    return Facing(backend, DtlsRole.SERVER)


@pytest.fixture
def client(backend: Backend) -> Facing:
    """Our client."""
    return Facing(backend, DtlsRole.CLIENT)


def keys_of(facing: Facing) -> bytes:
    event = facing.connection.poll_event()
    assert isinstance(event, HandshakeCompleted)
    keys = event.keying_material
    assert keys is not None
    return keys.client_key + keys.server_key + keys.client_salt + keys.server_salt


def test_a_raw_client_that_does_everything_right_connects(server: Facing) -> None:
    """DT-13: and derives the same keys, by the label and in the order of RFC 5764 section 4.2."""
    server.say(server.raw.client_hello())
    server.say(*server.client_flight())
    assert server.state() is DtlsState.CONNECTED
    assert keys_of(server) == server.raw.export(56)


def test_a_raw_server_that_does_everything_right_connects(client: Facing) -> None:
    """DT-13: the same from the other end."""
    client.say(*client.server_flight())
    client.say(client.raw.change_cipher_spec(), client.raw.finished())
    assert client.state() is DtlsState.CONNECTED
    assert keys_of(client) == client.raw.export(56)


def test_a_client_hello_may_come_in_two_datagrams(server: Facing) -> None:
    """As browsers send it when it holds post-quantum keys."""
    hello = server.raw.client_hello(extensions=EXTENSIONS + extension(21, bytes(1500)))
    body = hello[25:]
    pieces = []
    for number, (start, end) in enumerate(((0, 1100), (1100, len(body)))):
        fragment = hello[13:19] + start.to_bytes(3, "big") + (end - start).to_bytes(3, "big") + body[start:end]
        pieces.append(server.raw.record(ContentType.HANDSHAKE, fragment, number=number))
    server.raw.record_number[0] = 2
    server.connection.handle_datagram(pieces[1], NOW)
    assert server.connection.poll_transmit() is None
    server.say(pieces[0])
    server.say(*server.client_flight())
    assert server.state() is DtlsState.CONNECTED


def test_a_client_that_lost_the_last_flight_gets_it_again(server: Facing) -> None:
    """DT-8: connected or not, and beside records in plaintext that are dropped."""
    raw = server.raw
    server.say(raw.client_hello())
    server.say(*server.client_flight())
    for _ in range(3):
        raw.records.clear()
        plaintext = raw.record(ContentType.CHANGE_CIPHER_SPEC, b"\x01", epoch=0)
        assert server.say(plaintext + raw.repeat()) == 2, "twice, because it has been lost before"
        assert [kind for kind, _, _ in raw.records] == 2 * [ContentType.CHANGE_CIPHER_SPEC, ContentType.HANDSHAKE]
        assert raw.records[1][1] == 1
    assert server.connection.discarded == 3
    assert server.state() is DtlsState.CONNECTED


def test_the_whole_chain_is_shown(backend: Backend) -> None:
    above = x509.load_der_x509_certificate(certificate("above").der)
    key = load_der_private_key(OURS.private_key_der(), None)
    chained = Certificate.from_objects(x509.load_der_x509_certificate(OURS.der), key, [above])
    server = Facing(backend, DtlsRole.SERVER, own=chained)
    server.say(server.raw.client_hello())
    [shown] = server.raw.messages(HandshakeType.CERTIFICATE)
    assert shown == vector(3, vector(3, OURS.der) + vector(3, certificate("above").der))


# DT-4


def failed(facing: Facing) -> bool:
    """Whether it failed now; otherwise it does when its time is over."""
    return facing.state() is DtlsState.FAILED


def assert_never_connected(facing: Facing) -> None:
    assert facing.state() is not DtlsState.CONNECTED
    while (event := facing.connection.poll_event()) is not None:
        assert isinstance(event, HandshakeFailed)
    assert facing.connection.security is None
    facing.connection.handle_timeout(type(NOW)(NOW + 31))
    assert failed(facing)


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "none at all"])
def test_a_client_without_a_certificate_is_refused(server: Facing, empty: bool) -> None:
    """DT-4: though its Finished is right for what it said."""
    raw = server.raw
    server.say(raw.client_hello())
    server.say(*([raw.send_certificate(empty=True)] if empty else []))
    server.say(raw.client_key_exchange(), raw.change_cipher_spec(), raw.finished())
    assert_never_connected(server)


@pytest.mark.parametrize("forged", [True, False], ids=["forged", "none at all"])
def test_a_client_that_does_not_prove_its_certificate_is_refused(server: Facing, forged: bool) -> None:
    """DT-4: it shows the right certificate and has not its key."""
    raw = server.raw
    server.say(raw.client_hello())
    server.say(raw.send_certificate(), raw.client_key_exchange())
    server.say(*([raw.certificate_verify(forged=True)] if forged else []))
    server.say(raw.change_cipher_spec(), raw.finished())
    assert_never_connected(server)


@pytest.mark.parametrize("left_out", ["certificate", "key exchange", "signature"])
def test_a_server_that_does_not_prove_its_certificate_is_refused(client: Facing, left_out: str) -> None:
    """DT-4: the other role."""
    raw = client.raw
    client.say(raw.server_hello(extensions=use_srtp(0x0007)))
    if left_out != "certificate":
        client.say(raw.send_certificate())
    if left_out != "key exchange":
        client.say(raw.server_key_exchange(forged=left_out == "signature"))
    client.say(raw.certificate_request(), raw.server_hello_done())
    if raw.peer_point:
        client.say(raw.change_cipher_spec(), raw.finished())
    assert_never_connected(client)


def test_a_server_that_asks_for_no_certificate_is_served(client: Facing) -> None:
    """Its certificate is proved; that it does not want ours is its own affair."""
    raw = client.raw
    client.say(raw.server_hello(extensions=use_srtp(0x0007)), raw.send_certificate(), raw.server_key_exchange())
    client.say(raw.server_hello_done())
    client.say(raw.change_cipher_spec(), raw.finished())
    assert client.state() is DtlsState.CONNECTED


# DT-5

BAD_SUITES: Final = {
    "NULL": (0x0000, 0x0001, 0x0002, 0x003B, 0xC006, 0xC010),
    "anonymous": (0x0018, 0x0034, 0x006C, 0x00A6, 0xC018, 0xC019),
    "PSK": (0x008C, 0x00A8, 0xC035, 0xD001, 0xCCAB, 0xCCAC),
    "static RSA": (0x000A, 0x002F, 0x0035, 0x003C, 0x009C, 0x009D),
    "static ECDH": (0xC004, 0xC005, 0xC025, 0xC02D, 0xC031),
    "finite-field DHE": (0x0033, 0x0039, 0x0067, 0x009E, 0x009F, 0xCCAA),
    "CBC": (0xC009, 0xC00A, 0xC013, 0xC023, 0xC024, 0xC027),
    "CCM": (0xC0AC, 0xC0AE),
    "RC4, export and DES": (0x0003, 0x0004, 0x0005, 0x0009, 0x0016, 0xC007, 0xC008),
    "TLS 1.3": (0x1301, 0x1302, 0x1303),
}


@pytest.mark.parametrize("kind", BAD_SUITES)
def test_a_client_that_offers_no_good_suite_is_refused(server: Facing, kind: str) -> None:
    """DT-5: all of a kind at once; nothing but an alert comes back."""
    server.say(server.raw.client_hello(suites=BAD_SUITES[kind]))
    assert failed(server)
    assert not server.raw.received
    assert len(server.alerts) == 1


@pytest.mark.parametrize("suite", [suite for suites in BAD_SUITES.values() for suite in suites], ids=hex)
def test_a_server_that_chooses_another_suite_is_refused(client: Facing, suite: int) -> None:
    """DT-5: what we did not offer."""
    client.say(client.raw.server_hello(suite=suite, extensions=use_srtp(0x0007)))
    assert failed(client)


def test_nothing_below_dtls_1_2_is_spoken(backend: Backend) -> None:
    """DT-5: DTLS 1.0, whatever else is right: with a suite that it has, and a setting for old peers."""
    options = DtlsOptions(legacy_peers=True, mtu=16_000)
    server = Facing(backend, DtlsRole.SERVER, options)
    server.say(server.raw.client_hello(version=b"\xfe\xff", suites=(0xC009, SUITE)))
    assert not server.raw.received
    assert failed(server)
    client = Facing(backend, DtlsRole.CLIENT, options)
    client.say(client.raw.server_hello(version=b"\xfe\xff", suite=0xC009))
    assert failed(client)


def hello_of(facing: Facing) -> bytes:
    [hello] = facing.raw.messages(HandshakeType.CLIENT_HELLO)
    return hello


def suites_of(hello: bytes) -> tuple[int, ...]:
    start = 34 + 1 + hello[34]
    start += 1 + hello[start]
    size = int.from_bytes(hello[start : start + 2], "big")
    listed = hello[start + 2 : start + 2 + size]
    return tuple(int.from_bytes(listed[at : at + 2], "big") for at in range(0, size, 2))


def extensions_of(hello: bytes) -> dict[int, bytes]:
    start = 34 + 1 + hello[34]
    start += 1 + hello[start]
    start += 2 + int.from_bytes(hello[start : start + 2], "big")
    assert hello[start : start + 2] == b"\x01\x00"  # no compression
    start += 4
    found = {}
    while start < len(hello):
        kind, size = (int.from_bytes(hello[start + at : start + at + 2], "big") for at in (0, 2))
        found[kind] = hello[start + 4 : start + 4 + size]
        start += 4 + size
    return found


AEAD: Final = (0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8)
CBC: Final = (0xC023, 0xC009, 0xC027, 0xC013)
RENEGOTIATION_SCSV: Final = 0x00FF


def test_the_client_offers_what_was_decided_and_nothing_else(client: Facing) -> None:
    """DT-5: suites, groups and extensions of the ClientHello, in their order."""
    hello = hello_of(client)
    assert hello[:2] == b"\xfe\xfd"
    suites, extensions = suites_of(hello), extensions_of(hello)
    assert tuple(suite for suite in suites if suite != RENEGOTIATION_SCSV) == AEAD
    # RFC 5746: said in one of two ways
    assert RENEGOTIATION_SCSV in suites or 0xFF01 in extensions
    assert extensions[10] == vector(2, b"\x00\x1d\x00\x17\x00\x18")  # X25519, P-256, P-384
    assert extensions[14] == vector(2, b"\x00\x07\x00\x08\x00\x01") + b"\x00"
    assert 35 not in extensions  # no session tickets
    assert 23 in extensions  # RFC 7627
    assert 43 not in extensions  # not DTLS 1.3
    signatures = extensions[13][2:]
    assert b"\x04\x03" in [signatures[at : at + 2] for at in range(0, len(signatures), 2)]
    assert not {b"\x02\x01", b"\x02\x03", b"\x01\x01"} & {
        signatures[at : at + 2] for at in range(0, len(signatures), 2)
    }  # neither SHA-1 nor MD5


def test_legacy_suites_are_behind_the_others_and_only_on_request(backend: Backend) -> None:
    """DT-5: an explicit setting, and each of them forward-secret."""
    facing = Facing(backend, DtlsRole.CLIENT, DtlsOptions(legacy_peers=True, mtu=16_000))
    suites = tuple(suite for suite in suites_of(hello_of(facing)) if suite != RENEGOTIATION_SCSV)
    assert suites == AEAD + CBC
    server = Facing(backend, DtlsRole.SERVER, DtlsOptions(legacy_peers=True, mtu=16_000))
    server.say(server.raw.client_hello(suites=(0xC009,)))
    assert len(list(server.raw.messages(HandshakeType.SERVER_HELLO))) == 1


def test_the_server_prefers_by_its_own_order(server: Facing) -> None:
    server.say(server.raw.client_hello(suites=(0xCCA9, 0xC02C, 0xC02B)))
    [hello] = server.raw.messages(HandshakeType.SERVER_HELLO)
    assert hello[35 + hello[34] : 37 + hello[34]] == SUITE.to_bytes(2, "big")


def test_the_server_signals_secure_renegotiation_and_refuses_it(server: Facing) -> None:
    """DT-5: RFC 5746 is answered, and a second ClientHello starts nothing."""
    raw = server.raw
    server.say(raw.client_hello())
    [hello] = raw.messages(HandshakeType.SERVER_HELLO)
    assert extension(0xFF01, b"\x00") in hello
    server.say(*server.client_flight())
    assert server.state() is DtlsState.CONNECTED
    raw.next_sequence = 0
    raw.received.clear()
    server.say(raw.client_hello())
    assert not raw.received
    server.say(raw.record(ContentType.APPLICATION_DATA, b"still here"))
    assert server.connection.poll_data() == b"still here"
    assert server.state() is DtlsState.CONNECTED


def test_the_client_refuses_to_renegotiate(client: Facing) -> None:
    """DT-5: a HelloRequest starts nothing."""
    raw = client.raw
    client.say(*client.server_flight())
    client.say(raw.change_cipher_spec(), raw.finished())
    raw.received.clear()
    client.say(raw.handshake(HandshakeType.HELLO_REQUEST, b"", sequence=0))
    assert not raw.received
    client.say(raw.record(ContentType.APPLICATION_DATA, b"still here"))
    assert client.connection.poll_data() == b"still here"


# DT-13


@pytest.mark.parametrize("profile", [0x0000, 0x0002, 0x0005, 0x0006, 0x0009, 0xFFFF], ids=hex)
def test_a_server_that_chooses_another_srtp_profile_is_refused(client: Facing, profile: int) -> None:
    """DT-13: NULL, 32-bit tags, unknown: not offered, so not taken."""
    client.say(client.raw.server_hello(extensions=use_srtp(profile)))
    assert failed(client)


def test_a_server_may_not_choose_two_profiles(client: Facing) -> None:
    """DT-13: RFC 5764 section 4.1.1 says one."""
    client.say(client.raw.server_hello(extensions=use_srtp(0x0007, 0x0008)))
    assert failed(client)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("offer", [b"", use_srtp(0x0005), use_srtp(0x0006, 0x00FF)], ids=["none", "NULL", "unknown"])
def test_a_client_without_a_profile_of_ours_gets_no_keys(backend: Backend, offer: bytes, required: bool) -> None:
    """DT-13: and no connection where media needs one."""
    server = Facing(backend, DtlsRole.SERVER, DtlsOptions(mtu=16_000, srtp_required=required))
    hello = EXTENSIONS.replace(use_srtp(0x0007), offer)
    server.say(server.raw.client_hello(extensions=hello))
    server.say(*server.client_flight())
    assert (server.state() is DtlsState.CONNECTED) != required
    event = server.connection.poll_event()
    if required:
        assert isinstance(event, HandshakeFailed)
        assert "SRTP" in str(event.error)
    else:
        assert isinstance(event, HandshakeCompleted)
        assert event.keying_material is None


@pytest.mark.parametrize("profile", SrtpProfile)
def test_each_profile_has_keys_of_its_own_length(backend: Backend, profile: SrtpProfile) -> None:
    """DT-13: RFC 5764 section 4.1.2 and RFC 7714 section 12."""
    server = Facing(backend, DtlsRole.SERVER, DtlsOptions(mtu=16_000, srtp_profiles=(profile,)))
    server.say(server.raw.client_hello(extensions=EXTENSIONS.replace(use_srtp(7), use_srtp(profile))))
    server.say(*server.client_flight())
    event = server.connection.poll_event()
    assert isinstance(event, HandshakeCompleted)
    keys = event.keying_material
    assert keys is not None
    expected = {1: (16, 14), 7: (16, 12), 8: (32, 12)}[profile]
    assert (len(keys.client_key), len(keys.client_salt)) == expected
    assert (len(keys.server_key), len(keys.server_salt)) == expected
    material = server.raw.export(2 * sum(expected))
    assert keys.client_key + keys.server_key + keys.client_salt + keys.server_salt == material


# DT-9

MESSAGES: Final[dict[str, Callable[[RawPeer], bytes]]] = {
    "HelloRequest": lambda raw: raw.handshake(HandshakeType.HELLO_REQUEST, b""),
    "ClientHello": lambda raw: raw.client_hello(),
    "ServerHello": lambda raw: raw.server_hello(),
    "HelloVerifyRequest": lambda raw: raw.handshake(HandshakeType.HELLO_VERIFY_REQUEST, b"\xfe\xff\x04abcd"),
    "NewSessionTicket": lambda raw: raw.handshake(HandshakeType.NEW_SESSION_TICKET, bytes(6)),
    "Certificate": lambda raw: raw.send_certificate(),
    "empty Certificate": lambda raw: raw.send_certificate(empty=True),
    "ServerKeyExchange": lambda raw: raw.server_key_exchange(),
    "CertificateRequest": lambda raw: raw.certificate_request(),
    "ServerHelloDone": lambda raw: raw.server_hello_done(),
    "CertificateVerify": lambda raw: raw.certificate_verify(),
    "ClientKeyExchange": lambda raw: raw.client_key_exchange(),
    "Finished in plaintext": lambda raw: raw.handshake(HandshakeType.FINISHED, bytes(12), epoch=0),
    "ChangeCipherSpec": lambda raw: raw.change_cipher_spec(),
    "data in plaintext": lambda raw: raw.record(ContentType.APPLICATION_DATA, b"data", epoch=0),
    "warning": lambda raw: raw.record(ContentType.ALERT, b"\x01\x5a", epoch=0),
    "close_notify": lambda raw: raw.record(ContentType.ALERT, b"\x01\x00", epoch=0),
    "unknown message": lambda raw: raw.handshake(99, b"what?"),
    "unknown record": lambda raw: raw.record(99, b"what?", epoch=0),
    "protected garbage": lambda _: b"\x16\xfe\xfd\x00\x01" + bytes(6) + vector(2, bytes(40)),
}

NOISE: Final = {
    "ChangeCipherSpec",
    "data in plaintext",
    "warning",
    "close_notify",
    "unknown record",
    "protected garbage",
}
"""What is no message of the handshake: it changes nothing."""

CLIENT_STEPS: Final[list[Callable[[RawPeer], bytes]]] = [
    lambda raw: raw.client_hello(),
    lambda raw: raw.send_certificate(),
    lambda raw: raw.client_key_exchange(),
    lambda raw: raw.certificate_verify(),
    lambda raw: raw.change_cipher_spec(),
]
SERVER_STEPS: Final[list[Callable[[RawPeer], bytes]]] = [
    lambda raw: raw.server_hello(extensions=use_srtp(0x0007)),
    lambda raw: raw.send_certificate(),
    lambda raw: raw.server_key_exchange(),
    lambda raw: raw.certificate_request(),
    lambda raw: raw.server_hello_done(),
    lambda raw: raw.change_cipher_spec(),
]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("steps", range(len(CLIENT_STEPS) + 1))
def test_no_message_out_of_its_place_connects_a_server(backend: Backend, steps: int, message: str) -> None:
    """DT-9: in each state, each message; then a right Finished, if there are keys. It fails, or waits in vain."""
    server = Facing(backend, DtlsRole.SERVER)
    for step in CLIENT_STEPS[:steps]:
        server.say(step(server.raw))
    server.say(MESSAGES[message](server.raw))
    assert server.state() is not DtlsState.CONNECTED
    assert server.connection.security is None
    if server.raw.peer_point and steps < len(CLIENT_STEPS):
        server.say(server.raw.change_cipher_spec(), server.raw.finished())
        complete = (steps == 4 and message in NOISE) or (steps == 3 and message == "CertificateVerify")
        assert (server.state() is DtlsState.CONNECTED) == complete
    assert server.connection.poll_data() is None


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("steps", range(len(SERVER_STEPS) + 1))
def test_no_message_out_of_its_place_connects_a_client(backend: Backend, steps: int, message: str) -> None:
    """DT-9: the other role."""
    client = Facing(backend, DtlsRole.CLIENT)
    for step in SERVER_STEPS[:steps]:
        client.say(step(client.raw))
    client.say(MESSAGES[message](client.raw))
    assert client.state() is not DtlsState.CONNECTED
    assert client.connection.security is None
    assert client.connection.poll_data() is None


def test_finished_before_change_cipher_spec_waits_for_it(server: Facing) -> None:
    """DT-9: datagrams change places; the order that counts is the protocol's."""
    server.say(server.raw.client_hello())
    *flight, change, finished = server.client_flight()
    server.say(*flight, finished)
    assert server.state() is DtlsState.CONNECTING
    server.say(change)
    assert server.state() is DtlsState.CONNECTED


def test_messages_that_come_twice_count_once(server: Facing) -> None:
    """DT-9: ClientKeyExchange and the others twice, as a network may do."""
    hello = server.raw.client_hello()
    server.say(hello, hello)
    for datagram in server.client_flight():
        server.say(datagram, datagram)
    assert server.state() is DtlsState.CONNECTED
