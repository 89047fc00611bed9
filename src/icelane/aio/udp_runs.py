"""A UDP socket that sends and receives runs of datagrams of one size in one system call each, where the kernel can.

    udp = RunUdpSocket.bind(address, on_datagram)
    udp.send_all([packet, packet, last_packet], address)

Whoever reads sees no difference: `on_datagram` runs for each datagram. A destination to which no run can be sent, such
as one behind a device that cannot be told to cut or to sum, gets its datagrams one by one from then on.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Final

from icelane.aio.udp import BUSY, MAX_DATAGRAM, MAX_DATAGRAMS_PER_WAKE, OnDatagram, RawAddress, Reader, UdpSocket
from icelane.aio.udp_offload import can_send_runs, receive_run, receive_runs, run_length, send_run

# Destinations that take no runs; where one more is found, all of them are tried again.
MAX_PLAIN: Final = 256

# No checksum by the device, longer than its MTU, not for this socket or protocol.
_NO_RUNS: Final = frozenset({errno.EIO, errno.EMSGSIZE, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOPROTOOPT})


class RunUdpSocket(UdpSocket):
    """See UdpSocket. `sends_runs` and `receives_runs` say what this kernel does."""

    __slots__ = ("_plain", "receives_runs", "sends_runs")

    def __init__(
        self,
        bound: socket.socket,
        on_datagram: OnDatagram,
        loop: asyncio.AbstractEventLoop,
        reader: Reader | None = None,
    ) -> None:
        super().__init__(bound, on_datagram, loop, reader)
        self._plain: set[RawAddress] = set()
        self.sends_runs = can_send_runs(bound)
        self.receives_runs = receive_runs(bound)

    def send_all(self, datagrams: Sequence[bytes], address: RawAddress) -> None:
        """Send them now, in this order; those that are dropped are counted."""
        if len(datagrams) == 1:
            self.send(datagrams[0], address)
            return
        sizes = [len(data) for data in datagrams]
        start = 0
        while start < len(datagrams):
            end = start + run_length(sizes, start)
            self._send_run(datagrams[start:end], address)
            start = end

    def _send_run(self, run: Sequence[bytes], address: RawAddress) -> None:
        if len(run) > 1 and self.sends_runs and address not in self._plain:
            try:
                send_run(self._socket, run, address)
            except OSError as error:
                if error.errno in _NO_RUNS:
                    self._remember_plain(address)
                elif error.errno in BUSY:
                    self._dropped += len(run)
                    return
            else:
                return
        for data in run:
            self.send(data, address)

    def _remember_plain(self, address: RawAddress) -> None:
        if len(self._plain) >= MAX_PLAIN:
            self._plain.clear()
        self._plain.add(address)

    def _drain(self) -> None:
        if not self.receives_runs:
            super()._drain()
            return
        on_datagram = self.on_datagram
        count = 0
        while count < MAX_DATAGRAMS_PER_WAKE:
            try:
                data, size, source = receive_run(self._socket, MAX_DATAGRAM)
            except BlockingIOError:
                if count == 0:
                    self.take_reports()
                break
            except OSError as error:
                if self._closed:
                    return
                self._count_receive_error(error)
                count += 1
                continue
            if len(data) <= size:
                count += 1
                on_datagram(data, source)
                continue
            for start in range(0, len(data), size):
                count += 1
                on_datagram(data[start : start + size], source)
        if self.on_drained is not None:
            self.on_drained()
