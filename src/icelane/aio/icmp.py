"""ICMP errors for what a UDP socket has sent, as Linux queues them (IP_RECVERR and IPV6_RECVERR of ip(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from icelane.aio.kernel import IS_LINUX
from icelane.core.net import AddressFamily, SocketAddress, canonical_host

# linux/in.h, linux/in6.h, linux/errqueue.h; the socket module has none of them.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = getattr(socket, "MSG_ERRQUEUE", 0x2000)
# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_IPV6: Final = AddressFamily.IPV6
_IPPROTO_IP: Final = int(socket.IPPROTO_IP)
_IPPROTO_IPV6: Final = int(socket.IPPROTO_IPV6)
_ORIGIN_ICMP: Final = 2
_ORIGIN_ICMP6: Final = 3
_EXTENDED_ERROR: Final = struct.Struct("=IBBBBII")  # struct sock_extended_err: errno origin type code pad info data
_ANCILLARY_SIZE: Final = 512

# One wake reads this many at most; the rest keeps the socket readable.
MAX_REPORTS_PER_WAKE: Final = 64


class IcmpReport(NamedTuple):
    """A router or `destination` itself refused a datagram; `info` is the next hop's MTU where size was the reason."""

    destination: SocketAddress
    icmp_type: int
    code: int
    info: int


def ask_for_reports(udp: socket.socket, family: AddressFamily) -> bool:
    """Make the kernel queue ICMP errors for this socket; False where it cannot."""
    if not IS_LINUX:
        return False
    level, option = (_IPPROTO_IPV6, _IPV6_RECVERR) if family is _IPV6 else (_IPPROTO_IP, _IP_RECVERR)
    try:
        udp.setsockopt(level, option, 1)
    except OSError:
        return False
    return True


def read_reports(udp: socket.socket) -> Iterator[IcmpReport]:
    """Take what is queued, at most MAX_REPORTS_PER_WAKE; errors of the socket itself are passed over."""
    for _ in range(MAX_REPORTS_PER_WAKE):
        try:
            _, ancillary, _, destination = udp.recvmsg(0, _ANCILLARY_SIZE, _MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) not in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                continue
            if len(data) < _EXTENDED_ERROR.size or not destination:
                continue
            _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            if origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
                address = SocketAddress(canonical_host(destination[0]), destination[1])
                yield IcmpReport(address, icmp_type, code, info)
