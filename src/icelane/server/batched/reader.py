"""Reads the server's UDP sockets through the core: payload of channels stays there, everything else comes up.

The core is one descriptor for the loop, whatever number of sockets it reads, so uvloop and asyncio drive it alike.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from icelane.aio.udp import UdpSocket
from icelane.aio.udp_offload import can_send_runs
from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress
from icelane.server.batched.core import STREAM, RelayCore

OnPayload = Callable[[int, int, bytes], None]
"""Client on a stream, channel, payload."""

SECRET_SIZE: Final = 16


class BatchedReader:
    """Everything that the core reads for one server. `on_payload` runs for payload that is to leave on a stream.

    `on_drained` runs when all of it that one wake has brought is handed out.
    """

    def __init__(self, entropy: Entropy, *, coalesce: Duration) -> None:
        """`coalesce` is how long a busy relay waits for more to send at once; 0: not at all."""
        self.core = RelayCore(runs=_runs_are_known(), coalesce=coalesce, secret=entropy.token(SECRET_SIZE))
        self.on_payload: OnPayload | None = None
        self.on_drained: Callable[[], None] | None = None
        self._sockets: dict[int, UdpSocket] = {}
        self._numbers: dict[UdpSocket, int] = {}
        self._listeners: dict[SocketAddress, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def number_of(self, udp: UdpSocket) -> int:
        """What the core calls it. Raises KeyError for a socket that is not read here."""
        return self._numbers[udp]

    def listener_at(self, local: SocketAddress) -> int | None:
        """What the core calls the listener that is bound there."""
        return self._listeners.get(local)

    def start(self) -> None:
        """Read on the running loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.core.fileno(), self._run)

    def close(self) -> None:
        """Read nothing more; again is harmless."""
        if self._loop is not None:
            self._loop.remove_reader(self.core.fileno())
            self._loop = None

    def begin(self, udp: UdpSocket, is_listener: bool) -> None:
        """Read it from now on."""
        number = self.core.add_socket(udp.fileno(), is_listener=is_listener)
        self._sockets[number] = udp
        self._numbers[udp] = number
        if is_listener:
            self._listeners[udp.local] = number

    def end(self, udp: UdpSocket) -> None:
        """Read it no more; it is closed next."""
        number = self._numbers.pop(udp, None)
        if number is not None:
            del self._sockets[number]
            if self._listeners.get(udp.local) == number:
                del self._listeners[udp.local]
            self.core.remove_socket(number)

    def counters_of(self, udp: UdpSocket) -> tuple[int, int, int, int]:
        """What the core has counted of it, see `icelane.aio.udp.Reader`."""
        number = self._numbers.get(udp)
        return (0, 0, 0, 0) if number is None else self.core.socket_counters(number)

    def _run(self) -> None:
        # One datagram may end a socket and give its number to another, so it is seen first whose each is.
        incoming = []
        for kind, number, channel, data, piece, source in self.core.run():
            if kind == STREAM:
                if self.on_payload is not None:
                    for payload in _pieces(data, piece):
                        self.on_payload(number, channel, payload)
            else:
                incoming.append((self._sockets[number], data, piece, source))
        if self.on_drained is not None:
            self.on_drained()
        drained: dict[Callable[[], None], None] = {}
        try:
            for udp, data, piece, source in incoming:
                if udp.closed:
                    continue
                if source is None:
                    udp.take_reports()
                else:
                    for datagram in _pieces(data, piece):
                        udp.on_datagram(datagram, source)
                if udp.on_drained is not None:
                    drained[udp.on_drained] = None
        finally:
            for on_drained in drained:
                on_drained()


class ListenerReader:
    """Of sockets that clients come to."""

    def __init__(self, reader: BatchedReader) -> None:
        self._reader = reader

    def begin(self, udp: UdpSocket) -> None:
        """Read it from now on."""
        self._reader.begin(udp, True)

    def end(self, udp: UdpSocket) -> None:
        """Read it no more; it is closed next."""
        self._reader.end(udp)

    def counters_of(self, udp: UdpSocket) -> tuple[int, int, int, int]:
        """See BatchedReader."""
        return self._reader.counters_of(udp)


class RelayReader(ListenerReader):
    """Of sockets that peers come to."""

    def begin(self, udp: UdpSocket) -> None:
        """Read it from now on."""
        self._reader.begin(udp, False)


def _pieces(data: bytes, piece: int) -> list[bytes]:
    """The datagrams of a run, mostly one. A run of the shortest has 65 507, from this host alone."""
    return [data] if len(data) <= piece else [data[at : at + piece] for at in range(0, len(data), piece)]


def _runs_are_known() -> bool:
    """Whether this kernel sends runs as they are."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return can_send_runs(probe)
