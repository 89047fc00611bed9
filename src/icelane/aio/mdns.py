"""Asking the local network for the address behind a name such as `6a1f….local` (RFC 6762 section 5.1).

Browsers hide their addresses behind such names. They answer to the multicast group alone, so the question leaves from
port 5353 of every interface, and the answer is heard there. An interface with an IPv4 address is asked over IPv4, one
that has none over IPv6; either way for both kinds of address.

    resolver = MdnsResolver([Interface("eth0", "192.0.2.7")])
    address = await resolver.resolve("6a1f4c1e-0000-4000-8000-000000000000.local")    # None when nobody knows
    resolver.close()
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rdata
import dns.rdatatype

from icelane.aio.interfaces import Interface
from icelane.aio.mdns_socket import (
    GROUP,
    GROUP_6,
    MAX_DATAGRAM,
    MAX_DATAGRAMS_PER_WAKE,
    PORT,
    open_on_address,
    open_on_interface,
)
from icelane.core.clock import Duration
from icelane.core.net import AddressFamily, family_of, unpack_host

_log = logging.getLogger(__name__)

# When the question is asked; an answer takes up to 120 ms by design (RFC 6762 section 6), and multicast over wireless
# networks is easily lost.
ASK_AT: Final[tuple[Duration, ...]] = (0.0, 0.25, 1.0, 2.0)
TIMEOUT: Final[Duration] = 3.0
# Sockets, one for each link; interfaces beyond that are not asked on.
MAX_LINKS: Final = 16
# Names that are asked for at once; a peer that offers more gets no answer for them.
MAX_QUESTIONS: Final = 32


class MdnsResolver:
    """Resolves names on the links of `interfaces`; opens its sockets at the first question."""

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        self._links = links_of(interfaces)
        self._groups_by_socket: dict[socket.socket, str] | None = None
        self._waiting_by_name: dict[str, asyncio.Future[str]] = {}
        self._loop = asyncio.get_running_loop()

    async def resolve(self, name: str) -> str | None:
        """The address that somebody on a link has for `name`, None when nobody answers within TIMEOUT."""
        key = name.lower().rstrip(".")
        waiting = self._waiting_by_name.get(key)
        if waiting is None:
            if len(self._waiting_by_name) >= MAX_QUESTIONS:
                return None
            waiting = self._waiting_by_name[key] = self._loop.create_future()
            asking = asyncio.ensure_future(self._ask(key))
            waiting.add_done_callback(lambda _: asking.cancel())
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.shield(waiting)
        except TimeoutError:
            return None
        finally:
            if self._waiting_by_name.get(key) is waiting:
                del self._waiting_by_name[key]
            waiting.cancel()

    def close(self) -> None:
        """Stop listening; who still waits is told that nobody knows, after its time."""
        for opened in self._groups_by_socket or ():
            self._loop.remove_reader(opened.fileno())
            opened.close()
        self._groups_by_socket = {}

    async def _ask(self, name: str) -> None:
        question = dns.message.make_query(name + ".", dns.rdatatype.A, flags=0, id=0)
        question.question.append(dns.message.make_query(name + ".", dns.rdatatype.AAAA, flags=0, id=0).question[0])
        wire = question.to_wire()
        asked_at = 0.0
        for at in ASK_AT:
            await asyncio.sleep(at - asked_at)
            asked_at = at
            for opened, group in self._opened().items():
                try:
                    opened.sendto(wire, (group, PORT))
                except OSError as error:
                    _log.debug("mDNS question not sent: %s", error)

    def _opened(self) -> dict[socket.socket, str]:
        if self._groups_by_socket is None:
            self._groups_by_socket = {}
            for link in self._links:
                is_ipv6 = family_of(link.host) is AddressFamily.IPV6
                try:
                    opened = open_on_interface(link.name) if is_ipv6 else open_on_address(link.host)
                except OSError as error:
                    _log.debug("no mDNS on %s: %s", link.name, error)
                    continue
                self._groups_by_socket[opened] = GROUP_6 if is_ipv6 else GROUP
                self._loop.add_reader(opened.fileno(), self._drain, opened)
        return self._groups_by_socket

    def _drain(self, opened: socket.socket) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE):
            try:
                data = opened.recv(MAX_DATAGRAM)
            except OSError:
                return
            if self._waiting_by_name:
                self._handle_answer(data)

    def _handle_answer(self, data: bytes) -> None:
        for name, host in parse_answer(data):
            waiting = self._waiting_by_name.get(name)
            if waiting is not None and not waiting.done():
                waiting.set_result(host)


def links_of(interfaces: Iterable[Interface]) -> list[Interface]:
    """Where to ask: at every IPv4 address, and once on each interface that has none; at most MAX_LINKS."""
    known = list(interfaces)
    fours = [one for one in known if family_of(one.host) is AddressFamily.IPV4]
    sixes_by_name = {one.name: one for one in reversed(known) if family_of(one.host) is AddressFamily.IPV6}
    for four in fours:
        sixes_by_name.pop(four.name, None)
    return [*sixes_by_name.values(), *fours][:MAX_LINKS]


def parse_answer(data: bytes) -> list[tuple[str, str]]:
    """The pairs of name and address in a multicast DNS response; empty for anything else."""
    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError):
        return []
    if not message.flags & dns.flags.QR:
        return []
    found = []
    for records in (*message.answer, *message.additional):
        # RFC 6762 section 10.1: without a time to live, it is a goodbye.
        if records.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and records.ttl > 0:
            name = records.name.to_text(omit_final_dot=True).lower()
            found += [(name, host) for record in records if (host := _host_of(record)) is not None]
    return found


def _host_of(record: dns.rdata.Rdata) -> str | None:
    # RFC 6762 section 10.2: the top bit of the class says "forget what you knew"; dnspython takes such a record for one
    # of a class that it does not know, and keeps its bytes.
    packed = record.to_generic().data
    return unpack_host(packed) if len(packed) in (4, 16) else None
