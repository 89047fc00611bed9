"""Names of our own on the local network: who is answered, how, and how often."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from icelane.aio.mdns import parse_answer
from icelane.aio.mdns_names import INTERVAL, LEGACY_TTL, MAX_DIRECT, TTL, MdnsNames, Reply, parse_query
from icelane.aio.mdns_socket import PORT
from icelane.core.clock import Instant
from icelane.errors import MalformedError

NAME = "6a1f4c1e-0000-4000-8000-000000000000.local"
OTHER = "6a1f4c1e-0000-4000-8000-000000000001.local"
LINK = "eth0"
NOW = Instant(100.0)


def question(
    *names: str, kind: str = "A", direct: bool = False, known: tuple[str, int] | None = None, number: int = 0
) -> bytes:
    """A query; `known` is an answer that the asker has already, with what is left of its life."""
    message = dns.message.Message(id=number)
    message.flags = dns.flags.Flag(0)
    for name in names:
        message.question.append(dns.message.make_query(f"{name}.", kind, flags=0, id=0).question[0])
    if known is not None:
        message.answer.append(dns.rrset.from_text(f"{names[0]}.", known[1], "IN", kind, known[0]))
    wire = bytearray(message.to_wire())
    if direct:
        wire[-2] |= 0x80  # the class is what a message with one question ends with
    return bytes(wire)


def named(host: str = "192.0.2.7", *, name: str = NAME, link: str = LINK) -> MdnsNames:
    names = MdnsNames()
    names.publish(name, host, link)
    return names


def test_a_question_to_the_group_is_answered_to_the_group() -> None:
    (reply,) = named().handle_query(question(NAME), PORT, LINK, NOW)
    assert (reply.link, reply.is_direct) == (LINK, False)
    assert parse_answer(reply.data) == [(NAME, "192.0.2.7")]
    answer = dns.message.from_wire(reply.data)
    assert answer.id == 0
    assert answer.flags == dns.flags.QR | dns.flags.AA
    assert answer.question == []
    assert [records.ttl for records in (*answer.answer, *answer.additional)] == [TTL, TTL]
    assert {int(records.rdclass) for records in answer.answer} == {0x8001}, "forget what you knew"


@pytest.mark.parametrize(("host", "kind"), [("192.0.2.7", "A"), ("2001:db8::7", "AAAA")])
def test_the_answer_says_that_there_is_no_other_address(host: str, kind: str) -> None:
    for asked in ("A", "AAAA", "ANY"):
        (reply,) = named(host).handle_query(question(NAME, kind=asked), PORT, LINK, NOW)
        assert parse_answer(reply.data) == [(NAME, host)]
        # dnspython takes a class with the top bit for an unknown one.
        plain = reply.data.replace(b"\x00\x2f\x80\x01", b"\x00\x2f\x00\x01")
        (only,) = [one for one in dns.message.from_wire(plain).additional if one.rdtype == dns.rdatatype.NSEC]
        assert str(only[0]) == f"{NAME}. {kind}"


def test_who_asks_for_a_direct_answer_gets_one() -> None:
    names = named()
    for _ in range(2):
        (reply,) = names.handle_query(question(NAME, direct=True), PORT, LINK, NOW)
        assert reply.is_direct
        assert parse_answer(reply.data) == [(NAME, "192.0.2.7")]


def test_a_resolver_that_is_no_mdns_one_gets_what_a_server_would_say() -> None:
    (reply,) = named().handle_query(question(NAME, number=4242), 40_000, LINK, NOW)
    assert reply.is_direct
    answer = dns.message.from_wire(reply.data)
    assert answer.id == 4242
    assert str(answer.question[0].name) == f"{NAME}."
    assert [(str(one[0]), one.ttl) for one in answer.answer] == [("192.0.2.7", LEGACY_TTL)]
    (empty,) = named().handle_query(question(NAME, kind="AAAA"), 40_000, LINK, NOW)
    assert dns.message.from_wire(empty.data).answer == []


def test_names_of_others_and_on_other_links_are_not_answered_for() -> None:
    """IC-9: a link learns nothing of another one's addresses."""
    names = named()
    assert names.handle_query(question(OTHER), PORT, LINK, NOW) == []
    assert names.handle_query(question(NAME), PORT, "eth1", NOW) == []
    assert names.handle_query(question(NAME), 40_000, "eth1", NOW) == []
    assert names.handle_query(question(NAME, kind="TXT"), PORT, LINK, NOW) == []
    assert len(names.handle_query(question(OTHER, NAME.upper()), PORT, LINK, NOW)) == 1


def test_what_the_asker_knows_is_not_said_again() -> None:
    names = named()
    assert names.handle_query(question(NAME, known=("192.0.2.7", TTL)), PORT, LINK, NOW) == []
    assert names.handle_query(question(NAME, known=("192.0.2.7", TTL // 2)), PORT, LINK, NOW) == []
    assert len(names.handle_query(question(NAME, known=("192.0.2.7", TTL // 2 - 1)), PORT, LINK, NOW)) == 1


def test_the_group_hears_a_name_once_a_second_and_nobody_waits_longer() -> None:
    names = named()
    assert len(names.handle_query(question(NAME), PORT, LINK, NOW)) == 1
    for _ in range(100):
        assert names.handle_query(question(NAME), PORT, LINK, Instant(NOW + 0.5)) == []
    at = names.next_timeout()
    assert at == NOW + INTERVAL
    assert len(names.handle_timeout(Instant(at))) == 1
    assert names.next_timeout() is None
    assert names.handle_timeout(Instant(at)) == []
    assert len(names.handle_query(question(NAME), PORT, LINK, Instant(at + INTERVAL))) == 1


@pytest.mark.parametrize(("port", "direct"), [(PORT, True), (40_000, False)])
def test_direct_answers_have_a_bound(port: int, direct: bool) -> None:
    names = named()
    replies: list[Reply] = []
    for _ in range(3 * MAX_DIRECT):
        replies += names.handle_query(question(NAME, direct=direct), port, LINK, NOW)
    assert len(replies) == MAX_DIRECT
    assert len(names.handle_query(question(NAME, direct=direct), port, LINK, Instant(NOW + 1.0))) == 1


def test_a_name_that_was_heard_says_goodbye_and_one_that_nobody_asked_for_does_not() -> None:
    names = named()
    assert names.withdraw(NAME) == []
    names.publish(NAME, "192.0.2.7", LINK)
    names.handle_query(question(NAME), PORT, LINK, NOW)
    names.handle_query(question(NAME), PORT, LINK, NOW)
    (goodbye,) = names.withdraw(NAME)
    assert not goodbye.is_direct
    assert dns.message.from_wire(goodbye.data).answer[0].ttl == 0
    assert len(names) == 0
    assert names.next_timeout() is None
    assert names.withdraw(NAME) == []
    assert names.handle_query(question(NAME), PORT, LINK, Instant(NOW + 5.0)) == []


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\xff" * 40, question(NAME)[:-3], b"\0\0\x84\0" + bytes(8)])
def test_what_is_no_query_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_query(data)
    assert named().handle_query(data, PORT, LINK, NOW) == []
