"""One UDP port for many peer connections: a server that has hundreds needs one hole in its firewall.

    async with await UdpMux.open(port=4242) as mux:
        pc = RTCPeerConnection(RTCConfiguration(udp_mux=mux))
        ...

Each connection is told apart by what `icelane.ice.mux_table` knows; what is for none of them is dropped, and counted in
`unknown`. STUN servers are asked through the port. TURN servers are not, over UDP: an allocation belongs to both
addresses of its path (RFC 8656 section 2.2), so that connections on one port would share it. Each has sockets of its
own for that, which are opened only where such a server is configured.

A client that has crashed may come back at once, from the same address and port: its new connection gets what comes from
there as soon as the old one's checks are not answered any more.

Two muxes carry one connection between them: nothing but its addresses says whose an encrypted record is. Two
connections on one mux do not connect to each other. The sockets stay as they are when the
addresses of the machine change.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from icelane.aio.device import Device
from icelane.aio.interfaces import devices_of, usable_interfaces
from icelane.aio.udp import OnDatagram, RawAddress, address_of
from icelane.aio.udp_runs import RunUdpSocket
from icelane.core.net import SocketAddress, canonical_host, family_of
from icelane.errors import InvalidAccessError, InvalidStateError, MalformedError, SyntaxError_, TransportClosedError
from icelane.ice.mux_table import MuxTable

# Ports that are tried until one is free on every address, where any will do.
MAX_TRIES: Final = 16

_BROADCAST: Final = "255.255.255.255"


class MuxedSocket:
    """A connection's end of a shared socket. It is used like a UdpSocket of the connection's own.

    `on_closed(local)` runs when the mux is closed under it, `on_contested()` when somebody else may be where the peer
    of the connection was.
    """

    __slots__ = ("_shared", "is_touched", "local", "on_closed", "on_contested", "on_datagram", "on_drained")

    def __init__(self, shared: _SharedSocket, on_closed: Callable[[SocketAddress], None]) -> None:
        self._shared = shared
        self.local = shared.udp.local
        self.on_datagram: OnDatagram = _ignore
        self.on_drained: Callable[[], None] = _do_nothing
        self.on_closed = on_closed
        self.on_contested: Callable[[], object] = _do_nothing
        self.is_touched = False

    def send_all(self, datagrams: Sequence[bytes], address: RawAddress) -> None:
        """Send them now, in this order; those that are dropped are counted by the socket."""
        for data in datagrams:
            if data[:1] == b"\0":  # a STUN request, or an indication
                self._shared.table.note_sent(self, data)
        self._shared.udp.send_all(datagrams, address)

    def settle(
        self,
        ufrags: Sequence[str],
        validated: Sequence[SocketAddress],
        authenticated: Sequence[SocketAddress],
        doubted: Sequence[SocketAddress] = (),
        unproven: Sequence[SocketAddress] = (),
    ) -> None:
        """See `MuxTable.settle`."""
        for other in self._shared.table.settle(
            self,
            ufrags=ufrags,
            validated=validated,
            authenticated=authenticated,
            doubted=doubted,
            unproven=unproven,
        ):
            other.on_contested()

    def close(self) -> None:
        """Let go of the connection's part; again is harmless."""
        self._shared.table.remove(self)
        self.on_datagram, self.on_drained, self.on_closed = _ignore, _do_nothing, _forget
        self.on_contested = _do_nothing


class _SharedSocket:
    """One address of the mux."""

    def __init__(self, address: SocketAddress, device: Device | None) -> None:
        self.table: MuxTable[MuxedSocket] = MuxTable()
        self.unknown = 0
        self._touched: list[MuxedSocket] = []
        self._last_raw: RawAddress | None = None
        self._last_source = address
        self.udp = RunUdpSocket.bind(address, self._received, device=device)
        self.udp.on_drained = self._drained

    def attach(self, on_closed: Callable[[SocketAddress], None]) -> MuxedSocket:
        """An end of one more connection."""
        end = MuxedSocket(self, on_closed)
        self.table.add(end)
        return end

    def close(self) -> None:
        """Free the port, and tell everybody who uses it."""
        self.udp.close()
        for end in self.table.connections:
            end.on_closed(end.local)
            end.close()

    def _received(self, data: bytes, raw: RawAddress) -> None:
        if raw is not self._last_raw:  # the datagrams of a run share one source object
            self._last_raw = raw
            self._last_source = address_of(raw)
        end = self.table.find(data, self._last_source)
        if end is None:
            self.unknown += 1
            return
        end.on_datagram(data, raw)
        if not end.is_touched:
            end.is_touched = True
            self._touched.append(end)

    def _drained(self) -> None:
        touched, self._touched = self._touched, []
        for end in touched:
            end.is_touched = False
            end.on_drained()


class UdpMux:
    """A UDP port of this machine, on one address or several. Make it with `open`; use it on the loop that made it."""

    def __init__(self, sockets: Sequence[_SharedSocket]) -> None:
        self._sockets = list(sockets)
        self._loop = asyncio.get_running_loop()
        self._is_closed = False

    @classmethod
    async def open(cls, *, port: int = 0, hosts: Sequence[str] | None = None) -> Self:
        """Bind `port` on each of `hosts`, by default on every address that a peer may reach; 0 is any port.

        "0.0.0.0" and "::" stand for every such address of their family. On Linux, packets from an address that is named
        leave by the interface that has it, if one alone has, whatever the routes say (decision 0043). Raises OSError as
        bind does, TypeError and SyntaxError_ for what is no port and no address of one machine, TransportClosedError
        when this one has none.
        """
        if type(port) is not int or not 0 <= port < 65_536:
            raise TypeError(f"port is a number from 0 to 65535, not {port!r}")
        if isinstance(hosts, str):
            raise TypeError(f"hosts is a list of addresses, not {hosts!r}")
        found = [one.host for one in usable_interfaces()] if hosts is None else _addresses(hosts)
        devices = {} if hosts is None else _devices_of_named({str(host) for host in hosts})
        if not found:
            raise TransportClosedError("this machine has no usable address")
        for _ in range(MAX_TRIES - 1):
            try:
                return cls(_bind_all(found, port, devices))
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
        return cls(_bind_all(found, port, devices))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        where = ", ".join(str(one) for one in self.addresses) if not self._is_closed else "closed"
        return f"UdpMux({where}, {self.connections} connections)"

    async def close(self) -> None:
        """Free the port. Connections that still use it lose what they have here; again is harmless."""
        self._is_closed = True
        for shared in self._sockets:
            shared.close()
        self._sockets.clear()

    @property
    def addresses(self) -> list[SocketAddress]:
        """Where it is bound; the port is the same everywhere."""
        return [shared.udp.local for shared in self._sockets]

    @property
    def port(self) -> int:
        """Raises InvalidStateError when it is closed."""
        self._require_open()
        return self._sockets[0].udp.local.port

    @property
    def connections(self) -> int:
        """How many use it now."""
        return max((len(shared.table) for shared in self._sockets), default=0)

    @property
    def unknown(self) -> int:
        """How many datagrams were for none of them."""
        return sum(shared.unknown for shared in self._sockets)

    def _check_usable(self) -> None:
        """Raises InvalidStateError when it is closed, InvalidAccessError on another loop than its own."""
        self._require_open()
        if asyncio.get_running_loop() is not self._loop:
            raise InvalidAccessError("the UdpMux belongs to another event loop")

    def _attach(self, on_closed: Callable[[SocketAddress], None]) -> list[MuxedSocket]:
        """For a connection: its end of each address. `on_closed(address)` runs where the mux is closed under it."""
        return [shared.attach(on_closed) for shared in self._sockets]

    def _require_open(self) -> None:
        if self._is_closed:
            raise InvalidStateError("the UdpMux is closed")


def _bind_all(hosts: Sequence[str], port: int, devices: Mapping[str, Device]) -> list[_SharedSocket]:
    sockets: list[_SharedSocket] = []
    try:
        for host in hosts:
            sockets.append(_shared_socket(SocketAddress(host, port), devices.get(host)))
            port = sockets[0].udp.local.port
    except BaseException:
        for shared in sockets:
            shared.close()
        raise
    return sockets


def _shared_socket(address: SocketAddress, device: Device | None) -> _SharedSocket:
    try:
        return _SharedSocket(address, device)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{address} cannot be bound: {error.strerror}") from None


def _addresses(hosts: Sequence[object]) -> list[str]:
    """Each once. A peer is told where we are bound, so there is no binding to what stands for all addresses."""
    found: list[str] = []
    for host in map(_address, hosts):
        if ipaddress.ip_address(host).is_unspecified:
            found += [one.host for one in usable_interfaces(accepts=_same_family_as(host))]
        else:
            found.append(host)
    return list(dict.fromkeys(found))


def _devices_of_named(hosts: Collection[str]) -> dict[str, Device]:
    """What the addresses leave by; those that "0.0.0.0" and "::" stand for are left to the routes."""
    named = {canonical_host(host) for host in hosts}
    return devices_of(usable_interfaces(accepts=named.__contains__))


def _same_family_as(host: str) -> Callable[[str], bool]:
    return lambda other: family_of(other) is family_of(host)


def _address(host: object) -> str:
    if not isinstance(host, str):
        raise TypeError(f"hosts is a list of addresses, each a string, and {host!r} is none")
    try:
        found = canonical_host(host)
    except MalformedError:
        raise SyntaxError_(f"hosts: {host!r} is no IP address") from None
    if ipaddress.ip_address(found).is_multicast or found == _BROADCAST:
        raise SyntaxError_(f"hosts: {host!r} is the address of many, and no peer is reached there")
    return found


def _ignore(data: bytes, source: RawAddress) -> None:
    """Nobody hears it any more."""


def _do_nothing() -> None:
    """Nobody hears it any more."""


def _forget(local: SocketAddress) -> None:
    """Nobody hears it any more."""
