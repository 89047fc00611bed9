"""Every packet that passes an interface, as rows of who spoke to whom."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from icelane.testing.lab.error import LabError
from icelane.testing.namespace import inside

# Distinct rows; a port scan of everything would be more. What comes then fails the capture.
MAX_ROWS: Final = 100_000

# linux/if_ether.h, asm-generic/socket.h, linux/if_packet.h
_ETH_P_ALL: Final = 3
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_PACKET_OUTGOING: Final = 4

_BUFFER: Final = 64 << 20
_HEADERS: Final = 256  # of a packet; more is not looked at
_POLL: Final = 0.05

_NAMES: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_EXTENSIONS: Final = (0, 43, 60)  # RFC 8200 section 4: hop-by-hop, routing, destination
_FRAGMENT: Final = 44


class Packet(NamedTuple):
    """A row. Ports are 0 where there are none, as in ICMP and in all but the first fragment."""

    is_outgoing: bool
    protocol: str
    """`udp`, `tcp`, `icmp`, `icmpv6`, or the number of another one."""
    source: str
    source_port: int
    destination: str
    destination_port: int


class Capture:
    """What has passed so far."""

    def __init__(self, device: str) -> None:
        """On a device of the network namespace that the calling thread is in."""
        self._socket: Final = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # of root in a namespace of users; what does not fit is missed, and that is noticed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((device, _ETH_P_ALL))
        self._socket.setblocking(False)
        self._counts: Counter[Packet] = Counter()
        self._missed = 0
        self._lock: Final = threading.Lock()
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, name="capture", daemon=True)
        self._reader.start()

    def packets(self) -> Counter[Packet]:
        """How many packets of each kind have passed, all until now.

        Raises LabError when some were missed: then nothing can be said about what was not sent.
        """
        with self._lock:
            self._drain()
            if self._missed:
                raise LabError(f"the capture missed {self._missed} packets")
            return self._counts.copy()

    def sent(self) -> set[tuple[str, str, int]]:
        """To whom anything was sent: protocol, address and port. Neighbour discovery and the like are left out."""
        rows = (row for row in self.packets() if row.is_outgoing and row.protocol != "icmpv6")
        return {(row.protocol, row.destination, row.destination_port) for row in rows}

    def close(self) -> None:
        """Stop; what has passed until now is kept."""
        if self._over.is_set():
            return
        self._over.set()
        self._reader.join()
        with self._lock:
            self._drain()
            self._socket.close()

    def _read(self) -> None:
        while not self._over.is_set():
            if select.select([self._socket], [], [], _POLL)[0]:
                with self._lock:
                    self._drain()

    def _drain(self) -> None:
        """With the lock held."""
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (_, protocol, kind, *_) = self._socket.recvfrom(_HEADERS)
                row = row_of(protocol, data, is_outgoing=kind == _PACKET_OUTGOING)
                if row is None:
                    continue
                if row in self._counts or len(self._counts) < MAX_ROWS:
                    self._counts[row] += 1
                else:
                    self._missed += 1
        _, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._missed += dropped


@contextlib.contextmanager
def capturing(device: str, namespace: int | None = None) -> Iterator[Capture]:
    """A capture on a device of a network namespace for as long as the block lasts; it can be asked afterwards too."""
    with inside(namespace):
        capture = Capture(device)
    try:
        yield capture
    finally:
        capture.close()


def row_of(ethernet_type: int, data: bytes, *, is_outgoing: bool) -> Packet | None:
    """The row of an IP packet; None for another protocol and for what is cut short."""
    try:
        if ethernet_type == 0x0800:
            return _parse_ipv4(data, is_outgoing)
        return _parse_ipv6(data, is_outgoing) if ethernet_type == 0x86DD else None
    except (IndexError, struct.error, ValueError):
        return None


def _parse_ipv4(data: bytes, is_outgoing: bool) -> Packet:
    (fragment,) = struct.unpack_from("!H", data, 6)
    rest = b"" if fragment & 0x1FFF else data[(data[0] & 15) * 4 :]
    return _row(is_outgoing, data[9], socket.AF_INET, data[12:16], data[16:20], rest)


def _parse_ipv6(data: bytes, is_outgoing: bool) -> Packet:
    protocol, rest = data[6], data[40:]
    while protocol in (*_EXTENSIONS, _FRAGMENT):
        if protocol == _FRAGMENT:
            (offset,) = struct.unpack_from("!H", rest, 2)
            protocol, rest = rest[0], (b"" if offset >> 3 else rest[8:])
            break
        protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
    return _row(is_outgoing, protocol, socket.AF_INET6, data[8:24], data[24:40], rest)


def _row(
    is_outgoing: bool, number: int, family: socket.AddressFamily, source: bytes, destination: bytes, rest: bytes
) -> Packet:
    protocol = _NAMES.get(number, str(number))
    has_ports = protocol in ("tcp", "udp") and len(rest) > 0
    source_port, destination_port = struct.unpack_from("!HH", rest) if has_ports else (0, 0)
    return Packet(
        is_outgoing,
        protocol,
        socket.inet_ntop(family, source),
        source_port,
        socket.inet_ntop(family, destination),
        destination_port,
    )
