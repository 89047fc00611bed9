"""What TCP and UDP sockets have in common: their family, and where the routing table lets them leave from."""

from __future__ import annotations

import socket

from icelane.core.net import AddressFamily, SocketAddress, canonical_host


def socket_family(address: SocketAddress) -> socket.AddressFamily:
    """The family of the sockets that can be bound to it, or connected to it."""
    return socket.AF_INET6 if address.family is AddressFamily.IPV6 else socket.AF_INET


def source_towards(remote: SocketAddress) -> str:
    """The address of ours that the routing table gives what we send there; nothing is sent to find that out.

    Raises OSError when there is no way.
    """
    with socket.socket(socket_family(remote), socket.SOCK_DGRAM) as probe:
        probe.connect(tuple(remote))
        return canonical_host(str(probe.getsockname()[0]))
