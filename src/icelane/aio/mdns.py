"""Asking the local network for the address behind a name such as `6a1f….local` (RFC 6762 section 5.1).

Browsers hide their addresses behind such names. They answer to the multicast group alone, so the question leaves from
port 5353 of every interface, and the answer is heard there.

    resolver = MdnsResolver(["192.0.2.7"])
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

from icelane.core.clock import Duration
from icelane.core.net import unpack_host

_log = logging.getLogger(__name__)

GROUP: Final = "224.0.0.251"
PORT: Final = 5353
# When the question is asked; an answer takes up to 120 ms by design (RFC 6762 section 6), and multicast over wireless
# networks is easily lost.
ASK_AT: Final[tuple[Duration, ...]] = (0.0, 0.25, 1.0, 2.0)
TIMEOUT: Final[Duration] = 3.0
# Names that are asked for at once; a peer that offers more gets no answer for them.
MAX_QUESTIONS: Final = 32
_MAX_DATAGRAM: Final = 9000
_MAX_DATAGRAMS_PER_WAKE: Final = 64


class MdnsResolver:
    """Resolves names on the links of `hosts`, IPv4 addresses of ours; opens its sockets at the first question."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = list(hosts)
        self._sockets: list[socket.socket] | None = None
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
        for opened in self._sockets or ():
            self._loop.remove_reader(opened.fileno())
            opened.close()
        self._sockets = []

    async def _ask(self, name: str) -> None:
        question = dns.message.make_query(name + ".", dns.rdatatype.A, flags=0, id=0)
        question.question.append(dns.message.make_query(name + ".", dns.rdatatype.AAAA, flags=0, id=0).question[0])
        wire = question.to_wire()
        asked_at = 0.0
        for at in ASK_AT:
            await asyncio.sleep(at - asked_at)
            asked_at = at
            for opened in self._opened():
                try:
                    opened.sendto(wire, (GROUP, PORT))
                except OSError as error:
                    _log.debug("mDNS question not sent: %s", error)

    def _opened(self) -> list[socket.socket]:
        if self._sockets is None:
            self._sockets = []
            for host in self._hosts:
                try:
                    opened = _open(host)
                except OSError as error:
                    _log.debug("no mDNS on %s: %s", host, error)
                    continue
                self._sockets.append(opened)
                self._loop.add_reader(opened.fileno(), self._drain, opened)
        return self._sockets

    def _drain(self, opened: socket.socket) -> None:
        for _ in range(_MAX_DATAGRAMS_PER_WAKE):
            try:
                data = opened.recv(_MAX_DATAGRAM)
            except OSError:
                return
            if self._waiting_by_name:
                self._handle_answer(data)

    def _handle_answer(self, data: bytes) -> None:
        for name, host in parse_answer(data):
            waiting = self._waiting_by_name.get(name)
            if waiting is not None and not waiting.done():
                waiting.set_result(host)


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
        if records.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            name = records.name.to_text(omit_final_dot=True).lower()
            found += [(name, host) for record in records if (host := _host_of(record)) is not None]
    return found


def _host_of(record: dns.rdata.Rdata) -> str | None:
    # RFC 6762 section 10.2: the top bit of the class says "forget what you knew"; dnspython takes such a record for one
    # of a class that it does not know, and keeps its bytes.
    packed = record.to_generic().data
    return unpack_host(packed) if len(packed) in (4, 16) else None


def _open(host: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        # The responder of the system, browsers and we share the port.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        interface = socket.inet_aton(host)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        opened.bind((GROUP, PORT))
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + interface)
    except BaseException:
        opened.close()
        raise
    return opened
