from __future__ import annotations

import asyncio
import json

import dns.message
import dns.rrset
import pytest

from icelane.aio.interfaces import Interface
from icelane.aio.mdns import MAX_LINKS, MdnsResolver, links_of, parse_answer
from tests.loops import Run
from tests.server.namespaces import run_module

NAME = "6a1f4c1e-0000-4000-8000-000000000000.local"


def answer(name: str = NAME, address: str = "192.0.2.7", *, flush: bool = True, response: bool = True) -> bytes:
    message = dns.message.Message(id=0)
    message.flags = 0x8400 if response else 0
    kind = "AAAA" if ":" in address else "A"
    message.answer.append(dns.rrset.from_text(name + ".", 120, "IN", kind, address))
    wire = bytearray(message.to_wire())
    if flush:
        # RFC 6762 section 10.2: the class field is 6 bytes behind the end of the name's type.
        wire[wire.index(b"\x00\x01\x00\x00\x00\x78")] |= 0x80
    return bytes(wire)


@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_answer_gives_the_address_whether_or_not_it_flushes_the_cache(address: str, flush: bool) -> None:
    assert parse_answer(answer(address=address, flush=flush)) == [(NAME, address)]


def test_a_goodbye_is_no_answer() -> None:
    """RFC 6762 section 10.1: its time to live is 0."""
    assert parse_answer(answer().replace(b"\x00\x00\x00\x78", bytes(4))) == []


def test_names_are_compared_without_regard_to_case() -> None:
    assert parse_answer(answer(NAME.upper())) == [(NAME, "192.0.2.7")]


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\0" * 12, b"\xff" * 40, answer()[:-3], answer(response=False)])
def test_what_is_no_answer_gives_nothing(data: bytes) -> None:
    assert parse_answer(data) == []


def test_an_answer_wakes_everybody_who_asked_for_that_name(run: Run) -> None:
    async def main() -> None:
        resolver = MdnsResolver([])
        first = asyncio.ensure_future(resolver.resolve(NAME))
        second = asyncio.ensure_future(resolver.resolve(NAME.upper()))
        await asyncio.sleep(0)
        resolver._handle_answer(answer("someone-else.local"))
        resolver._handle_answer(answer())
        assert await first == "192.0.2.7"
        assert await second == "192.0.2.7"
        assert not resolver._waiting_by_name
        resolver.close()

    run(main())


def test_a_name_that_nobody_knows_resolves_to_nothing(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr("icelane.aio.mdns.TIMEOUT", 0.01)

    async def main() -> None:
        resolver = MdnsResolver([])
        assert await resolver.resolve(NAME) is None
        resolver.close()

    run(main())


def test_more_names_than_the_bound_are_not_asked_for(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr("icelane.aio.mdns.MAX_QUESTIONS", 0)

    async def main() -> None:
        resolver = MdnsResolver([])
        assert await resolver.resolve(NAME) is None

    run(main())


def test_where_there_is_ipv4_it_is_asked_and_elsewhere_ipv6_once() -> None:
    both, four = Interface("both", "2001:db8::1"), Interface("both", "192.0.2.7")
    six, more = Interface("six", "2001:db8:1::1"), Interface("six", "2001:db8:1::2")
    assert links_of([both, four, six, more]) == [six, four]
    second = Interface("both", "192.0.2.8")
    assert links_of([four, second]) == [four, second]
    assert links_of([]) == []


def test_the_links_that_are_asked_have_a_bound() -> None:
    many = [Interface(f"six{number}", "2001:db8::1") for number in range(MAX_LINKS + 1)]
    assert len(links_of(many)) == MAX_LINKS


def test_an_interface_that_is_gone_is_passed_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.aio.mdns.TIMEOUT", 0.01)

    async def main() -> None:
        resolver = MdnsResolver([Interface("gone-with-it", "2001:db8::7")])
        assert await resolver.resolve(NAME) is None
        resolver.close()

    run(main())


def test_a_name_is_found_on_a_link_that_has_ipv6_alone() -> None:
    said = json.loads(run_module("tests.aio.mdns_over_ipv6"))
    assert said["found"] == "2001:2::2"
    assert said["asked"] == [{"port": 5353, "kinds": ["A", "AAAA"]}]
