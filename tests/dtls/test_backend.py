"""What every backend has to do, asked of the sessions themselves."""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import os
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from icelane.core.clock import Instant
from icelane.dtls import pyopenssl as pyopenssl_module
from icelane.dtls.backend import Backend, Session
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.errors import HandshakeError, IcelaneError, RemoteProtocolError, TransportClosedError
from tests.audit.requirements import project_requirements
from tests.dtls.pair import NOW, certificate

CLIENT, SERVER = certificate("client"), certificate("server")


def accept(_: bytes) -> bool:
    return True


def sessions(
    backend: Backend, client: Callable[[bytes], bool] = accept, server: Callable[[bytes], bool] = accept
) -> tuple[Session, Session]:
    options = DtlsOptions()
    return (
        backend.open_session(CLIENT, DtlsRole.CLIENT, options, client),
        backend.open_session(SERVER, DtlsRole.SERVER, options, server),
    )


def shake_hands(client: Session, server: Session) -> None:
    client.handshake(b"", NOW)
    done = [False, False]
    for _ in range(3):
        for number, (one, other) in enumerate(((client, server), (server, client))):
            if flight := one.output():
                done[1 - number] |= other.handshake(flight, NOW)
    assert done == [True, True]


def refuse(_: bytes) -> bool:
    return False


def break_down(_: bytes) -> bool:
    raise ZeroDivisionError("a mistake of ours")


def answer_nothing(_: bytes) -> bool:
    return None  # type: ignore[return-value]  # the mistake that this is about


def answer_almost_true(_: bytes) -> bool:
    return 1  # type: ignore[return-value]  # the same


@pytest.mark.parametrize("verify", [refuse, break_down, answer_nothing, answer_almost_true])
@pytest.mark.parametrize("role", DtlsRole)
def test_a_callback_that_does_not_say_true_refuses(
    backend: Backend, role: DtlsRole, verify: Callable[[bytes], bool]
) -> None:
    """DT-11: an exception in it above all: it fails closed, and says whose mistake it was."""
    client, server = sessions(backend, client=verify) if role is DtlsRole.CLIENT else sessions(backend, server=verify)
    with pytest.raises(HandshakeError) as caught:
        shake_hands(client, server)
    assert isinstance(caught.value.__cause__, ZeroDivisionError) == (verify is break_down)
    for session in (client, server):
        with pytest.raises(HandshakeError):
            session.export(b"EXTRACTOR-dtls_srtp", 56)


def test_the_callback_is_shown_the_certificate_of_the_peer(backend: Backend) -> None:
    seen: list[bytes] = []

    def look(der: bytes) -> bool:
        seen.append(der)
        return True

    client, server = sessions(backend, client=look)
    shake_hands(client, server)
    assert set(seen) == {SERVER.der}
    assert client.peer_certificate == SERVER.der
    assert server.peer_certificate == CLIENT.der


def test_pyopenssl_is_new_enough() -> None:
    """DT-11: 26, where callbacks that raise fail closed, and too long cookies are refused; we set no cookies."""
    [floor] = [Requirement(line) for line in project_requirements() if Requirement(line).name == "pyOpenSSL"]
    assert not floor.specifier.contains("25.3.0")
    assert Version(importlib.metadata.version("pyOpenSSL")) >= Version("26")
    source = pyopenssl_module.__loader__.get_source(pyopenssl_module.__name__)  # type: ignore[union-attr]
    assert "cookie" not in source


def test_nothing_is_exported_before_the_handshake_is_done(backend: Backend) -> None:
    """DT-3: not even when asked."""
    client, server = sessions(backend)
    client.handshake(b"", NOW)
    server.handshake(client.output(), NOW)
    for session in (client, server):
        with pytest.raises(HandshakeError):
            session.export(b"EXTRACTOR-dtls_srtp", 56)
        with pytest.raises(RemoteProtocolError):
            session.seal(b"early")
        assert session.peer_certificate == b""


def test_a_session_that_broke_keeps_raising_and_nothing_else(backend: Backend) -> None:
    client, server = sessions(backend, server=refuse)
    with pytest.raises(HandshakeError):
        shake_hands(client, server)
    for _ in range(3):
        for session in (client, server):
            for use in (
                lambda session=session: session.handshake(b"", NOW),
                lambda session=session: session.read(b""),
                lambda session=session: session.seal(b"x"),
                session.shutdown,
                session.output,
                lambda session=session: session.handle_timeout(Instant(NOW + 60)),
            ):
                try:
                    use()
                except IcelaneError:
                    continue


def test_a_closed_session_reads_no_more(backend: Backend) -> None:
    client, server = sessions(backend)
    shake_hands(client, server)
    server.shutdown()
    goodbye = server.output()
    with pytest.raises(TransportClosedError):
        client.read(goodbye)
    with pytest.raises(TransportClosedError):
        client.read(b"")


def test_what_is_open_is_left_alone_when_it_is_not_one_record_of_data(backend: Backend) -> None:
    client, server = sessions(backend)
    assert client.open(b"\x17\xfe\xfd\0\1" + bytes(60)) is None
    shake_hands(client, server)
    record = server.seal(b"hello")
    for other in (
        record + record,
        record[:-1],
        b"",
        record[:13],
        b"\x16" + record[1:],
        record[:4] + b"\0" + record[5:],
    ):
        assert client.open(other) is None
    assert client.open(record[:-1] + b"\0") == b""
    assert client.open(record) == b"hello"
    assert client.open(record) == b""


def test_sessions_and_their_callbacks_are_let_go(backend: Backend) -> None:
    """No cycle that only the collector could undo would keep the keys of a dead connection."""

    class Verifier:
        def __call__(self, der: bytes) -> bool:
            return bool(der)

    verifier = Verifier()
    gone = weakref.ref(verifier)
    client, server = sessions(backend, client=verifier)
    shake_hands(client, server)
    del client, server, verifier
    if not backend.told_time:
        gc.collect()
    assert gone() is None


WHICH = """
import sys
if len(sys.argv) > 1:
    from icelane.dtls import libssl
    libssl.LIBRARY = sys.argv[1]
from icelane.dtls.backend import default_backend
print(default_backend().name)
"""


@pytest.mark.parametrize("library", ["libssl.so.nowhere", "libc.so.6"])
def test_without_a_library_that_can_be_used_the_other_backend_takes_over(native: Backend, library: str) -> None:
    """Nothing is linked: neither a missing library nor another one keeps icelane from running."""
    finished = subprocess.run([sys.executable, "-c", WHICH, library], check=True, capture_output=True, text=True)
    assert finished.stdout.split() == ["pyopenssl"]


def test_without_the_compiled_module_the_other_backend_takes_over() -> None:
    environment = {**os.environ, "ICELANE_PURE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", WHICH], check=True, capture_output=True, text=True, env=environment
    )
    assert finished.stdout.split() == ["pyopenssl"]


def test_errors_that_others_left_on_the_thread_are_not_ours(native: Backend) -> None:
    """Python's own ssl module may use the same library, whose queue of errors is one for each thread."""
    libcrypto = ctypes.CDLL("libcrypto.so.3")

    def litter() -> None:
        libcrypto.ERR_new()
        libcrypto.ERR_set_error(20, 1, None)

    client, server = sessions(native)
    litter()
    shake_hands(client, server)
    record = server.seal(b"hello")
    litter()
    assert client.read(b"") is None
    litter()
    assert client.open(record[:-1] + b"\0") == b""
    litter()
    assert client.open(record) == b"hello"
