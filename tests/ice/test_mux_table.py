"""Connections on one socket: who gets what, and who can take what from whom."""

from __future__ import annotations

import pytest

from icelane.core.net import SocketAddress
from icelane.ice.check import encode_success
from icelane.ice.mux_table import MAX_TRANSACTIONS, MuxTable
from icelane.stun.attributes import AttributeType, encode_text
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message

HERE = SocketAddress("203.0.113.1", 5000)
ELSEWHERE = SocketAddress("203.0.113.2", 5000)
DTLS = b"\x16\xfe\xfd" + bytes(20)


def request(ufrag: str, number: int = 1) -> bytes:
    """A check that is addressed to `ufrag`; the table looks at no signature."""
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, number.to_bytes(12, "big"))
    builder.add(AttributeType.USERNAME, encode_text(f"{ufrag}:peer"))
    return builder.build()


def answer(number: int = 1) -> bytes:
    """To the request of that number."""
    return encode_success(parse_message(request("any", number)), HERE, "password")


def indication() -> bytes:
    return MessageBuilder(Method.BINDING, MessageClass.INDICATION, bytes(12)).build()


class Shared(MuxTable[str]):
    """A table of connections that are called by their names, which are their ufrags too."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self.add(name)
            self.say(name)

    def say(
        self,
        name: str,
        *,
        validated: list[SocketAddress] | None = None,
        authenticated: list[SocketAddress] | None = None,
        doubted: list[SocketAddress] | None = None,
        unproven: list[SocketAddress] | None = None,
    ) -> list[str]:
        """What its agent has found; nothing, where nothing is said."""
        return self.settle(
            name,
            ufrags=[name],
            validated=validated or [],
            authenticated=authenticated or [],
            doubted=doubted or [],
            unproven=unproven or [],
        )


def test_checks_go_by_the_ufrag_that_they_are_addressed_to() -> None:
    table = Shared("alice", "bob")
    assert table.find(request("alice"), HERE) == "alice"
    assert table.find(request("bob"), HERE) == "bob"
    assert table.find(request("mallory"), HERE) is None


def test_everything_else_goes_by_the_source_once_it_is_validated() -> None:
    table = Shared("alice", "bob")
    for data in (DTLS, b"\x80\x60", indication()):
        assert table.find(data, HERE) is None
    table.say("alice", validated=[HERE])
    table.say("bob", validated=[ELSEWHERE])
    for data in (DTLS, b"\x80\x60", indication()):
        assert table.find(data, HERE) == "alice"
        assert table.find(data, ELSEWHERE) == "bob"


def test_a_check_alone_binds_nothing() -> None:
    """IC-3: whatever it says, and however often it comes; the table does not grow by it."""
    table = Shared("alice", "bob")
    held = table.held
    for number in range(1000):
        source = SocketAddress("198.51.100.1", number + 1)
        assert table.find(request("alice", number), source) == "alice"
        assert table.find(DTLS, source) is None
    assert table.held == held


def test_a_source_that_is_validated_is_not_taken_over() -> None:
    """IC-3: not by checks for another connection, not by answers, and not by an agent that says it is its own."""
    table = Shared("alice", "bob")
    table.say("alice", validated=[HERE])
    table.note_sent("bob", request("peer", 7))
    assert table.find(request("bob"), HERE) == "bob", "whose agent looks at the signature"
    assert table.find(answer(7), HERE) is None
    assert table.find(DTLS, HERE) == "alice"
    table.say("bob", validated=[HERE], authenticated=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    assert table.find(request("alice"), HERE) == "alice"


def test_a_peer_that_has_proved_itself_where_another_one_was_makes_its_owner_ask() -> None:
    """IC-3: once, and only the owner; nothing else comes of a check, which may say that it comes from anywhere."""
    table = Shared("alice", "bob", "carol")
    assert table.say("alice", validated=[HERE]) == []
    assert table.say("bob", authenticated=[HERE, ELSEWHERE]) == ["alice"]
    assert table.say("bob", authenticated=[HERE, ELSEWHERE]) == []
    assert table.say("carol", validated=[HERE]) == ["alice"], "a lite agent asks nobody"
    assert table.say("alice", validated=[HERE], authenticated=[HERE]) == []
    table.note_sent("bob", request("peer", 7))
    assert table.find(answer(7), HERE) is None
    assert table.find(DTLS, HERE) == "alice"


def test_a_source_in_doubt_is_whose_check_is_answered() -> None:
    """IC-3: a check alone moves nothing, not even then."""
    table = Shared("alice", "bob")
    table.say("alice", validated=[HERE])
    table.say("bob", authenticated=[HERE])
    table.note_sent("bob", request("peer", 7))
    table.say("alice", validated=[HERE], doubted=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    assert table.find(answer(7), HERE) == "bob"
    assert table.say("bob", authenticated=[HERE], validated=[HERE]) == []
    assert table.find(DTLS, HERE) == "bob"
    table.say("alice")
    assert table.find(DTLS, HERE) == "bob"


def test_who_had_a_source_first_gets_it_back_when_its_peer_answers_again() -> None:
    table = Shared("alice", "bob", "carol")
    table.say("alice", validated=[HERE])
    table.say("bob", validated=[HERE])
    table.say("carol", validated=[HERE])
    table.say("alice", validated=[HERE], doubted=[HERE])
    assert table.find(DTLS, HERE) == "bob"
    table.say("alice", validated=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    for name in ("alice", "bob"):
        table.say(name, validated=[HERE], doubted=[HERE])
    assert table.find(DTLS, HERE) == "carol"
    table.say("carol", validated=[HERE], doubted=[HERE])
    assert table.find(DTLS, HERE) == "alice", "where nobody is sure, the first"
    for name in ("alice", "carol", "bob"):
        table.remove(name)
    assert table.held == 0


def test_who_had_a_source_first_hears_that_its_peer_is_back_though_another_one_has_it() -> None:
    """IC-3: the answer to its own check reaches its agent, who says whether it is one; nothing else does."""
    table = Shared("alice", "bob", "carol")
    for number, name in enumerate(("alice", "bob", "carol"), 1):
        table.note_sent(name, request("peer", number))
    table.say("alice", validated=[HERE], doubted=[HERE])
    table.say("bob", validated=[HERE])
    assert table.find(answer(1), HERE) == "alice"
    assert table.find(answer(2), HERE) == "bob"
    assert table.find(answer(3), HERE) is None
    assert table.find(DTLS, HERE) == "bob"
    table.say("alice", validated=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    assert table.find(answer(2), HERE) is None, "it gets nothing else either, and is to notice"
    table.say("alice", validated=[HERE], doubted=[HERE])
    assert table.find(answer(2), HERE) == "bob"


def test_what_rests_on_a_signature_alone_is_the_newest_one_s_until_somebody_is_sure() -> None:
    """IC-3: who writes the source of another client on a check does not keep it from that client (a lite agent)."""
    table = Shared("mallory", "alice", "bob")
    table.say("mallory", validated=[HERE], authenticated=[HERE], unproven=[HERE])
    assert table.find(DTLS, HERE) == "mallory"
    table.say("alice", validated=[HERE], authenticated=[HERE], unproven=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    table.say("mallory", validated=[HERE], authenticated=[HERE], unproven=[HERE])
    assert table.find(DTLS, HERE) == "alice", "the same claim again is no newer one"
    table.say("alice", validated=[HERE], authenticated=[HERE])
    table.say("bob", validated=[HERE], authenticated=[HERE], unproven=[HERE])
    assert table.find(DTLS, HERE) == "alice", "who has shown that she receives there"
    table.say("alice", validated=[HERE], authenticated=[HERE], doubted=[HERE])
    assert table.find(DTLS, HERE) == "bob"
    for name in ("mallory", "alice", "bob"):
        table.remove(name)
    assert table.held == 0


def test_a_source_that_was_let_go_is_the_next_one_s() -> None:
    table = Shared("alice", "bob")
    table.say("alice", validated=[HERE])
    table.say("alice")
    assert table.find(DTLS, HERE) is None
    table.say("bob", validated=[HERE])
    assert table.find(DTLS, HERE) == "bob"
    table.remove("bob")
    assert table.find(DTLS, HERE) is None


def test_who_has_proved_the_password_gets_what_nobody_owns() -> None:
    """DT-2: a ClientHello may overtake the answer to our check; the connection holds it."""
    table = Shared("alice", "bob")
    table.say("alice", authenticated=[HERE])
    assert table.find(DTLS, HERE) == "alice"
    table.say("bob", authenticated=[HERE])
    assert table.find(DTLS, HERE) == "bob", "the newest claim counts"
    table.say("alice", authenticated=[HERE])
    assert table.find(DTLS, HERE) == "bob"
    table.say("alice", authenticated=[HERE], validated=[HERE])
    assert table.find(DTLS, HERE) == "alice", "and what was checked counts more"
    table.say("bob", authenticated=[HERE, ELSEWHERE])
    assert table.find(DTLS, HERE) == "alice"
    assert table.find(DTLS, ELSEWHERE) == "bob"
    table.say("bob")
    assert table.find(DTLS, ELSEWHERE) is None
    table.say("alice", authenticated=[HERE])
    assert table.find(DTLS, HERE) == "alice"


def test_answers_go_to_who_has_asked_whatever_their_source() -> None:
    """Several connections ask one STUN server, from one socket."""
    table = Shared("alice", "bob")
    table.note_sent("alice", request("peer", 1))
    table.note_sent("bob", request("peer", 2))
    for source in (HERE, ELSEWHERE):
        assert table.find(answer(1), source) == "alice"
        assert table.find(answer(2), source) == "bob"
        assert table.find(answer(3), source) is None
    table.note_sent("bob", request("peer", 1))
    assert table.find(answer(1), HERE) == "alice", "nobody takes over a transaction"


def test_the_oldest_transactions_are_forgotten_and_one_that_is_sent_again_is_new() -> None:
    table = Shared("alice")
    for number in range(MAX_TRANSACTIONS):
        table.note_sent("alice", request("peer", number))
    table.note_sent("alice", request("peer", 0))
    table.note_sent("alice", request("peer", MAX_TRANSACTIONS))
    assert table.find(answer(0), HERE) == "alice"
    assert table.find(answer(1), HERE) is None
    assert table.find(answer(MAX_TRANSACTIONS), HERE) == "alice"
    assert table.held == 2 + MAX_TRANSACTIONS


def test_nothing_but_requests_is_remembered_when_it_leaves() -> None:
    table = Shared("alice")
    held = table.held
    for data in (answer(), indication(), DTLS, b"", b"\0", b"\x40\x00\x00\x04abcd"):
        table.note_sent("alice", data)
    assert table.held == held


def test_a_restart_has_two_ufrags_and_then_the_new_one() -> None:
    table = Shared("alice")
    table.settle("alice", ufrags=["alice", "again"], validated=[], authenticated=[])
    assert table.find(request("alice"), HERE) == table.find(request("again"), HERE) == "alice"
    table.settle("alice", ufrags=["again"], validated=[], authenticated=[])
    assert table.find(request("alice"), HERE) is None
    assert table.find(request("again"), HERE) == "alice"


def test_two_that_have_the_same_ufrag_do_not_take_it_from_each_other() -> None:
    table = Shared("alice")
    table.add("bob")
    table.settle("bob", ufrags=["alice"], validated=[], authenticated=[])
    assert table.find(request("alice"), HERE) == "alice"
    table.remove("bob")
    assert table.find(request("alice"), HERE) == "alice"


def test_at_the_end_nothing_is_left() -> None:
    table = Shared("alice", "bob")
    for number, name in enumerate(("alice", "bob")):
        table.say(name, validated=[HERE], authenticated=[HERE, ELSEWHERE])
        table.note_sent(name, request("peer", number))
    table.remove("alice")
    assert table.find(request("alice"), ELSEWHERE) is None
    table.remove("bob")
    table.remove("bob")
    assert table.held == 0
    assert len(table) == 0
    table.say("bob", validated=[HERE])
    table.note_sent("bob", request("peer", 9))
    assert table.held == 0, "who is gone comes back by `add` alone"


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", bytes(20), b"\x00\x01", b"\x01\x01" + bytes(10), request("alice")[:-1], b"\x00\x01" + bytes(18),
     b"\x03\xff" * 10, request("alice") + b"\0"],
)  # fmt: skip
def test_what_is_no_message_is_for_nobody(data: bytes) -> None:
    assert Shared("alice").find(data, HERE) is None
