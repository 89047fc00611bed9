"""Plain sockets on the machines of a lab, all in the thread of the test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

from icelane.testing.lab import Machine, missing
from icelane.testing.lab.description import Member
from tests.interop.conftest import miss

Address = tuple[str, int]

TRIES = 3
SILENCE = 0.25
"""How long nothing must come before we say that nothing comes: paths take less than a millisecond."""


def need_lab(*members: Member) -> None:
    """Skip the test, or the module, where a lab cannot be built; with ICELANE_REQUIRE_INTEROP=1 that is a failure."""
    lacking = missing(*members)
    if lacking is not None:
        miss(f"the lab {lacking}")


@contextlib.contextmanager
def datagrams(machine: Machine, port: int = 0, *, host: str | None = None) -> Iterator[socket.socket]:
    """A UDP socket there, on an address of its."""
    address = host or machine.ipv4 or machine.ipv6
    assert address is not None
    with machine.inside():
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    with opened:
        opened.bind((address, port))
        opened.settimeout(SILENCE)
        yield opened


def source_seen(sender: socket.socket, receiver: socket.socket) -> Address | None:
    """Where a datagram comes from in the eyes of its receiver; None when it does not come.

    On a busy machine one may be late, and the first one waits until neighbours have found each other: it is sent again.
    """
    for _ in range(TRIES):
        sender.sendto(b"hello", receiver.getsockname())
        source = next_source(receiver)
        if source is not None:
            return source
    return None


def next_source(receiver: socket.socket) -> Address | None:
    """Where the next datagram comes from; None when none comes."""
    with contextlib.suppress(TimeoutError):
        _, source = receiver.recvfrom(2048)
        return source[0], source[1]
    return None


@contextlib.contextmanager
def echoing(machine: Machine, port: int, context: ssl.SSLContext | None = None) -> Iterator[list[Address]]:
    """A TCP server on every address there that sends back what it gets; in TLS with a context. Yields who came."""
    with machine.inside():
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    came: list[Address] = []

    def serve() -> None:
        while True:
            try:
                connection, source = listener.accept()
            except OSError:
                return
            came.append((source[0].removeprefix("::ffff:"), source[1]))
            threading.Thread(target=_echo, args=(connection, context), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _echo(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    connection.settimeout(5)
    with contextlib.suppress(OSError), connection:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        while data := connection.recv(2048):
            connection.sendall(data)
        connection.close()


def connect(machine: Machine, host: str, port: int) -> socket.socket | None:
    """A TCP connection from there; None when none comes about."""
    with machine.inside():
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    opened.settimeout(SILENCE)
    try:
        opened.connect((host, port))
    except OSError:
        opened.close()
        return None
    opened.settimeout(5)
    return opened


def echo(machine: Machine, host: str, port: int, data: bytes = b"\x00\x01 a STUN message, say") -> bool:
    """Whether data goes to a TCP server and back."""
    opened = connect(machine, host, port)
    if opened is None:
        return False
    with opened:
        return echoes(opened, data)


def echoes(opened: socket.socket, data: bytes) -> bool:
    """Whether data comes back whole on a connection."""
    received = b""
    with contextlib.suppress(OSError):
        opened.sendall(data)
        while len(received) < len(data) and (more := opened.recv(2048)):
            received += more
    return received == data


def is_reset(opened: socket.socket, data: bytes) -> bool:
    """Whether a connection is reset for what is sent on it."""
    try:
        opened.sendall(data)
        while opened.recv(2048):
            pass
    except ConnectionResetError:
        return True
    return False
