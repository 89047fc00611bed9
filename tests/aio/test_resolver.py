"""From URIs to addresses, with a name service of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Coroutine
from typing import TypeVar

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset
import pytest

from icelane.aio.resolver import (
    MAX_TARGETS,
    ServiceRecord,
    SystemLookup,
    Target,
    order_by_weight,
    resolve,
)
from icelane.aio.udp import RawAddress, UdpSocket
from icelane.core.net import SocketAddress, Transport
from icelane.errors import ResolutionError
from icelane.stun.uri import parse_uri
from icelane.testing.entropy import SeededEntropy

T = TypeVar("T")


class FakeLookup:
    """Answers from two dictionaries and remembers what it was asked."""

    def __init__(self, addresses: dict[str, list[str]], services: dict[str, list[ServiceRecord]] | None = None) -> None:
        self._addresses = addresses
        self._services = services or {}
        self.asked: list[str] = []

    async def service_records(self, name: str) -> list[ServiceRecord]:
        self.asked.append(name)
        return self._services.get(name, [])

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        if host not in self._addresses:
            raise ResolutionError(f"{host}: unknown")
        return self._addresses[host]


class SilentLookup(FakeLookup):
    """A name server that never answers."""

    async def addresses(self, host: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError


def resolved(text: str, lookup: FakeLookup, transport: Transport | None = None) -> list[Target]:
    return run(resolve(parse_uri(text), lookup=lookup, entropy=SeededEntropy(), transport=transport))


def run(coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(coroutine)


def target(host: str, port: int, transport: Transport, name: str = "example.org") -> Target:
    return Target(SocketAddress(host, port), transport, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stun:192.0.2.1", target("192.0.2.1", 3478, Transport.UDP, "192.0.2.1")),
        ("turn:192.0.2.1", target("192.0.2.1", 3478, Transport.UDP, "192.0.2.1")),
        ("turn:192.0.2.1:80?transport=tcp", target("192.0.2.1", 80, Transport.TCP, "192.0.2.1")),
        ("stun:[2001:DB8:0::1]", target("2001:db8::1", 3478, Transport.UDP, "2001:db8:0::1")),
    ],
)
def test_an_address_asks_nobody(text: str, expected: Target) -> None:
    lookup = FakeLookup({})
    assert resolved(text, lookup) == [expected]
    assert lookup.asked == []


@pytest.mark.parametrize("text", ["turns:192.0.2.1", "turns:[2001:db8::1]:443?transport=tcp", "stuns:192.0.2.1"])
def test_tls_is_never_spoken_to_an_address(text: str) -> None:
    """TL-5: a certificate proves a name; an address in its place proves nothing that could be trusted."""
    with pytest.raises(ResolutionError, match="host name"):
        resolved(text, FakeLookup({}))


def test_a_written_port_asks_for_no_service_record() -> None:
    lookup = FakeLookup(
        {"example.org": ["192.0.2.1", "2001:db8::1"]}, {"_turn._udp.example.org": [ServiceRecord(0, 0, 1, "a.example")]}
    )
    assert resolved("turn:example.org:3479", lookup) == [
        target("192.0.2.1", 3479, Transport.UDP),
        target("2001:db8::1", 3479, Transport.UDP),
    ]
    assert lookup.asked == ["example.org"]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("stun:example.org", ["_stun._udp"], target("192.0.2.1", 3478, Transport.UDP)),
        ("stuns:example.org", ["_stuns._tcp"], target("192.0.2.1", 5349, Transport.TLS)),
        ("turn:example.org", ["_turn._udp", "_turn._tcp"], target("192.0.2.1", 3478, Transport.UDP)),
        ("turn:example.org?transport=udp", ["_turn._udp"], target("192.0.2.1", 3478, Transport.UDP)),
        ("turn:example.org?transport=tcp", ["_turn._tcp"], target("192.0.2.1", 3478, Transport.TCP)),
        ("turns:example.org", ["_turns._tcp"], target("192.0.2.1", 5349, Transport.TLS)),
        ("turns:example.org?transport=tcp", ["_turns._tcp"], target("192.0.2.1", 5349, Transport.TLS)),
    ],
)
def test_without_service_records_the_host_itself_is_used_with_the_default_port(
    text: str, names: list[str], expected: Target
) -> None:
    lookup = FakeLookup({"example.org": ["192.0.2.1"]})
    assert resolved(text, lookup) == [expected]
    assert lookup.asked == [*(f"{name}.example.org" for name in names), "example.org"]


def test_a_caller_may_ask_for_another_transport() -> None:
    lookup = FakeLookup({"example.org": ["192.0.2.1"]})
    assert resolved("stun:example.org", lookup, Transport.TCP) == [target("192.0.2.1", 3478, Transport.TCP)]
    assert lookup.asked[0] == "_stun._tcp.example.org"


def test_service_records_are_followed_by_priority_and_udp_before_tcp() -> None:
    lookup = FakeLookup(
        {"a.example": ["192.0.2.1"], "b.example": ["192.0.2.2", "2001:db8::2"], "example.org": ["192.0.2.9"]},
        {
            "_turn._udp.example.org": [
                ServiceRecord(20, 0, 1001, "a.example"),
                ServiceRecord(10, 0, 1002, "b.example"),
            ],
            "_turn._tcp.example.org": [ServiceRecord(0, 0, 1003, "a.example")],
        },
    )
    assert resolved("turn:example.org", lookup) == [
        target("192.0.2.2", 1002, Transport.UDP),
        target("2001:db8::2", 1002, Transport.UDP),
        target("192.0.2.1", 1001, Transport.UDP),
        target("192.0.2.1", 1003, Transport.TCP),
    ]


def test_a_certificate_is_to_match_the_name_in_the_uri_and_not_the_one_that_dns_gave() -> None:
    lookup = FakeLookup(
        {"elsewhere.example": ["192.0.2.1"]},
        {"_turns._tcp.example.org": [ServiceRecord(0, 0, 443, "elsewhere.example")]},
    )
    assert [found.host_name for found in resolved("turns:example.org", lookup)] == ["example.org"]


def test_a_service_record_whose_host_is_unknown_is_passed_over() -> None:
    lookup = FakeLookup(
        {"b.example": ["192.0.2.2"]},
        {"_stun._udp.example.org": [ServiceRecord(0, 0, 1, "a.example"), ServiceRecord(1, 0, 2, "b.example")]},
    )
    assert resolved("stun:example.org", lookup) == [target("192.0.2.2", 2, Transport.UDP)]


def test_service_records_that_all_lead_nowhere_do_not_fall_back_to_the_host() -> None:
    lookup = FakeLookup(
        {"example.org": ["192.0.2.1"]}, {"_stun._udp.example.org": [ServiceRecord(0, 0, 1, "a.example")]}
    )
    with pytest.raises(ResolutionError, match=r"example\.org"):
        resolved("stun:example.org", lookup)


def test_a_domain_can_say_that_it_has_no_such_service() -> None:
    lookup = FakeLookup({"example.org": ["192.0.2.1"]}, {"_stun._udp.example.org": [ServiceRecord(0, 0, 0, "")]})
    with pytest.raises(ResolutionError, match="no such service"):
        resolved("stun:example.org", lookup)


@pytest.mark.parametrize("host", ["localhost", "intranet", "a.localhost"])
def test_local_names_have_no_service_records(host: str) -> None:
    lookup = FakeLookup({host: ["127.0.0.1"]})
    assert resolved(f"turn:{host}", lookup) == [target("127.0.0.1", 3478, Transport.UDP, host)]
    assert lookup.asked == [host]


def test_turns_over_udp_is_refused_by_name_and_not_sent_in_the_clear() -> None:
    """TL-5: turns: never becomes turn:."""
    with pytest.raises(ResolutionError, match="DTLS"):
        resolved("turns:example.org?transport=udp", FakeLookup({"example.org": ["192.0.2.1"]}))


def test_an_unknown_host_is_named_in_the_error() -> None:
    with pytest.raises(ResolutionError, match=r"nowhere\.example"):
        resolved("turn:nowhere.example", FakeLookup({}))


def test_however_much_dns_answers_the_targets_are_bounded() -> None:
    hosts = {f"{n}.example": [f"192.0.2.{n}", *(f"198.51.100.{m}" for m in range(200))] for n in range(200)}
    records = [ServiceRecord(n, 0, 1 + n, f"{n}.example") for n in range(200)]
    lookup = FakeLookup(hosts, {"_stun._udp.example.org": records})
    assert len(resolved("stun:example.org", lookup)) == MAX_TARGETS
    assert len(lookup.asked) < 10


def test_a_name_server_that_does_not_answer_costs_bounded_time() -> None:
    with pytest.raises(ResolutionError, match=r"example\.org.*0\.01 s"):
        run(resolve(parse_uri("turn:example.org:1"), lookup=SilentLookup({}), timeout=0.01))


def test_equal_priorities_are_drawn_by_weight() -> None:
    records = [ServiceRecord(0, weight, 1, str(weight)) for weight in (0, 10, 30, 60)]
    entropy = SeededEntropy(7)
    first = Counter(order_by_weight(records, entropy)[0].weight for _ in range(2000))
    assert first[60] > first[30] > first[10] > first[0]
    assert 1000 < first[60] < 1400
    assert sorted(order_by_weight(records, entropy)) == records


def test_records_without_weight_keep_their_priorities() -> None:
    records = [ServiceRecord(priority, 0, 1, "a") for priority in (3, 1, 2, 1)]
    assert [record.priority for record in order_by_weight(records, SeededEntropy())] == [1, 1, 2, 3]


def test_the_hosts_file_of_the_system_is_honoured() -> None:
    found = run(SystemLookup().addresses("localhost"))
    assert set(found) <= {"127.0.0.1", "::1"}
    assert found


def test_the_system_says_why_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ResolutionError, match=r"nowhere\.example: Name or service not known"):
        run(SystemLookup().addresses("nowhere.example"))


def test_a_name_that_cannot_be_one_is_unknown() -> None:
    with pytest.raises(ResolutionError, match="a" * 70):
        run(SystemLookup().addresses("a" * 70))


def dns_reply(wire: bytes) -> bytes:
    """What a name server with one SRV record set answers."""
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    name = query.question[0].name
    if name.to_text() == "_stun._udp.example.org.":
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", "5 7 3479 stun.example.org.", "9 0 0 ."))
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


async def ask(name: str) -> list[ServiceRecord]:
    """Ask a name server on loopback."""

    def answer(query: bytes, source: RawAddress) -> None:
        server.send(dns_reply(query), source)

    server = UdpSocket.bind(SocketAddress("127.0.0.1", 0), answer)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.local.port
    try:
        return await SystemLookup(resolver).service_records(name)
    finally:
        server.close()


def test_service_records_come_from_dns() -> None:
    records = run(ask("_stun._udp.example.org"))
    assert sorted(records) == [ServiceRecord(5, 7, 3479, "stun.example.org"), ServiceRecord(9, 0, 0, "")]


def test_a_name_without_service_records_has_none() -> None:
    assert run(ask("_turn._udp.example.org")) == []
