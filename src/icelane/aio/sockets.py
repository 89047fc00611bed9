"""What TCP and UDP sockets have in common: their family, and where the routing table lets them leave from."""

from __future__ import annotations

import socket
from typing import Final

from icelane.core.net import SocketAddress, canonical_host

# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_AF_INET: Final = socket.AF_INET
_AF_INET6: Final = socket.AF_INET6
# Linux opens a socket like that in one call.
_NON_BLOCKING: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)


def socket_family(address: SocketAddress) -> socket.AddressFamily:
    """The family of the sockets that can be bound to it, or connected to it."""
    return _AF_INET6 if ":" in address[0] else _AF_INET


def open_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket; raises OSError. TR-2: one of IPv6 never reaches an IPv4 host by an IPv4-mapped address."""
    opened = socket.socket(family, kind | _NON_BLOCKING)
    try:
        if not _NON_BLOCKING:
            opened.setblocking(False)
        if family is _AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def source_towards(remote: SocketAddress) -> str:
    """The address of ours that the routing table gives what we send there; nothing is sent to find that out.

    Raises OSError when there is no way.
    """
    with socket.socket(socket_family(remote), socket.SOCK_DGRAM) as probe:
        probe.connect(tuple(remote))
        return canonical_host(str(probe.getsockname()[0]))
