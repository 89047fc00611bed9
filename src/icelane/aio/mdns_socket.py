"""Sockets of multicast DNS: port 5353, on one link each, shared with whoever else is there (RFC 6762 section 15)."""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

from icelane.aio.kernel import IS_LINUX

GROUP: Final = "224.0.0.251"
GROUP_6: Final = "ff02::fb"
PORT: Final = 5353
MAX_DATAGRAM: Final = 9000  # RFC 6762 section 17
# A wake handles this many at most, so that a busy link starves nobody else.
MAX_DATAGRAMS_PER_WAKE: Final = 64

# linux/in.h; the socket module has it from Python 3.14 on. A control message with the number of the interface first.
_IP_PKTINFO: Final = 8
_INDEX: Final = struct.Struct("=i")
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(12) if IS_LINUX else 0


def open_on_address(host: str) -> socket.socket:
    """On the link of that IPv4 address of ours; raises OSError where there is no multicast."""
    interface = socket.inet_aton(host)
    opened = _shared(socket.AF_INET)
    try:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        if IS_LINUX:
            opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        opened.bind((GROUP, PORT))
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + interface)
    except BaseException:
        opened.close()
        raise
    return opened


def open_on_interface(name: str) -> socket.socket:
    """On the link of that interface, over IPv6; raises OSError where there is no multicast."""
    index = socket.if_nametoindex(name)
    opened = _shared(socket.AF_INET6)
    try:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        opened.bind((GROUP_6, PORT, 0, index))
        membership = socket.inet_pton(socket.AF_INET6, GROUP_6) + struct.pack("@I", index)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    except BaseException:
        opened.close()
        raise
    return opened


def receive(opened: socket.socket, limit: int) -> tuple[bytes, tuple[Any, ...], int | None]:
    """A datagram, its source, and the number of the interface that it came in on, None where that is the socket's own.

    An IPv4 socket hears what comes in on any link on which somebody here has joined the group. IP_MULTICAST_ALL would
    stop that, but with SO_REUSEPORT the kernel then hands what comes to one of the sockets, whichever link it is for.
    Raises OSError.
    """
    if opened.family == socket.AF_INET6 or not _ANCILLARY_SIZE:
        return *opened.recvfrom(limit), None
    data, ancillary, _, source = opened.recvmsg(limit, _ANCILLARY_SIZE)
    found = [value for level, kind, value in ancillary if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO)]
    return data, source, _INDEX.unpack_from(found[0])[0] if found else None


def _shared(family: socket.AddressFamily) -> socket.socket:
    """The responder of the system, browsers and we share the port."""
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return opened
