"""Runs of datagrams of one size in one system call: UDP_SEGMENT for sending, UDP_GRO for receiving (Linux).

The kernel's way through its stack is what a datagram costs; a run goes that way once, and is cut up in the end, often
by the network card. On loopback nobody cuts: a run that was sent so arrives so.
"""

from __future__ import annotations

import platform
import re
import socket
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from icelane.aio.kernel import IS_LINUX

# linux/udp.h; the socket module does not have them.
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104

# UDP_MAX_SEGMENTS of every kernel that has it; newer ones take more.
MAX_SEGMENTS: Final = 64
# What IP carries in one piece, without the longest headers.
MAX_RUN_BYTES: Final = 65_000

_SIZE: Final = struct.Struct("=H")
_INT: Final = struct.Struct("=i")
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(_INT.size) if IS_LINUX else 0
# From the first to before the second, runs leave with wrong contents.
_CORRUPTING_KERNELS: Final = (7, 0, 0), (7, 1, 5)


@cache
def kernel_is_trusted(release: str) -> bool:
    """Whether a kernel of that release sends runs as they are."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if found is None:
        return False
    first, fixed = _CORRUPTING_KERNELS
    return not first <= tuple(int(number or 0) for number in found.groups()) < fixed


def can_send_runs(udp: socket.socket) -> bool:
    """Whether the kernel takes runs from this socket. Whether a destination does is found out by sending."""
    if not IS_LINUX or not kernel_is_trusted(platform.release()):
        return False
    try:
        udp.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def receive_runs(udp: socket.socket) -> bool:
    """Ask for runs; False where the kernel has none. Then `receive_run` must be used to read."""
    if not IS_LINUX:
        return False
    try:
        udp.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def send_run(udp: socket.socket, datagrams: Sequence[bytes], address: tuple[Any, ...]) -> None:
    """Send datagrams of one size, of which the last may be shorter. Raises OSError, and nothing has left then."""
    size = _SIZE.pack(len(datagrams[0]))
    udp.sendmsg(datagrams, [(_SOL_UDP, _UDP_SEGMENT, size)], 0, address)


def receive_run(udp: socket.socket, limit: int) -> tuple[bytes, int, tuple[Any, ...]]:
    """The next run, the size of its datagrams but the last, and its source. Raises OSError."""
    data, ancillary, _, source = udp.recvmsg(limit, _ANCILLARY_SIZE)
    for level, kind, value in ancillary:
        if level == _SOL_UDP and kind == _UDP_GRO:
            return data, _INT.unpack_from(value)[0] or len(data), source
    return data, len(data), source


def run_length(sizes: list[int], start: int) -> int:
    """How many datagrams from `start` on make one run. An empty one is always alone: at the end of a run it is lost."""
    size, end, total = sizes[start], start + 1, sizes[start]
    last = min(len(sizes), start + MAX_SEGMENTS)
    while end < last:
        following = sizes[end]
        if not 0 < following <= size or total + following > MAX_RUN_BYTES:
            break
        total += following
        end += 1
        if following < size:
            break
    return end - start
