"""Answering for names of our own on the local network (RFC 6762), without sockets and clock.

    names = MdnsNames()
    names.publish("6a1f….local", "192.0.2.7", "eth0")
    for reply in names.handle_query(data, source_port, "eth0", now): send(reply)
    names.withdraw("6a1f….local")                   # the goodbye to be sent
    names.next_timeout(); names.handle_timeout(now)

A name is known on the link of its address and on no other. There is no probing and no announcement (sections 8.1 and
8.3): the names are random, so nobody else has them and nobody has them in a cache, and an announcement would hold back
the first answer for the second in which a record is not sent again. What a link can make us send is bounded: a record
goes to the group once a second at most (section 6), and to askers as often as MAX_DIRECT allows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype

from icelane.aio.mdns_socket import PORT
from icelane.core.clock import Duration, Instant, later
from icelane.core.net import AddressFamily, family_of, pack_host
from icelane.errors import MalformedError

# RFC 6762 section 10: for records with addresses.
TTL: Final = 120
# RFC 6762 section 6.7: for resolvers that know nothing of multicast, and would keep it too long.
LEGACY_TTL: Final = 10
# RFC 6762 section 6: how long a record is not sent to the group again.
INTERVAL: Final[Duration] = 1.0
# Answers to one asker, on all links together, in a second; what is beyond is dropped. A page of a browser asks twice.
MAX_DIRECT: Final = 50
# Questions of one message that are looked at; ours and those of browsers have one or two.
MAX_QUESTIONS: Final = 32

_IN: Final = int(dns.rdataclass.IN)
_ANY_CLASS: Final = int(dns.rdataclass.ANY)
_A: Final = int(dns.rdatatype.A)
_AAAA: Final = int(dns.rdatatype.AAAA)
_NSEC: Final = int(dns.rdatatype.NSEC)
_ANY: Final = int(dns.rdatatype.ANY)
# RFC 6762 sections 5.4 and 10.2: the top bit of the class asks for a direct answer, and says "forget what you knew".
_TOP_BIT: Final = 0x8000
# QR and AA.
_RESPONSE: Final = 0x8400
_HEADER: Final = struct.Struct("!6H")
_FIXED: Final = struct.Struct("!HHIH")


@dataclass(frozen=True, slots=True)
class Question:
    """One name that is asked for. `wants_direct`: the answer need not go to the group (RFC 6762 section 5.4)."""

    name: str
    type: int
    wants_direct: bool
    known: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Its number counts for a resolver that is no mDNS one."""

    number: int
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A message for a link: to the group, or to who has asked."""

    link: str
    data: bytes
    is_direct: bool


class MdnsNames:
    """All names of this process. As many as its connections have addresses; nobody on a link can add one."""

    def __init__(self) -> None:
        self._places_by_name: dict[str, tuple[str, str]] = {}
        self._allowed_at: dict[str, Instant] = {}
        self._held: dict[str, Instant] = {}
        self._heard: set[str] = set()
        self._second: Instant | None = None
        self._direct = 0

    def __len__(self) -> int:
        return len(self._places_by_name)

    # Inputs

    def handle_query(self, data: bytes, source_port: int, link: str, now: Instant) -> list[Reply]:
        """Somebody on `link` asks; what is no question, or not for us, has no answer."""
        try:
            query = parse_query(data)
        except MalformedError:
            return []
        replies = []
        for question in query.questions:
            host, where = self._places_by_name.get(question.name, ("", ""))
            if where != link or question.known:
                continue
            if source_port != PORT:
                if self._may_answer_directly(now):
                    replies.append(Reply(link, _legacy_answer(query.number, question, host), is_direct=True))
            elif question.wants_direct:
                if self._may_answer_directly(now):
                    self._heard.add(question.name)
                    replies.append(Reply(link, encode_answer(question.name, host, TTL), is_direct=True))
            elif self._allowed_at.get(question.name, now) <= now:
                replies.append(self._to_the_group(question.name, now))
            else:
                self._held.setdefault(question.name, self._allowed_at[question.name])
        return replies

    def handle_timeout(self, now: Instant) -> list[Reply]:
        """A deadline passed: what was held back may be sent."""
        due = [name for name, at in self._held.items() if at <= now]
        for name in due:
            del self._held[name]
        return [self._to_the_group(name, now) for name in due]

    # Commands

    def publish(self, name: str, host: str, link: str) -> None:
        """Answer for `name` on `link` from now on."""
        self._places_by_name[name] = host, link

    def withdraw(self, name: str) -> list[Reply]:
        """Answer for it no more; the goodbye (RFC 6762 section 10.1), if anybody can have heard of it."""
        place = self._places_by_name.pop(name, None)
        self._held.pop(name, None)
        self._allowed_at.pop(name, None)
        if place is None or name not in self._heard:
            return []
        self._heard.discard(name)
        host, link = place
        return [Reply(link, encode_answer(name, host, 0), is_direct=False)]

    # Outputs

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return min(self._held.values(), default=None)

    def _to_the_group(self, name: str, now: Instant) -> Reply:
        host, link = self._places_by_name[name]
        self._allowed_at[name] = later(now, INTERVAL)
        self._heard.add(name)
        return Reply(link, encode_answer(name, host, TTL), is_direct=False)

    def _may_answer_directly(self, now: Instant) -> bool:
        if self._second is None or now - self._second >= 1.0:
            self._second, self._direct = now, 0
        self._direct += 1
        return self._direct <= MAX_DIRECT


def parse_query(data: bytes) -> Query:
    """The questions for addresses in a query; raises MalformedError for anything that is none."""
    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise MalformedError("no message of DNS") from error
    if message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY:
        raise MalformedError("not a query")
    known = {
        (_text(records.name), int(records.rdtype)) for records in message.answer if 2 * records.ttl >= TTL
    }  # RFC 6762 section 7.1
    found = []
    for asked in message.question[:MAX_QUESTIONS]:
        name, kind, of_class = _text(asked.name), int(asked.rdtype), int(asked.rdclass)
        if kind in (_A, _AAAA, _ANY) and of_class & ~_TOP_BIT in (_IN, _ANY_CLASS):
            found.append(Question(name, kind, bool(of_class & _TOP_BIT), (name, kind) in known))
    return Query(message.id, tuple(found))


def encode_answer(name: str, host: str, ttl: int) -> bytes:
    """The address of `name`, and that it has none of the other family (RFC 6762 section 6.1): nobody waits for that."""
    records = _address_record(name, host, ttl, _IN | _TOP_BIT) + _only_record(name, host, ttl)
    return _HEADER.pack(0, _RESPONSE, 0, 1, 0, 1) + records


def _legacy_answer(number: int, question: Question, host: str) -> bytes:
    """RFC 6762 section 6.7: as a server of DNS would, with the question and its number."""
    has_record = question.type in (_ANY, _type_of(host))
    repeated = _encode_name(question.name) + struct.pack("!HH", question.type, _IN)
    record = _address_record(question.name, host, LEGACY_TTL, _IN) if has_record else b""
    return _HEADER.pack(number, _RESPONSE, 1, int(has_record), 0, 0) + repeated + record


def _address_record(name: str, host: str, ttl: int, of_class: int) -> bytes:
    packed = pack_host(host)
    return _encode_name(name) + _FIXED.pack(_type_of(host), of_class, ttl, len(packed)) + packed


def _only_record(name: str, host: str, ttl: int) -> bytes:
    """NSEC with the one type that there is: a window, its length and a bitmap (RFC 4034 section 4.1.2)."""
    kind = _type_of(host)
    bitmap = bytes([*bytes(kind // 8), 0x80 >> kind % 8])
    packed = _encode_name(name) + bytes([0, len(bitmap)]) + bitmap
    return _encode_name(name) + _FIXED.pack(_NSEC, _IN | _TOP_BIT, ttl, len(packed)) + packed


def _encode_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _type_of(host: str) -> int:
    return _AAAA if family_of(host) is AddressFamily.IPV6 else _A


def _text(name: object) -> str:
    return str(name).rstrip(".").lower()
