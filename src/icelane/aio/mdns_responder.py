"""The sockets behind `MdnsNames`: one responder for all connections of an event loop.

    responder = MdnsResponder.of_this_loop()
    responder.publish("6a1f….local", "192.0.2.7", interfaces)
    responder.withdraw("6a1f….local")

A link has a socket for each family over which its names may be asked for; the last name that goes closes them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from icelane.aio.interfaces import Interface
from icelane.aio.mdns_names import MdnsNames, Reply
from icelane.aio.mdns_socket import (
    GROUP,
    GROUP_6,
    MAX_DATAGRAM,
    MAX_DATAGRAMS_PER_WAKE,
    PORT,
    open_on_address,
    open_on_interface,
    receive,
)
from icelane.aio.system import monotonic
from icelane.aio.udp import RawAddress
from icelane.aio.wakeup import Wakeup
from icelane.core.net import AddressFamily, family_of

_log = logging.getLogger(__name__)


class _Link(NamedTuple):
    """One family on one interface, by its name."""

    name: str
    family: AddressFamily


class _Opened(NamedTuple):
    """Its socket, and what that is bound up with: a group is joined by the number of an interface, and lost with it."""

    socket: socket.socket
    number: int
    host: str


class MdnsResponder:
    """Answers for the names of this loop's connections; see `of_this_loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._names = MdnsNames()
        self._sockets_by_link: dict[_Link, _Opened] = {}
        self._failed: set[_Link] = set()
        self._wakeup = Wakeup(self._wake, loop)

    @classmethod
    def of_this_loop(cls) -> MdnsResponder:
        """The one of the running loop."""
        loop = asyncio.get_running_loop()
        found = _RESPONDERS.get(loop)
        if found is None:
            found = _RESPONDERS[loop] = cls(loop)
        return found

    def publish(self, name: str, host: str, interfaces: Iterable[Interface]) -> None:
        """Answer for `name` on the link of `host`, which is an address of one of `interfaces`."""
        known = list(interfaces)
        link = next((one.name for one in known if one.host == host), None)
        if link is None:
            return
        self._names.publish(name, host, link)
        fours = [one.host for one in known if one.name == link and family_of(one.host) is AddressFamily.IPV4]
        if fours:
            # Who has IPv4 may ask over it for an address of IPv6.
            self._open(_Link(link, AddressFamily.IPV4), fours)
        if family_of(host) is AddressFamily.IPV6:
            self._open(_Link(link, AddressFamily.IPV6), [host])

    def withdraw(self, name: str) -> None:
        """Answer for it no more, and say goodbye."""
        self._send(self._names.withdraw(name))
        if not self._names:
            self._close()
            _RESPONDERS.pop(self._loop, None)

    def look_again(self) -> None:
        """The machine's network has changed: an interface may be another one, with the same name and addresses."""
        for link, held in list(self._sockets_by_link.items()):
            with contextlib.suppress(OSError):  # gone: its names go, too, or it comes back
                if socket.if_nametoindex(link.name) != held.number:
                    self._open(link, [held.host])

    def _open(self, link: _Link, hosts: Sequence[str]) -> None:
        """Unless it is open. An interface that went and came back has another number; over IPv4 a host is sent from."""
        is_ipv4 = link.family is AddressFamily.IPV4
        try:
            index = socket.if_nametoindex(link.name)
            held = self._sockets_by_link.get(link)
            if held is not None and held.number == index and (held.host in hosts or not is_ipv4):
                return
            if held is not None:
                self._shut(self._sockets_by_link.pop(link))
            opened = open_on_address(hosts[0]) if is_ipv4 else open_on_interface(link.name)
        except OSError as error:
            if link not in self._failed:
                self._failed.add(link)
                _log.warning("names in place of addresses cannot be answered for on %s: %s", link.name, error)
            return
        self._failed.discard(link)
        # RFC 6762 section 11: nobody beyond the link is answered.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        self._sockets_by_link[link] = _Opened(opened, index, hosts[0])
        self._loop.add_reader(opened.fileno(), self._drain, link, index, opened)

    def _shut(self, held: _Opened) -> None:
        self._loop.remove_reader(held.socket.fileno())
        held.socket.close()

    def _close(self) -> None:
        for held in self._sockets_by_link.values():
            self._shut(held)
        self._sockets_by_link.clear()
        self._failed.clear()
        self._wakeup.set(None)

    def _drain(self, link: _Link, index: int, opened: socket.socket) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE):
            try:
                data, source, came_on = receive(opened, MAX_DATAGRAM)
            except OSError:
                break
            if came_on not in (index, None):
                continue  # the socket of that link hears it too
            for reply in self._names.handle_query(data, source[1], link.name, monotonic()):
                if not reply.is_direct:
                    self._send([reply])
                elif is_on_link(source):
                    _send_to(opened, reply.data, source)
        self._wakeup.set(self._names.next_timeout())

    def _send(self, replies: Iterable[Reply]) -> None:
        """To the group, over each family that the link has."""
        for reply in replies:
            for link, held in self._sockets_by_link.items():
                if link.name == reply.link:
                    group = GROUP if link.family is AddressFamily.IPV4 else GROUP_6
                    _send_to(held.socket, reply.data, (group, PORT))

    def _wake(self) -> None:
        self._send(self._names.handle_timeout(monotonic()))
        self._wakeup.set(self._names.next_timeout())


# Those that have names to answer for.
_RESPONDERS: dict[asyncio.AbstractEventLoop, MdnsResponder] = {}


def is_on_link(source: RawAddress) -> bool:
    """Whether a direct answer stays on the link: IPv4 ones are not routed, and IPv6 has addresses that are not."""
    address = ipaddress.ip_address(source[0].partition("%")[0])
    return address.version == 4 or address.is_link_local or address.is_loopback


def _send_to(opened: socket.socket, data: bytes, address: RawAddress) -> None:
    try:
        opened.sendto(data, address)
    except OSError as error:
        _log.debug("mDNS answer not sent: %s", error)
