"""DT-3: nobody is believed whose fingerprint was not signalled, and no key leaves OpenSSL before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icelane.crypto.certificate import Certificate
from icelane.dtls.backend import Backend, Session
from icelane.dtls.connection import DtlsState, HandshakeFailed
from icelane.dtls.identity import MAX_FINGERPRINTS, Fingerprint, RemoteIdentity
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.errors import HandshakeError
from tests.dtls.pair import Pair, certificate

CLIENT, SERVER = certificate("client"), certificate("server")


def flipped(value: bytes) -> bytes:
    return value[:-1] + bytes((value[-1] ^ 1,))


WRONG: list[list[Fingerprint]] = [
    [("sha-256", flipped(CLIENT.fingerprint()))],
    [("sha-256", bytes(32))],
    [("sha-256", b"")],
    [("sha-256", CLIENT.fingerprint()[:16])],
    [("sha-512", CLIENT.fingerprint())],
    [("sha-256", CLIENT.fingerprint("sha-512"))],
    [("sha-256", CLIENT.fingerprint()), ("sha-512", bytes(64))],
    [("sha-512", bytes(64)), ("sha-256", CLIENT.fingerprint())],
    [("sha-256", CLIENT.fingerprint()), ("sha-256", certificate("somebody").fingerprint())],
    [],
    [("md5", bytes(16))],
    [("sha-1", bytes(20)), ("md5", bytes(16))],
    [("sha-224", bytes(28))],
    [("", CLIENT.fingerprint())],
    [("sha-256", SERVER.fingerprint())],
    [("sha-256", CLIENT.fingerprint()), ("sha-384", SERVER.fingerprint("sha-384"))],
    [("sha-256", CLIENT.fingerprint())] * (MAX_FINGERPRINTS + 1),
]
"""What a server may be told about a client, each of which is reason enough not to believe it."""


class WatchedBackend:
    """A backend that tells when keys are exported."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.exported: list[int] = []

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def version(self) -> str:
        return self.backend.version

    @property
    def told_time(self) -> bool:
        return self.backend.told_time

    def open_session(
        self, own: Certificate, role: DtlsRole, options: DtlsOptions, verify: Callable[[bytes], bool]
    ) -> Session:
        return WatchedSession(self.backend.open_session(own, role, options, verify), self.exported)


class WatchedSession:
    """A session that does all that the one inside does, and notes exports."""

    def __init__(self, inner: Session, exported: list[int]) -> None:
        self._inner = inner
        self._exported = exported
        self.handshake = inner.handshake
        self.handle_timeout = inner.handle_timeout
        self.hurry = inner.hurry
        self.next_timeout = inner.next_timeout
        self.open = inner.open
        self.read = inner.read
        self.seal = inner.seal
        self.shutdown = inner.shutdown
        self.output = inner.output

    def export(self, label: bytes, size: int) -> bytes:
        self._exported.append(size)
        return self._inner.export(label, size)

    @property
    def peer_certificate(self) -> bytes:
        return self._inner.peer_certificate

    @property
    def protocol(self) -> str:
        return self._inner.protocol

    @property
    def cipher_suite(self) -> str:
        return self._inner.cipher_suite

    @property
    def srtp_profile(self) -> str:
        return self._inner.srtp_profile


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_peer_without_every_signalled_fingerprint_is_not_believed(
    backend: Backend, wrong: list[Fingerprint], late: bool
) -> None:
    """DT-3: failed, no keys exported, no data delivered; whether it was known before the handshake or after."""
    watched = WatchedBackend(backend)
    pair = Pair(backend, watched, signalled=False)
    pair.client.expect(("sha-256", SERVER.fingerprint()))
    if not late:
        pair.server.expect(*wrong)
    if pair.server.state() is DtlsState.NEW:
        pair.server.start()
    pair.client.start()
    pair.network.run_until_quiet()
    if pair.client.state() is DtlsState.CONNECTED:
        pair.client.send(b"believe me")
        pair.network.run_until_quiet()
    if late:
        assert not pair.server.events
        pair.server.expect(*wrong)
    assert pair.server.state() is DtlsState.FAILED
    assert [type(event) for event in pair.server.events] == [HandshakeFailed]
    assert not watched.exported
    assert not pair.server.received
    assert pair.server.connection.security is None


@pytest.mark.parametrize("late", [False, True])
def test_the_client_does_not_believe_a_wrong_server_either(backend: Backend, late: bool) -> None:
    """DT-3: the same the other way."""
    watched = WatchedBackend(backend)
    pair = Pair(watched, backend, signalled=False)
    pair.server.expect(("sha-256", CLIENT.fingerprint()))
    wrong = ("sha-256", flipped(SERVER.fingerprint()))
    if not late:
        pair.client.expect(wrong)
    pair.start()
    pair.network.run_until_quiet()
    if late:
        pair.client.expect(wrong)
    assert pair.client.state() is DtlsState.FAILED
    assert not watched.exported
    pair.network.run_until_quiet()
    assert pair.server.state() is (DtlsState.CLOSED if late else DtlsState.FAILED)


def test_keys_exist_only_after_the_match(backend: Backend) -> None:
    """DT-3: the order; nothing is exported while the fingerprint is not known."""
    watched = WatchedBackend(backend)
    pair = Pair(backend, watched, signalled=False)
    pair.client.expect(("sha-256", SERVER.fingerprint()))
    pair.start()
    pair.network.run_until_quiet()
    assert not watched.exported
    pair.server.expect(("sha-256", CLIENT.fingerprint()), ("md5", bytes(16)))
    assert len(watched.exported) == 1
    assert pair.server.completed.keying_material is not None


def test_every_accepted_fingerprint_is_compared_and_no_other(backend: Backend) -> None:
    pair = Pair(backend, signalled=False)
    pair.client.expect(
        ("SHA-256", SERVER.fingerprint()),
        ("sha-384", SERVER.fingerprint("sha-384")),
        ("sha-512", SERVER.fingerprint("sha-512")),
        ("sha-1", bytes(20)),
    )
    pair.server.expect(("sha-512", CLIENT.fingerprint("sha-512")))
    pair.connect()
    assert [name for name, _ in pair.client.completed.security.remote_fingerprints] == ["sha-256", "sha-384", "sha-512"]


def test_our_own_certificate_is_nobody_else(backend: Backend) -> None:
    """DT-3: who reflects our own session description has our fingerprint in it, and our own certificate to show."""
    for reflecting in (True, False):
        pair = Pair(backend, client_certificate=SERVER, server_certificate=SERVER, signalled=False)
        if reflecting:
            pair.server.expect(("sha-256", SERVER.fingerprint()))
            assert pair.server.state() is DtlsState.FAILED
        else:
            pair.start()
            pair.network.run_until_quiet()
            pair.server.expect(("sha-256", SERVER.fingerprint()))
            assert pair.server.state() is DtlsState.FAILED


def test_an_identity_that_is_not_known_matches_nobody() -> None:
    """DT-3: before the fingerprints come, nothing is verified."""
    identity = RemoteIdentity(SERVER)
    assert not identity.known
    assert identity.may_be(CLIENT.der)
    with pytest.raises(HandshakeError):
        identity.verify(CLIENT.der)
    identity.expect([("sha-256", CLIENT.fingerprint())])
    identity.verify(CLIENT.der)
    for other in (b"", SERVER.der, CLIENT.der + b"\0"):
        assert not identity.may_be(other)
        with pytest.raises(HandshakeError):
            identity.verify(other)
