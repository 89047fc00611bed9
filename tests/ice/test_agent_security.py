"""What strangers, and peers that mean no good, can do to an agent: nothing, or little."""

# ruff: noqa: ARG005 -- the requests of the table are all made of the same three

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType, compute_priority, parse_candidate
from icelane.ice.check import ROLE_CONFLICT, Check, encode_check, encode_error, encode_success
from icelane.ice.checklist import MAX_PEER_REFLEXIVE, MAX_REMOTE_CANDIDATES
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole, IceState, PairValidated, RemotePeerReflexive
from icelane.ice.options import IceOptions
from icelane.ice.pair import PairState
from icelane.ice.role import MAX_ROLE_CHANGES
from icelane.ice.session import MAX_CHECKS_PER_PAIR
from icelane.ice.sources import MAX_AUTHENTICATED, MAX_REMEMBERED
from icelane.stun.attributes import AttributeType, encode_error_code, encode_uint32
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.network import Link, VirtualNetwork
from tests.ice.hosts import ALICE, BOB, IceHost, assert_state, connected_pair, introduce, make_network, make_pair

THERE = Path(ALICE, BOB, Transport.UDP)
MALLORY = SocketAddress("192.0.2.66", 666)
GONE = Link(loss=1.0)


@dataclass
class Stranger:
    """Sends what it likes to Alice, and keeps what comes back."""

    network: VirtualNetwork
    address: SocketAddress = MALLORY

    def __post_init__(self) -> None:
        self.heard: list[Message] = []
        self._numbers = itertools.count(1)
        self.network.attach(self.address, lambda data, *_: self.heard.append(parse_message(data)))

    def send(self, data: bytes) -> None:
        """To Alice, and let it arrive."""
        self.network.send(data, self.address, ALICE)
        self.network.run_for(0.1)

    def request(
        self,
        receiver: str,
        sender: str,
        password: str | None,
        *,
        role: IceRole | None = IceRole.CONTROLLED,
        tie_breaker: int = 0,
        use_candidate: bool = True,
    ) -> bytes:
        """A check; without a password it is not signed."""
        check = Check(priority=1, use_candidate=use_candidate, role=role, tie_breaker=tie_breaker)
        data = encode_check(
            next(self._numbers).to_bytes(12, "big"),
            check,
            local=Credentials(sender, ""),
            remote=Credentials(receiver, password or "none"),
        )
        return data if password is not None else unsigned(data)


def unsigned(data: bytes) -> bytes:
    """The message without MESSAGE-INTEGRITY."""
    message = parse_message(data)
    builder = MessageBuilder(message.method, message.message_class, message.transaction_id)
    for kind, value in message.attributes:
        if kind not in (AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT):
            builder.add(kind, value)
    return builder.add_fingerprint().build()


def state_of(host: IceHost) -> object:
    """All that a stranger must not change."""
    return (
        host.engine.state,
        host.engine.selected,
        host.engine.data_path,
        host.engine.role,
        [(pair.path, pair.remote, pair.nominated, pair.requests_received) for pair in host.engine.pairs()],
        len(host.events),
    )


# -- IC-1: requests


BAD_REQUESTS: dict[str, Callable[[Stranger, Credentials, Credentials], bytes]] = {
    "no MI": lambda who, alice, bob: who.request(alice.ufrag, bob.ufrag, None),
    "wrong MI": lambda who, alice, bob: who.request(alice.ufrag, bob.ufrag, "wrong"),
    "MI by the peer's password": lambda who, alice, bob: who.request(alice.ufrag, bob.ufrag, bob.password),
    "an empty password": lambda who, alice, bob: who.request(alice.ufrag, bob.ufrag, ""),
    "a wrong receiver": lambda who, alice, bob: who.request("other", bob.ufrag, alice.password),
    "a wrong sender": lambda who, alice, bob: who.request(alice.ufrag, "other", alice.password),
    "swapped": lambda who, alice, bob: who.request(bob.ufrag, alice.ufrag, alice.password),
    "no USERNAME": lambda who, alice, bob: (
        MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
        .add(AttributeType.PRIORITY, encode_uint32(1))
        .add(AttributeType.USE_CANDIDATE)
        .add_integrity_sha1(alice.password.encode())
        .build()
    ),
    "no colon": lambda who, alice, bob: (
        MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
        .add(AttributeType.USERNAME, alice.ufrag.encode())
        .add(AttributeType.PRIORITY, encode_uint32(1))
        .add_integrity_sha1(alice.password.encode())
        .build()
    ),
    "a wrong FINGERPRINT": lambda who, alice, bob: who.request(alice.ufrag, bob.ufrag, alice.password)[:-1] + b"?",
    "another method": lambda who, alice, bob: (
        MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12))
        .add(AttributeType.USERNAME, f"{alice.ufrag}:{bob.ufrag}".encode())
        .add_integrity_sha1(alice.password.encode())
        .build()
    ),
    "an indication": lambda who, alice, bob: (
        MessageBuilder(Method.BINDING, MessageClass.INDICATION, bytes(12))
        .add(AttributeType.USERNAME, f"{alice.ufrag}:{bob.ufrag}".encode())
        .add(AttributeType.PRIORITY, encode_uint32(1))
        .add_integrity_sha1(alice.password.encode())
        .build()
    ),
}


MOMENTS = ("before the credentials", "while checking", "once connected")


@pytest.mark.parametrize(
    ("name", "moment"),
    # Whose fragment is right is not known before the credentials: see the next test.
    [(name, moment) for name in BAD_REQUESTS for moment in MOMENTS if (name, moment) != ("a wrong sender", MOMENTS[0])],
)
def test_a_request_that_is_not_the_peer_s_changes_nothing_and_is_not_answered(name: str, moment: str) -> None:
    """IC-1: no peer-reflexive candidate, no triggered check, no nomination, no end of the session, no answer."""
    network = make_network()
    roles = (IceRole.CONTROLLED, IceRole.CONTROLLING)
    alice, bob = make_pair(network, roles=roles)
    if moment == "while checking":
        bob.silent = True
    if moment != "before the credentials":
        introduce(alice, bob)
    network.run_for(1.0)
    mallory = Stranger(network)
    before = state_of(alice)
    requests = len([path for _, path in alice.requests() if path.remote == MALLORY])
    mallory.send(BAD_REQUESTS[name](mallory, alice.engine.credentials, bob.engine.credentials))
    assert state_of(alice) == before
    assert len([path for _, path in alice.requests() if path.remote == MALLORY]) == requests
    assert not mallory.heard
    assert not alice.engine.has_authenticated(Path(ALICE, MALLORY, Transport.UDP))
    assert not alice.engine.accepts(Path(ALICE, MALLORY, Transport.UDP))


def test_a_check_with_a_wrong_sender_that_came_early_is_forgotten_with_the_credentials() -> None:
    """IC-1: the wrong half of the pair of fragments."""
    network = make_network()
    alice, bob = make_pair(network, roles=(IceRole.CONTROLLED, IceRole.CONTROLLING))
    mallory = Stranger(network)
    mallory.send(mallory.request(alice.engine.credentials.ufrag, "other", alice.engine.credentials.password, role=None))
    alice.hear_credentials(bob)
    assert not alice.told(RemotePeerReflexive)
    assert not alice.requests()
    assert not alice.engine.has_authenticated(Path(ALICE, MALLORY, Transport.UDP))


def test_a_signed_request_that_says_nonsense_is_refused_and_has_no_effect() -> None:
    """IC-1: without PRIORITY 400, with an unknown attribute 420; both signed."""
    network = make_network()
    alice, bob = make_pair(network)
    introduce(alice, bob)
    network.run_for(1.0)
    mallory = Stranger(network)
    username = f"{alice.engine.credentials.ufrag}:{bob.engine.credentials.ufrag}".encode()
    before = state_of(alice)
    for extra, code in (((AttributeType.USE_CANDIDATE, b""), 400), ((0x7FFF, b"what?"), 420)):
        builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, code.to_bytes(12, "big"))
        builder.add(AttributeType.USERNAME, username).add(*extra)
        mallory.send(builder.add_integrity_sha1(alice.engine.credentials.password.encode()).build())
        answer = mallory.heard.pop()
        assert answer.message_class is MessageClass.ERROR
        assert answer.get(AttributeType.ERROR_CODE) == encode_error_code(
            code, {400: "Bad Request", 420: "Unknown Attribute"}[code]
        )
        assert answer.integrity_offset is not None
    assert state_of(alice) == before


# -- IC-2: answers


@dataclass
class Exchange:
    """Alice has sent a check to Bob, who does not answer by himself."""

    network: VirtualNetwork
    alice: IceHost
    bob: IceHost
    request: Message

    @classmethod
    def begin(cls) -> Exchange:
        network = make_network()
        alice, bob = make_pair(network)
        bob.silent = True
        alice.hear(bob)
        network.run_for(0.1)
        return cls(network, alice, bob, parse_message(alice.sent[0][1]))

    def answer(self, data: bytes, source: SocketAddress = BOB) -> None:
        self.network.send(data, source, ALICE)
        self.network.run_for(0.1)

    def pair_state(self) -> PairState:
        return self.alice.engine.pairs()[0].state


def test_an_answer_that_the_peer_signed_makes_the_pair_valid() -> None:
    exchange = Exchange.begin()
    exchange.answer(encode_success(exchange.request, ALICE, exchange.bob.engine.credentials.password))
    assert exchange.pair_state() is PairState.SUCCEEDED
    assert exchange.alice.engine.accepts(THERE)


def test_an_answer_that_the_peer_did_not_sign_is_as_if_it_had_never_come() -> None:
    """IC-2: no MI, wrong MI, MI by our own password, another transaction: the check goes on and can still succeed."""
    exchange = Exchange.begin()
    password = exchange.bob.engine.credentials.password
    good = encode_success(exchange.request, ALICE, password)
    for data in (
        unsigned(good),
        encode_success(exchange.request, ALICE, "wrong"),
        encode_success(exchange.request, ALICE, exchange.alice.engine.credentials.password),
        encode_error(exchange.request, ROLE_CONFLICT, "wrong"),
        unsigned(encode_error(exchange.request, 400, password)),
        good[:8] + bytes(12) + good[20:],
        good[:-1] + bytes([good[-1] ^ 1]),
    ):
        exchange.answer(data)
        assert exchange.pair_state() is PairState.IN_PROGRESS
        assert not exchange.alice.engine.accepts(THERE)
        assert exchange.alice.engine.role is IceRole.CONTROLLING
    exchange.answer(good)
    assert exchange.pair_state() is PairState.SUCCEEDED


@pytest.mark.parametrize("source", [SocketAddress(BOB.host, BOB.port + 1), MALLORY])
def test_an_answer_from_elsewhere_fails_the_pair_if_the_peer_signed_it_and_is_ignored_if_not(
    source: SocketAddress,
) -> None:
    """IC-2: RFC 8445 section 7.2.5.2.1; never does it make anything valid."""
    exchange = Exchange.begin()
    exchange.answer(encode_success(exchange.request, ALICE, "wrong"), source)
    assert exchange.pair_state() is PairState.IN_PROGRESS
    exchange.answer(encode_success(exchange.request, ALICE, exchange.bob.engine.credentials.password), source)
    assert exchange.pair_state() is PairState.FAILED
    assert not exchange.alice.told(PairValidated)
    assert not exchange.alice.engine.accepts(THERE)
    assert not exchange.alice.engine.accepts(Path(ALICE, source, Transport.UDP))


def test_an_answer_that_comes_twice_counts_once() -> None:
    """IC-2: a duplicate finds no transaction any more."""
    exchange = Exchange.begin()
    good = encode_success(exchange.request, ALICE, exchange.bob.engine.credentials.password)
    for _ in range(3):
        exchange.answer(good)
    assert exchange.alice.engine.pairs()[0].responses_received == 1
    assert len(exchange.alice.told(PairValidated)) == 1


def test_an_answer_to_a_pair_that_works_cannot_be_replayed_from_elsewhere_to_break_it() -> None:
    """IC-2: on a valid pair an answer from elsewhere is only ignored, so that nobody on the path can end a call."""
    alice, bob = connected_pair()
    network = alice.network
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: alice.requests()[-1][0] > network.clock.now - 0.01 and len(alice.requests()) > 2)
    request = parse_message(alice.sent[-1][1])
    assert request.message_class is MessageClass.REQUEST
    network.send(encode_success(request, ALICE, bob.engine.credentials.password), MALLORY, ALICE)
    network.run_for(0.1)
    assert alice.engine.selected == THERE
    assert alice.engine.pairs()[0].state is PairState.SUCCEEDED


def test_an_answer_that_cannot_be_understood_fails_the_pair() -> None:
    """IC-2: signed by the peer, and without the mapped address, or with an attribute that must be understood."""
    for extra in ((0x7FFF, b""), (AttributeType.XOR_MAPPED_ADDRESS, b"\0\1\2")):
        exchange = Exchange.begin()
        builder = MessageBuilder.response_to(exchange.request).add(*extra)
        exchange.answer(builder.add_integrity_sha1(exchange.bob.engine.credentials.password.encode()).build())
        assert exchange.pair_state() is PairState.FAILED


# -- IC-3 and IC-4: data


def test_data_is_accepted_only_from_addresses_that_were_checked() -> None:
    """IC-3: before, between and after; the same host with another port is another source."""
    network = make_network()
    alice, bob = make_pair(network)
    sources = [BOB, SocketAddress(BOB.host, BOB.port + 1), MALLORY]

    def accepted() -> list[bool]:
        return [alice.engine.accepts(Path(ALICE, source, Transport.UDP)) for source in sources]

    assert accepted() == [False, False, False]
    alice.hear(bob)
    assert accepted() == [False, False, False]
    bob.hear(alice)
    network.run_for(1.0)
    assert accepted() == [True, False, False]
    assert not alice.engine.accepts(Path(SocketAddress(ALICE.host, 1), BOB, Transport.UDP))
    assert not alice.engine.accepts(Path(ALICE, BOB, Transport.TCP))


def test_a_flood_of_data_from_strangers_is_dropped_and_leaves_nothing() -> None:
    """IC-3: the agent keeps nothing of 100 000 datagrams that it never sees; the question costs a look-up."""
    alice, _ = connected_pair()
    before = state_of(alice)
    for number in range(100_000):
        source = SocketAddress(f"192.0.2.{number % 250}", 1024 + number % 60_000)
        assert not alice.engine.accepts(Path(ALICE, source, Transport.UDP))
    assert state_of(alice) == before


def test_data_and_checks_from_another_source_do_not_move_where_data_goes() -> None:
    """IC-4: after the nomination valid data, and even a check with the right password, change no destination."""
    alice, bob = connected_pair()
    mallory = Stranger(alice.network)
    mallory.send(b"\x80" + bytes(60))
    assert [data[0] for data, _ in alice.refused] == [0x80]
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    mallory.send(mallory.request(ours.ufrag, theirs.ufrag, ours.password))
    assert mallory.heard  # answered: it is signed by somebody who knows the password
    alice.network.run_for(2.0)
    assert alice.engine.data_path == alice.engine.selected == THERE
    assert len(alice.selections) == 1
    assert not alice.engine.accepts(Path(ALICE, MALLORY, Transport.UDP))


def test_the_controlled_side_nominates_nobody_who_does_not_answer_a_check() -> None:
    """IC-4: USE-CANDIDATE from a spoofed source, signed, leads to a check and no further."""
    alice, bob = connected_pair()
    mallory = Stranger(alice.network)
    theirs = bob.engine.credentials
    request = mallory.request(theirs.ufrag, alice.engine.credentials.ufrag, theirs.password, role=IceRole.CONTROLLING)
    alice.network.send(request, MALLORY, BOB)
    alice.network.run_for(5.0)
    assert bob.engine.data_path == Path(BOB, ALICE, Transport.UDP)
    assert MALLORY in {path.remote for _, path in bob.requests()}
    assert len(bob.selections) == 1


# -- IC-5: consent


def test_when_consent_has_expired_nothing_is_sent_any_more() -> None:
    """IC-5: 30 s without a valid answer: not earlier, at most a second later; not one packet after that."""
    alice, _ = connected_pair()
    network = alice.network
    network.run_for(12.3)
    network.set_link(BOB.host, ALICE.host, GONE)
    last_answer = alice.requests()[-1][0] + 0.04
    said: list[float] = []
    while network.clock.now < last_answer + 60.0:
        if alice.say(b"data"):
            said.append(network.clock.now)
        network.run_for(0.1)
    assert 29.8 <= said[-1] - last_answer <= 31.0
    assert max(at for at, _, _ in alice.sent) <= last_answer + 30.0
    assert_state(IceState.FAILED, alice)
    assert alice.has_nowhere_to_send()
    assert not alice.engine.accepts(THERE)
    # Bob's path is back, and he asks; only a restart would help.
    network.connect(ALICE.host, BOB.host, Link(delay=0.02))
    count = len(alice.sent)
    network.run_for(60.0)
    assert len(alice.sent) == count
    assert_state(IceState.FAILED, alice)


def test_answers_with_a_wrong_mac_do_not_renew_consent() -> None:
    """IC-5: nor unsigned ones, nor requests of the peer, nor data."""
    alice, bob = connected_pair()
    network = alice.network
    network.set_link(ALICE.host, BOB.host, GONE)  # Bob's own checks still arrive
    died = network.clock.now
    while network.clock.now < died + 31.0:
        if alice.sent:
            request = parse_message(alice.sent[-1][1])
            if request.message_class is MessageClass.REQUEST:
                for data in (
                    encode_success(request, ALICE, "wrong"),
                    unsigned(encode_success(request, ALICE, bob.engine.credentials.password)),
                ):
                    network.send(data, BOB, ALICE)
        alice.run(alice.engine.note_authenticated_data)
        network.run_for(0.1)
    assert_state(IceState.FAILED, alice)


def test_consent_checks_are_four_to_six_seconds_apart() -> None:
    """IC-5: on an agent, as the clockwork alone does it in test_consent."""
    alice, _ = connected_pair()
    alice.network.run_for(600.0)
    times = [at for at, _ in alice.requests()][1:]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) >= 4.0
    assert max(gaps) <= 6.0
    assert max(gaps) - min(gaps) > 1.5


# -- IC-6: candidates as a weapon


def remote(number: int) -> Candidate:
    return Candidate(
        type=CandidateType.HOST,
        host=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        port=80,
        priority=compute_priority(CandidateType.HOST, number % 65_536),
        foundation=str(number),
    )


def test_a_storm_of_candidates_makes_100_pairs_at_most_and_is_checked_at_the_pace() -> None:
    """IC-6: no port scanner faster than one address every Ta, nor one that goes on for ever."""
    network = make_network()
    alice, bob = make_pair(network)
    for number in range(3):
        alice.add(address=SocketAddress(f"198.51.100.{20 + number}", 5000))
    alice.hear_credentials(bob)
    for number in range(10_000):
        alice.hear_candidate(remote(number))
    assert len(alice.engine.pairs()) == 100
    network.run_for(120.0)
    first_contact: dict[Path, float] = {}
    for at, path in alice.requests():
        first_contact.setdefault(path, at)
    times = sorted(first_contact.values())
    assert min(after - before for before, after in itertools.pairwise(times)) >= 0.05 - 1e-9
    assert len(first_contact) <= 4 * MAX_REMOTE_CANDIDATES
    assert_state(IceState.FAILED, alice)
    # Retransmissions included, one request every Ta on the average; the first pairs did not know of so many others.
    assert len(alice.requests()) <= 1.05 * (alice.requests()[-1][0] - times[0]) / 0.05


def test_candidates_that_no_check_can_go_to_are_passed_over() -> None:
    """IC-6: multicast, broadcast, unspecified, IPv4 in IPv6, port 0."""
    alice, bob = make_pair(make_network())
    alice.add(address=SocketAddress("2001:db8::1", 5000))
    alice.hear_credentials(bob)
    for host in ("224.0.0.251", "255.255.255.255", "0.0.0.0", "::", "ff02::fb", "::ffff:10.0.0.1"):
        alice.hear_candidate(parse_candidate(f"1 1 udp 1 {host} 5353 typ host"))
    alice.hear_candidate(parse_candidate("1 1 udp 1 10.0.0.1 0 typ host"))
    assert not alice.engine.pairs()
    alice.hear_candidate(parse_candidate("1 1 udp 1 10.0.0.1 1 typ host"))
    assert len(alice.engine.pairs()) == 1


def test_checks_from_ever_new_addresses_are_answered_and_leave_little() -> None:
    """IC-6: the peer knows the password and spoofs its address; what we learn and what we send stays bounded."""
    network = make_network()
    alice, bob = make_pair(network)
    alice.hear_credentials(bob)
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    for number in range(500):
        source = SocketAddress(f"203.0.113.{number % 250}", 1000 + number)
        request = Stranger(network, source).request(ours.ufrag, theirs.ufrag, ours.password, use_candidate=False)
        network.send(request, source, ALICE)
    network.run_for(1.0)
    assert len(alice.told(RemotePeerReflexive)) <= MAX_PEER_REFLEXIVE
    assert len(alice.engine.pairs()) <= 100
    assert len({path.remote for _, path in alice.requests()}) <= 1.0 / 0.05 + 1
    sources = [SocketAddress(f"203.0.113.{number % 250}", 1000 + number) for number in range(500)]
    known = [alice.engine.has_authenticated(Path(ALICE, source, Transport.UDP)) for source in sources]
    assert sum(known) == MAX_AUTHENTICATED


def test_a_peer_that_triggers_a_check_again_and_again_gets_a_bounded_number() -> None:
    """IC-6: an address that never answers is checked MAX_CHECKS_PER_PAIR times at most."""
    network = make_network()
    alice, bob = make_pair(network, options=(IceOptions(patience=1000.0), None))
    alice.hear_credentials(bob)
    mallory = Stranger(network)
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    for _ in range(500):
        mallory.send(mallory.request(ours.ufrag, theirs.ufrag, ours.password, use_candidate=False))
        network.run_for(0.3)
    checks = {parse_message(data).transaction_id for _, data, path in alice.sent if path.remote == MALLORY}
    requests = [one for one in mallory.heard if one.message_class is MessageClass.REQUEST]
    assert len({one.transaction_id for one in requests}) <= MAX_CHECKS_PER_PAIR
    assert len(checks) > 500  # every request was answered


def test_checks_before_the_credentials_are_remembered_up_to_a_bound() -> None:
    """IC-6: and still answered beyond it."""
    network = make_network()
    alice, bob = make_pair(network)
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    strangers = [
        Stranger(network, SocketAddress("203.0.113.1", 1000 + number)) for number in range(MAX_REMEMBERED + 20)
    ]
    for one in strangers:
        one.send(one.request(ours.ufrag, theirs.ufrag, ours.password, use_candidate=False))
    assert all(one.heard for one in strangers)
    alice.hear_credentials(bob)
    assert len(alice.engine.pairs()) == MAX_REMEMBERED


# -- IC-10 and IC-11


def test_old_credentials_are_refused_after_a_restart() -> None:
    """IC-10: at once from everywhere but the old pair, and from there too once the new pair is selected."""
    alice, bob = connected_pair()
    network = alice.network
    old, theirs = alice.engine.credentials, bob.engine.credentials
    alice.run(alice.engine.restart)
    alice.candidates.clear()
    alice.add()
    mallory = Stranger(network)
    mallory.send(mallory.request(old.ufrag, theirs.ufrag, old.password))
    assert not mallory.heard
    bob.run(bob.engine.restart)
    bob.candidates.clear()
    bob.add()
    introduce(alice, bob)
    network.run_for(1.0)
    assert len(alice.selections) == 2
    before = len(alice.sent)
    network.send(mallory.request(old.ufrag, theirs.ufrag, old.password), BOB, ALICE)
    network.run_for(0.1)
    assert len(alice.sent) == before


def test_no_password_is_in_anything_that_is_printed() -> None:
    """IC-10: neither ours nor the peer's is in a repr of the agent's parts, its events or its errors."""
    alice, bob = connected_pair()
    printed = " ".join(map(repr, (alice.engine, alice.engine.credentials, alice.events, alice.engine.pairs())))
    for credentials in (alice.engine.credentials, bob.engine.credentials):
        assert credentials.password not in printed


@pytest.mark.parametrize("role", list(IceRole))
def test_a_storm_of_forged_role_conflicts_ends(role: IceRole) -> None:
    """IC-11: the peer claims our role in every check, with the tie-breaker that wins, and refuses all of ours."""
    network = make_network()
    alice, bob = make_pair(network, roles=(role, role.other))
    bob.silent = True
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    network.detach(BOB)
    mallory = Stranger(network, BOB)
    alice.hear(bob)
    alice.finish()
    roles = []
    while not alice.state_is(IceState.FAILED) and network.clock.now < 1200.0:
        wins = 2**64 - 1 if alice.engine.role is IceRole.CONTROLLING else 0
        mallory.send(mallory.request(ours.ufrag, theirs.ufrag, ours.password, role=alice.engine.role, tie_breaker=wins))
        for message in mallory.heard:
            if message.message_class is MessageClass.REQUEST:
                mallory.send(encode_error(message, ROLE_CONFLICT, theirs.password))
        mallory.heard.clear()
        roles.append(alice.engine.role)
    assert_state(IceState.FAILED, alice)
    assert sum(before is not after for before, after in itertools.pairwise(roles)) <= MAX_ROLE_CHANGES


def test_a_conflict_that_never_ends_does_not_keep_two_honest_agents_from_connecting() -> None:
    """IC-11: equal roles and equal tie-breakers at once."""
    for seed in range(1, 6):
        network = make_network(Link(delay=0.02, jitter=0.01), seed)
        alice, bob = make_pair(network, roles=(IceRole.CONTROLLING, IceRole.CONTROLLING), seed=seed)
        alice.engine._role.tie_breaker = bob.engine._role.tie_breaker = 7
        introduce(alice, bob)
        network.run_for(5.0)
        assert_state(IceState.COMPLETED, alice, bob)
        assert {alice.engine.role, bob.engine.role} == set(IceRole)
