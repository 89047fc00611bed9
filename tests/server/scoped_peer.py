"""In a namespace: a peer on a link, whose address means nothing without its link, sends to a relay port of the core."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from select import select

from icelane.core.clock import Instant
from icelane.server.batched.core import DATAGRAM, RelayCore
from tests.server.namespaces import ip

HOST = "fe80::77"


def check() -> None:
    """A channel that leads to the same address without a link is not the peer's."""
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{HOST}/64", "dev", "lo", "nodad")
    link = socket.if_nametoindex("lo")
    await_route(link)
    with ExitStack() as stack:
        core = stack.enter_context(closing(RelayCore(runs=True, coalesce=0.0, secret=bytes(16))))
        listener, relay, peer = (
            stack.enter_context(opened(address)) for address in (("::1", 0), ("::", 0), (HOST, 0, 0, link))
        )
        client = core.add_client(core.add_socket(listener.fileno(), is_listener=True), ("::1", 9))
        number = core.add_socket(relay.fileno(), is_listener=False)
        core.assign(number, client)
        core.set_channel(client, 0x4000, number, (HOST, peer.getsockname()[1]), Instant(1e12))
        core.lead_back(client, 0x4000)
        to = (HOST, relay.getsockname()[1], 0, link)
        send(b"unknown", peer, to, relay)
        assert not core.run()
        assert core.client_counters(client) == (0, 0, 0, 0, 1)
        core.permit(number, (HOST, 0), True)
        send(b"permitted", peer, to, relay)
        ((kind, _, _, data, _, source),) = core.run()
        assert (kind, data, source) == (DATAGRAM, b"permitted", peer.getsockname())
        assert core.client_counters(client) == (0, 0, 0, 0, 1)


def send(data: bytes, peer: socket.socket, to: tuple[str, int, int, int], relay: socket.socket) -> None:
    """Have `peer` send, and wait until it is there."""
    peer.sendto(data, to)
    assert select([relay], [], [], 10)[0]


def await_route(link: int) -> None:
    """The kernel makes the way to a new address a little later: what is sent before is lost."""
    with closing(opened((HOST, 0, 0, link))) as ours:
        for _ in range(200):
            ours.sendto(b"?", ours.getsockname())
            if select([ours], [], [], 0.05)[0]:
                return
    raise AssertionError(f"nothing reaches {HOST}")


def opened(address: tuple[object, ...]) -> socket.socket:
    """A socket of IPv6 that does not block."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(address)
    return made


if __name__ == "__main__":
    check()
