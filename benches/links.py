"""The networks that the measurements run on: this machine's loopback, or a veth pair between two namespaces of our own.

The namespaces have no names: each lives as long as the descriptor that this process holds, so that nothing is left
behind however the process ends.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benches.turn_client import Address
from icelane.testing.namespace import inside, new_namespace

CLIENT_HOST, SERVER_HOST = "198.18.0.1", "198.18.0.2"  # of the range for benchmarks, RFC 2544

PORTS_PER_LOOPBACK_SOURCE = 250
# Below those of clients, of relays, and of whoever asks the kernel for any.
_LISTENING_PORTS = range(10_000, 20_000)


@dataclass(frozen=True, kw_only=True)
class Link:
    """Where client and server find each other."""

    name: str
    client_host: str
    server_host: str
    sources: Iterator[Address]
    """Addresses for clients to connect from. None comes twice: a server may remember a 5-tuple after its allocation."""
    client_namespace: int | None = None
    server_namespace: int | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether peers need the permission to have loopback addresses."""
        return self.client_namespace is None

    @contextlib.contextmanager
    def client_side(self) -> Iterator[None]:
        """In this block, sockets and processes belong to the side of the load."""
        with inside(self.client_namespace):
            yield

    @contextlib.contextmanager
    def server_side(self) -> Iterator[None]:
        """In this block, sockets and processes belong to the side of the server."""
        with inside(self.server_namespace):
            yield

    def free_port(self) -> int:
        """A port that is free over UDP and TCP on the server's side, and that nobody is given who asks for any."""
        with self.server_side():
            for port in random.sample(_LISTENING_PORTS, 64):
                with (
                    contextlib.suppress(OSError),
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
                    socket.socket() as streams,
                ):
                    datagrams.bind((self.server_host, port))
                    streams.bind((self.server_host, port))
                    return port
        raise RuntimeError("no free port")


def loopback() -> Link:
    """This machine's own loopback, its clients spread over 127.0.0.0/8: no limit per source address is met."""
    hosts = (f"127.77.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))
    ports = range(20_000, 20_000 + PORTS_PER_LOOPBACK_SOURCE)
    return Link(name="loopback", client_host="127.0.0.1", server_host="127.0.0.1", sources=_addresses(hosts, ports))


def may_make_namespaces() -> bool:
    """Whether `veth` can work for this user on this machine."""
    return os.geteuid() == 0 and not subprocess.run(["ip", "-V"], capture_output=True, check=False).returncode


@contextlib.contextmanager
def veth() -> Iterator[Link]:
    """Two fresh namespaces with a veth pair between them, kernel defaults for both ends."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(new_namespace())
        server = stack.enter_context(new_namespace())
        with inside(client):
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "client", "type", "veth", "peer", "name", "server")
            _ip("link", "set", "server", "netns", f"/proc/{os.getpid()}/fd/{server}")
            _ip("address", "add", f"{CLIENT_HOST}/30", "dev", "client")
            _ip("link", "set", "client", "up")
        with inside(server):
            _ip("link", "set", "lo", "up")
            _ip("address", "add", f"{SERVER_HOST}/30", "dev", "server")
            _ip("link", "set", "server", "up")
        yield Link(
            name="veth",
            client_host=CLIENT_HOST,
            server_host=SERVER_HOST,
            sources=_addresses(itertools.repeat(CLIENT_HOST), range(10_000, 65_000)),
            client_namespace=client,
            server_namespace=server,
        )


def _addresses(hosts: Iterable[str], ports: range) -> Iterator[Address]:
    return ((host, port) for host in hosts for port in ports)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
