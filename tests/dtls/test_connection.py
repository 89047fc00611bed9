"""The life of a connection, over both backends and across them."""

from __future__ import annotations

import pytest

from icelane.crypto.certificate import KeyType, fingerprint_of
from icelane.dtls.backend import Backend, default_backend, native_backend
from icelane.dtls.connection import MAX_HELD, Closed, DtlsConnection, DtlsState, HandshakeCompleted, HandshakeFailed
from icelane.dtls.options import DtlsOptions, DtlsRole, SrtpProfile
from icelane.errors import InvalidAccessError, InvalidStateError, MessageTooLargeError
from tests.dtls.pair import NOW, Pair, certificate


def test_two_ends_connect_and_exchange_data(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    pair.exchange()
    assert pair.client.connection.next_timeout() is None
    assert pair.server.connection.next_timeout() is None
    assert pair.client.connection.discarded == pair.server.connection.discarded == 0


@pytest.mark.parametrize("native_is_client", [True, False])
def test_the_backends_understand_each_other(native: Backend, pyopenssl: Backend, native_is_client: bool) -> None:
    pair = Pair(native, pyopenssl) if native_is_client else Pair(pyopenssl, native)
    pair.connect()
    pair.exchange()
    assert pair.client.completed.keying_material == pair.server.completed.keying_material


def test_what_was_agreed_on_is_told(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    client, server = pair.client.completed.security, pair.server.completed.security
    assert client.protocol == server.protocol == "DTLSv1.2"
    assert client.cipher_suite == server.cipher_suite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    assert client.srtp_profile is server.srtp_profile is SrtpProfile.AEAD_AES_128_GCM
    assert client.remote_certificate == pair.server_certificate.der
    assert client.remote_fingerprint == server.local_fingerprint == pair.server_certificate.fingerprint()
    assert client.local_fingerprint == server.remote_fingerprint == pair.client_certificate.fingerprint()
    assert client.remote_fingerprints == (("sha-256", client.remote_fingerprint),)
    assert pair.client.connection.security is client
    pair.client.run(pair.client.connection.close)
    assert pair.client.connection.security is client


def test_keys_are_not_in_the_representation_of_anything(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    keys = pair.client.completed.keying_material
    assert keys is not None
    text = repr(pair.client.events) + repr(pair.client.connection) + repr(keys)
    for secret in (keys.client_key, keys.server_key, keys.client_salt, keys.server_salt):
        assert repr(secret) not in text
        assert secret.hex() not in text


@pytest.mark.parametrize("rsa_is_client", [True, False])
def test_a_long_rsa_certificate_is_cut_to_the_mtu(backend: Backend, rsa_is_client: bool) -> None:
    """Handshake records are as long as the MTU lets them be, and no datagram is longer."""
    rsa = certificate("long", KeyType.RSA, 4096)
    pair = Pair(
        backend,
        client_certificate=rsa if rsa_is_client else None,
        server_certificate=None if rsa_is_client else rsa,
    )
    pair.connect()
    pair.exchange()
    sizes = [len(datagram) for datagram in pair.client.sent + pair.server.sent]
    assert max(sizes) <= 1200
    assert max(sizes) > 1100
    assert len(sizes) < 10


def test_every_mtu_is_kept(backend: Backend) -> None:
    for mtu in (256, 300, 548, 1200, 1472):
        options = DtlsOptions(mtu=mtu)
        pair = Pair(
            backend,
            client_options=options,
            server_options=options,
            server_certificate=certificate("rsa", KeyType.RSA),
        )
        pair.connect()
        assert max(len(datagram) for datagram in pair.client.sent + pair.server.sent) <= mtu


def test_fingerprints_may_be_known_after_the_handshake_was_done(backend: Backend) -> None:
    """DT-3: nothing is told or delivered before; then all at once."""
    pair = Pair(backend, signalled=False)
    pair.client.expect(("sha-256", pair.server_certificate.fingerprint()))
    pair.start()
    pair.network.run_until_quiet()
    assert pair.client.state() is DtlsState.CONNECTED
    pair.client.send(b"early")
    pair.network.run_until_quiet()
    assert pair.server.state() is DtlsState.CONNECTING
    assert not pair.server.events
    assert not pair.server.received
    assert pair.server.connection.security is None
    with pytest.raises(InvalidStateError):
        pair.server.send(b"too early")
    pair.server.expect(("sha-256", pair.client_certificate.fingerprint()))
    assert pair.server.state() is DtlsState.CONNECTED
    assert pair.server.received == [b"early"]
    pair.exchange()


def test_few_payloads_wait_for_the_fingerprint(backend: Backend) -> None:
    pair = Pair(backend, signalled=False)
    pair.client.expect(("sha-256", pair.server_certificate.fingerprint()))
    pair.start()
    pair.network.run_until_quiet()
    for number in range(3 * MAX_HELD):
        pair.client.send(bytes((number + 1,)))
    pair.network.run_until_quiet()
    pair.server.expect(("sha-256", pair.client_certificate.fingerprint()))
    assert pair.server.received == [bytes((number + 1,)) for number in range(MAX_HELD)]
    assert pair.server.connection.discarded == 2 * MAX_HELD


def test_a_fingerprint_that_never_comes_ends_in_failure(backend: Backend) -> None:
    """DT-3: a handshake that nobody vouched for is none."""
    pair = Pair(backend, signalled=False)
    pair.client.expect(("sha-256", pair.server_certificate.fingerprint()))
    pair.start()
    pair.network.run_for(29.9)
    assert pair.server.state() is DtlsState.CONNECTING
    pair.network.run_for(0.2)
    assert pair.server.state() is DtlsState.FAILED
    [event] = pair.server.events
    assert isinstance(event, HandshakeFailed)
    assert "fingerprint" in str(event.error)


@pytest.mark.parametrize("role", DtlsRole)
def test_nobody_waits_longer_than_the_timeout(backend: Backend, role: DtlsRole) -> None:
    """DT-8: thirty seconds, on either side, when nobody answers."""
    pair = Pair(backend)
    alone = pair.client if role is DtlsRole.CLIENT else pair.server
    alone.hold = True
    alone.start()
    pair.network.run_for(29.9)
    assert alone.state() is DtlsState.CONNECTING
    pair.network.run_for(0.2)
    assert alone.state() is DtlsState.FAILED
    assert [type(event) for event in alone.events] == [HandshakeFailed]
    assert alone.connection.next_timeout() is None
    sent = len(alone.sent)
    pair.network.run_for(120)
    assert len(alone.sent) == sent
    assert (sent == 0) == (role is DtlsRole.SERVER)


def test_a_close_is_said_and_heard(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    pair.client.run(pair.client.connection.close)
    assert pair.client.events[1:] == [Closed(by_peer=False)]
    pair.network.run_until_quiet()
    assert pair.server.events[1:] == [Closed(by_peer=True)]
    assert pair.both(DtlsState.CLOSED)
    for end in (pair.client, pair.server):
        sent = len(end.sent)
        end.run(end.connection.close)
        end.run(end.connection.handle_timeout)
        end.receive(b"\x17\xfe\xfd\x00\x01")
        assert len(end.events) == 2
        assert len(end.sent) == sent
        with pytest.raises(InvalidStateError):
            end.send(b"after the end")
        with pytest.raises(InvalidStateError):
            end.start()
        with pytest.raises(InvalidStateError):
            end.expect(("sha-256", bytes(32)))


def test_a_connection_may_be_closed_at_any_time(backend: Backend) -> None:
    pair = Pair(backend)
    pair.client.run(pair.client.connection.close)
    assert pair.client.events == [Closed(by_peer=False)]
    pair = Pair(backend)
    pair.start()
    pair.server.run(pair.server.connection.close)
    assert pair.server.events == [Closed(by_peer=False)]
    assert not pair.server.sent
    assert pair.server.connection.next_timeout() is None


def test_data_that_is_sent_before_the_close_arrives_before_it(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    for number in range(10):
        pair.client.send(b"%d" % number)
    pair.client.run(pair.client.connection.close)
    pair.network.run_until_quiet()
    assert pair.server.received == [b"%d" % number for number in range(10)]
    assert pair.server.state() is DtlsState.CLOSED


def test_several_records_in_one_datagram_are_all_read(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    pair.client.hold = True
    before = len(pair.client.sent)
    for text in (b"one", b"two", b"three"):
        pair.client.send(text)
    pair.client.run(pair.client.connection.close)
    pair.server.receive(b"".join(pair.client.sent[before:]))
    assert pair.server.received == [b"one", b"two", b"three"]
    assert pair.server.events[-1] == Closed(by_peer=True)


def test_what_is_sent_fits_into_a_record(backend: Backend) -> None:
    pair = Pair(backend)
    with pytest.raises(InvalidStateError):
        pair.client.send(b"before")
    pair.connect()
    pair.client.send(bytes(16_384))
    pair.network.run_until_quiet()
    assert pair.server.received == [bytes(16_384)]
    with pytest.raises(MessageTooLargeError):
        pair.client.send(bytes(16_385))
    with pytest.raises(InvalidAccessError):
        pair.client.send(b"")
    pair.exchange()


def test_nothing_starts_twice(backend: Backend) -> None:
    pair = Pair(backend)
    pair.start()
    with pytest.raises(InvalidStateError):
        pair.client.start()


def test_before_the_start_datagrams_are_dropped(backend: Backend) -> None:
    pair = Pair(backend)
    pair.client.start()
    pair.network.run_until_quiet()
    assert pair.server.connection.discarded == 1
    assert not pair.server.sent
    assert pair.server.connection.next_timeout() is None


def test_a_timeout_that_is_handled_early_does_nothing(backend: Backend) -> None:
    pair = Pair(backend)
    pair.client.hold = True
    pair.client.run(pair.client.connection.handle_timeout)
    pair.client.start()
    sent = len(pair.client.sent)
    for _ in range(20):
        pair.client.run(pair.client.connection.handle_timeout)
    assert len(pair.client.sent) == sent


def test_the_same_fingerprints_may_be_repeated_but_not_changed(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    right = pair.server_certificate.fingerprint()
    pair.client.expect(("sha-256", right))
    pair.client.expect(("SHA-256", right), ("sha-512", pair.server_certificate.fingerprint("sha-512")))
    for wrong in ([("sha-256", bytes(32))], [], [("sha-1", bytes(20))]):
        with pytest.raises(InvalidStateError):
            pair.client.expect(*wrong)
    assert pair.client.state() is DtlsState.CONNECTED
    pair.exchange()


def test_without_srtp_profiles_there_are_no_keys(backend: Backend) -> None:
    for ours, theirs in (((), None), (None, ()), ((), ())):
        pair = Pair(
            backend,
            client_options=None if ours is None else DtlsOptions(srtp_profiles=ours),
            server_options=None if theirs is None else DtlsOptions(srtp_profiles=theirs),
        )
        pair.connect()
        for end in (pair.client, pair.server):
            assert end.completed.keying_material is None
            assert end.completed.security.srtp_profile is None
        pair.exchange()


def test_a_finished_connection_leaves_nothing_behind(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    pair.client.run(pair.client.connection.close)
    pair.network.run_until_quiet()
    assert pair.network.in_flight == 0
    assert pair.client.connection.poll_data() is None


def test_the_default_is_the_compiled_backend_where_it_can_be_had(native: Backend) -> None:
    assert default_backend() is native is native_backend()
    assert native.told_time
    assert native.version.startswith("OpenSSL 3.")
    DtlsConnection(certificate("client"), role=DtlsRole.CLIENT).start(NOW)


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"mtu": 100}, {"mtu": 100_000}, {"handshake_timeout": 0}, {"handshake_timeout": float("inf")}):
        with pytest.raises(InvalidAccessError):
            DtlsOptions(**wrong)
    with pytest.raises(InvalidAccessError):
        DtlsOptions(srtp_profiles=(), srtp_required=True)


def test_both_ends_hold_the_certificate_that_they_saw(backend: Backend) -> None:
    pair = Pair(backend)
    pair.connect()
    for end, other in ((pair.client, pair.server_certificate), (pair.server, pair.client_certificate)):
        event = end.events[0]
        assert isinstance(event, HandshakeCompleted)
        assert fingerprint_of(event.security.remote_certificate, "sha-512") == other.fingerprint("sha-512")
