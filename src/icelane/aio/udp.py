"""A UDP socket without a transport, a task or a queue: one Python call for each datagram.

asyncio's datagram transports take 21-26 us for a datagram, most of it in a call_soon for each; a reader callback that
drains the socket takes a tenth. The kernel's buffers are the only queues: where they are full the datagram is dropped
and counted, as UDP allows.

    udp = UdpSocket.bind(SocketAddress("127.0.0.1", 3478), lambda data, source: udp.send(data, source))

The raw source address of an IPv4 datagram is `(host, port)` and equals the SocketAddress; of an IPv6 datagram it is
`(host, port, flow, scope)`, which `address_of` turns into one.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, Self

from icelane.aio.device import Device, bind_to_device
from icelane.aio.icmp import IcmpReport, ask_for_reports, read_reports
from icelane.aio.kernel import IS_LINUX
from icelane.aio.readiness import check_loop, unwatch, watch
from icelane.aio.sockets import open_socket, socket_family
from icelane.core.net import AddressFamily, SocketAddress, canonical_host

RawAddress = tuple[Any, ...]
"""What `recvfrom` returns and `sendto` takes: `(host, port)`, for IPv6 also `(host, port, flow, scope)`."""

OnDatagram = Callable[[bytes, RawAddress], None]

# A wake handles this many datagrams at most, so that one busy socket cannot starve the timers and the other sockets.
MAX_DATAGRAMS_PER_WAKE: Final = 64
# Room for bursts while Python is busy elsewhere. The kernel caps it at net.core.rmem_max and wmem_max.
DEFAULT_BUFFER: Final = 4 << 20

MAX_DATAGRAM: Final = 65_535
BUSY: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
_SOL_SOCKET: Final = socket.SOL_SOCKET
_SO_RCVBUF: Final = socket.SO_RCVBUF
_SO_SNDBUF: Final = socket.SO_SNDBUF
# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_IPV6: Final = AddressFamily.IPV6
_UDP_KIND: Final = socket.SOCK_DGRAM
# linux/in.h and linux/in6.h; the socket module of Python 3.11 does not have them.
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_DONT: Final = 0
_PMTUDISC_WANT: Final = 1
_PMTUDISC_DO: Final = 2
# linux/socket.h and linux/sock_diag.h: nine numbers of 32 bits about a socket's memory, the last counts its drops.
_SO_MEMINFO: Final = 55
_MEMINFO_SIZE: Final = 36

CAN_SEND_WHOLE: Final = IS_LINUX
"""Whether `UdpSocket.send_whole` can set the DF bit here."""


def address_of(raw: RawAddress) -> SocketAddress:
    """The address that `raw` names, in its one canonical spelling and without scope."""
    if len(raw) == 2:
        return tuple.__new__(SocketAddress, raw)  # what SocketAddress() does, without the Python around it
    return SocketAddress(canonical_host(raw[0]), raw[1])


class Reader(Protocol):
    """Who reads sockets instead of the loop: it calls `on_datagram` and `take_reports`, and may send from them, too."""

    def begin(self, udp: UdpSocket) -> None:
        """Read it from now on."""
        ...

    def end(self, udp: UdpSocket) -> None:
        """Read it no more; it is closed next."""
        ...

    def counters_of(self, udp: UdpSocket) -> tuple[int, int, int, int]:
        """What it has counted: datagrams that the kernel had no room for, and those that it refused, of what the reader
        has sent; errors while receiving; runs that were refused, and sent once more datagram by datagram.
        """
        ...


class UdpSocket:
    """One bound socket. `on_datagram(data, raw_source)` runs for each datagram and may be replaced at any time.

    `on_drained()`, where it is set, runs after the last datagram of a wake: whoever handles many at once does it there.

    `sendto` is the socket's own method, for a plane that wants no call in between: it catches OSError itself and hands
    it to `send_again`, or to `count_failed_send` where nobody watches for ICMP errors.

    `on_failed_send(error)`, where it is set, runs for each datagram that is counted as a failed send.

    Counters: `dropped` datagrams that the kernel had no room for, `failed_sends` refused for any other reason (no
    route, too long, forbidden), `receive_errors` reported by the kernel, mostly ICMP answers to what was sent.
    """

    __slots__ = (
        "_closed",
        "_discovery",
        "_dropped",
        "_drops_before",
        "_expects_errors",
        "_failed_sends",
        "_loop",
        "_on_report",
        "_reader",
        "_receive_errors",
        "_socket",
        "local",
        "on_datagram",
        "on_drained",
        "on_error",
        "on_failed_send",
        "sendto",
    )

    def __init__(
        self,
        bound: socket.socket,
        on_datagram: OnDatagram,
        loop: asyncio.AbstractEventLoop,
        reader: Reader | None = None,
        *,
        new_at: SocketAddress | None = None,
    ) -> None:
        """Take over a bound, non-blocking socket and read it from now on, by `reader` or else by the loop.

        `new_at` says that it is new, and where it is bound, so that the kernel need not be asked. Raises
        NotSupportedError when the loop cannot.
        """
        check_loop(loop)
        self._socket = bound
        self._loop = loop
        self._closed = False
        self._discovery = _PMTUDISC_WANT
        self._on_report: Callable[[IcmpReport], None] | None = None
        self.sendto = bound.sendto
        self.on_datagram = on_datagram
        self.on_drained: Callable[[], None] | None = None
        self.on_error: Callable[[OSError], None] | None = None
        self.on_failed_send: Callable[[OSError], None] | None = None
        self.local = new_at if new_at is not None else address_of(bound.getsockname())
        self._receive_errors = 0
        self._drops_before = 0 if new_at is not None else self._drops_of_socket()
        self._dropped = 0
        self._failed_sends = 0
        self._expects_errors = False
        self._reader = reader
        if reader is not None:
            reader.begin(self)
        else:
            loop.add_reader(bound.fileno(), self._drain)

    @classmethod
    def bind(
        cls,
        address: SocketAddress,
        on_datagram: OnDatagram,
        *,
        remote: RawAddress | None = None,
        receive_buffer: int = DEFAULT_BUFFER,
        send_buffer: int = DEFAULT_BUFFER,
        device: Device | None = None,
        fragment: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        reader: Reader | None = None,
    ) -> Self:
        """Bind `address` (port 0: any port) and read it on `loop`, by default the running one.

        With `fragment` the DF bit is never set but by `send_whole`, as RFC 8656 section 14 wants it of a relay. With
        `device` it sends and receives there alone, if that can be had.
        With `remote` the socket is connected: the kernel drops datagrams from elsewhere and reports ICMP errors. A
        buffer of 0 bytes leaves the kernel's default. Raises OSError as bind and connect do.
        """
        bound = bind_udp(address, device=device, receive_buffer=receive_buffer, send_buffer=send_buffer)
        try:
            if remote is not None:
                bound.connect(remote)
            udp = cls(bound, on_datagram, loop or asyncio.get_running_loop(), reader)
            if remote is not None:
                udp._expect_errors()
            udp.fragment(fragment)
            return udp
        except BaseException:
            bound.close()
            raise

    def send(self, data: bytes | bytearray | memoryview, address: RawAddress) -> bool:
        """Send one datagram now; False when it was dropped, which is counted and never raises."""
        try:
            self.sendto(data, address)
        except OSError as error:
            return self.send_again(data, address, error)
        return True

    def send_again(self, data: bytes | bytearray | memoryview, address: RawAddress, error: OSError) -> bool:
        """Send a datagram for which `sendto` raised `error`, unless that was its own fault; False when it was dropped.

        Where ICMP errors are watched for, Linux fails the next call on the socket for what an earlier datagram met, so
        that one peer's closed port would cost datagrams to other peers.
        """
        if self._on_report is not None and error.errno not in BUSY:
            self.take_reports()
            try:
                self.sendto(data, address)
            except OSError as own:
                error = own
            else:
                return True
        self.count_failed_send(error)
        return False

    def send_whole(self, data: bytes | bytearray | memoryview, address: RawAddress) -> bool:
        """Send one datagram with the DF bit set, or not at all when it is longer than the path's known MTU.

        Never where CAN_SEND_WHOLE says no: it would leave without the bit.
        """
        level, option = _mtu_option(self.local.family)
        if self._closed or not CAN_SEND_WHOLE:
            return False
        self._socket.setsockopt(level, option, _PMTUDISC_DO)
        try:
            return self.send(data, address)
        finally:
            self._socket.setsockopt(level, option, self._discovery)

    def fragment(self, allowed: bool) -> None:
        """Whether datagrams leave without the DF bit; otherwise the kernel finds the path's MTU, and sets it.

        Other kernels than Linux do as they always do, which is mostly without.
        """
        self._discovery = _PMTUDISC_DONT if allowed else _PMTUDISC_WANT
        level, option = _mtu_option(self.local.family)
        if IS_LINUX:
            self._socket.setsockopt(level, option, self._discovery)

    def watch_icmp(self, on_report: Callable[[IcmpReport], None]) -> bool:
        """Call `on_report` for ICMP errors about what was sent; False where the kernel does not tell."""
        if not ask_for_reports(self._socket, self.local.family):
            return False
        self._on_report = on_report
        self._expect_errors()
        return True

    def count_failed_send(self, error: OSError) -> None:
        """Count what `sendto` raised: a full buffer, or a destination that cannot be reached."""
        if error.errno in BUSY:
            self._dropped += 1
        else:
            self._failed_sends += 1
            if self.on_failed_send is not None:
                self.on_failed_send(error)

    def take_reports(self) -> None:
        """Hear what ICMP has said about what was sent."""
        if self._on_report is not None:
            for report in read_reports(self._socket):
                self._on_report(report)

    def kernel_drops(self) -> int:
        """Datagrams that came in and were lost because nobody read them in time; 0 where the kernel does not tell.

        Those of another process, which had the socket before, are not counted again.
        """
        return self._drops_of_socket() - self._drops_before

    def _drops_of_socket(self) -> int:
        if not IS_LINUX:
            return 0
        try:
            memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_SIZE)
        except OSError:
            return 0
        return int.from_bytes(memory[-4:], sys.byteorder) if len(memory) == _MEMINFO_SIZE else 0

    def fileno(self) -> int:
        """The descriptor, -1 once closed."""
        return self._socket.fileno()

    def duplicate(self) -> socket.socket:
        """The socket once more, for another process: the port is free when both are closed. Raises OSError."""
        return self._socket.dup()

    def close(self) -> None:
        """Stop reading and free the port; again is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._reader is not None:
            self._reader.end(self)
        elif self._expects_errors:
            unwatch(self._loop, self._socket.fileno())
        else:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        # Mostly methods of whoever has this socket: without them, nothing of either waits for the garbage collector.
        self.on_datagram = _drop
        self.on_drained = self.on_error = self.on_failed_send = self._on_report = None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel had no room for."""
        return self._dropped + (self._reader.counters_of(self)[0] if self._reader is not None else 0)

    @property
    def failed_sends(self) -> int:
        """Datagrams that were refused for any other reason."""
        return self._failed_sends + (self._reader.counters_of(self)[1] if self._reader is not None else 0)

    @property
    def receive_errors(self) -> int:
        """What the kernel reported while it was read, mostly ICMP answers to what was sent."""
        return self._receive_errors + (self._reader.counters_of(self)[2] if self._reader is not None else 0)

    @property
    def refused_runs(self) -> int:
        """Runs that its reader has sent once more, datagram by datagram; the loop sends none."""
        return self._reader.counters_of(self)[3] if self._reader is not None else 0

    def _expect_errors(self) -> None:
        """From here on the kernel may flag errors on the socket, which not every loop survives."""
        if self._reader is None and not self._expects_errors:
            self._expects_errors = True
            self._loop.remove_reader(self._socket.fileno())
            watch(self._loop, self._socket.fileno(), self._drain)

    def _drain(self) -> None:
        # recvfrom makes the bytes object that everybody downstream needs; recvfrom_into and a copy measured 10-20 %
        # slower.
        receive = self._socket.recvfrom
        for turn in range(MAX_DATAGRAMS_PER_WAKE):
            try:
                data, source = receive(MAX_DATAGRAM)
            except BlockingIOError:
                if turn == 0:
                    # Nothing to receive, so it is the queue of errors that made the socket readable, and would again.
                    self.take_reports()
                break
            except OSError as error:
                if self._closed:
                    return
                self._count_receive_error(error)
                continue
            self.on_datagram(data, source)
        if self.on_drained is not None:
            self.on_drained()

    def _count_receive_error(self, error: OSError) -> None:
        # ECONNREFUSED, EHOSTUNREACH and the like are about a datagram sent earlier: the socket itself is well.
        self._receive_errors += 1
        self.take_reports()
        if self.on_error is not None:
            self.on_error(error)


def _drop(data: bytes, source: RawAddress) -> None:
    """What becomes of a datagram that came to a closed socket."""


def bind_udp(
    address: SocketAddress,
    *,
    shared: bool = False,
    device: Device | None = None,
    receive_buffer: int = DEFAULT_BUFFER,
    send_buffer: int = DEFAULT_BUFFER,
) -> socket.socket:
    """A non-blocking socket that is bound to `address` (port 0: any port) and to `device`; raises OSError.

    `shared`: others may be bound there too, by SO_REUSEPORT; who sends to it meets always the same one of them.
    """
    opened = _open(address, receive_buffer, send_buffer)
    try:
        if device is not None:
            bind_to_device(opened, device)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(tuple(address))
    except BaseException:
        opened.close()
        raise
    return opened


def _open(address: SocketAddress, receive_buffer: int, send_buffer: int) -> socket.socket:
    opened = open_socket(socket_family(address), _UDP_KIND)
    try:
        if receive_buffer:
            opened.setsockopt(_SOL_SOCKET, _SO_RCVBUF, receive_buffer)
        if send_buffer:
            opened.setsockopt(_SOL_SOCKET, _SO_SNDBUF, send_buffer)
    except BaseException:
        opened.close()
        raise
    return opened


def _mtu_option(family: AddressFamily) -> tuple[int, int]:
    if family is _IPV6:
        return socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER
    return socket.IPPROTO_IP, _IP_MTU_DISCOVER
