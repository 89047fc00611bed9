"""The client engine against the hub, in one process and on one clock."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from msgspec import json as msgspec_json

from icelane.core.clock import Instant, UnixSeconds
from icelane.errors import InvalidStateError, MessageTooLargeError, OperationError
from icelane.signaling.admitted import Admission, Grant, Refusal
from icelane.signaling.client_event import (
    Answered,
    Disconnected,
    Ended,
    IceServersGiven,
    MessageReceived,
    PeerChanged,
    PeerDeparted,
    RoomEntered,
    RoomLeft,
    SignalReceived,
    Unanswered,
)
from icelane.signaling.client_outgoing import MAX_REQUESTS
from icelane.signaling.client_session import ClientSession, ClientState
from icelane.signaling.close_code import CloseCode
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import (
    Description,
    DescriptionType,
    Error,
    IceServer,
    IceServersBody,
    Joined,
    LeftReason,
    Ok,
    SignalData,
    encode_json,
)
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.signaling.client_world import Client, ClientWorld, continuities


def test_two_clients_see_each_other_and_play_different_parts() -> None:
    world = ClientWorld()
    ann = world.client("ann", "demo")
    world.run(1)
    bob = world.client("bob", "demo")
    world.run(1)
    assert (ann.present, bob.present) == ({"bob"}, {"ann"})
    parts = [peer.polite for client in (ann, bob) for peer in client.session.rooms["demo"].peers.values()]
    assert sorted(parts) == [False, True]
    assert [event.room for event in ann.all(RoomEntered)] == ["demo"]
    assert isinstance(ann.answers[1], Joined)


def test_a_signal_and_a_message_arrive_and_are_answered() -> None:
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    assert bob.session.peer is not None
    offer = SignalData(description=Description(type=DescriptionType.OFFER, sdp="v=0\r\n"))
    number = ann.do(ann.session.signal, bob.session.peer, offer, world.now)
    said = ann.say({"hello": ["world", 1]})
    world.run(1)
    assert [event.data for event in bob.all(SignalReceived)] == [offer]
    assert [(event.data, event.room) for event in bob.all(MessageReceived)] == [({"hello": ["world", 1]}, "demo")]
    assert isinstance(ann.answers[number], Ok)  # type: ignore[index]  # it is a number
    assert isinstance(ann.answers[said], Ok)


def test_a_message_to_a_peer_who_is_not_there_is_answered_at_once() -> None:
    world = ClientWorld()
    ann = world.client("ann", "demo")
    number = ann.say("hello", to="p_nobody")
    world.run(1)
    answer = ann.answers[number]
    assert isinstance(answer, Error)
    assert answer.code == "peer_not_found"


def test_what_others_say_of_themselves_is_told() -> None:
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    bob.do(bob.session.update, "demo", encode_json({"hand": "up"}), world.now)
    world.run(1)
    assert [event.peer.meta for event in ann.all(PeerChanged)] == [{"hand": "up"}]


@pytest.mark.parametrize("seed", range(20))
def test_cuts_and_slow_readers_lose_double_and_reorder_nothing_inside_the_window(seed: int) -> None:
    """OP-10, OP-2: 20 seeds of forced disconnects; whatever was answered was heard by all, once and in order."""
    chance = Random(seed)
    world = ClientWorld(seed)
    clients = [world.client(name, "demo") for name in ("ann", "bob", "eve")]
    world.run(2)
    sent: dict[str, list[int]] = {client.identity: [] for client in clients}
    for number in range(150):
        client = chance.choice(clients)
        sent[client.identity].append(number)
        client.say([client.identity, number])
        if chance.random() < 0.15:
            cut_one(world, chance)
        if chance.random() < 0.05:
            pause_one(world, chance)
        world.run(chance.random() * 0.3)
    world.run(60)
    for client in clients:
        assert set(continuities(client)[1:]) <= {"resumed"}
        assert not client.all(Unanswered)
        assert client.session.unanswered == 0
        assert client.present == {other.identity for other in clients} - {client.identity}
        for other in clients:
            if other is not client:
                heard = [message[1] for message in client.heard if message[0] == other.identity]  # type: ignore[index]  # as it was sent
                assert heard == sent[other.identity]
    assert sum(len(continuities(client)) for client in clients) > len(clients)
    orders = [[message for message in client.heard if message[0] == "ann"] for client in clients[1:]]  # type: ignore[index]  # as it was sent
    assert orders[0] == orders[1]


@pytest.mark.parametrize("seed", range(20))
def test_outside_the_window_a_client_is_told_that_it_missed_something(seed: int) -> None:
    """OP-10: with restarts and absences, what is heard is in order and never twice, and a gap is never silent."""
    chance = Random(seed)
    world = ClientWorld(seed, SignalingLimits(resume_window=5.0, replay=8))
    clients = [world.client(name, "demo") for name in ("ann", "bob", "eve")]
    world.run(2)
    spoken: list[tuple[str, int, int]] = []
    for number in range(150):
        client = chance.choice(clients)
        spoken.append((client.identity, number, client.say([client.identity, number])))
        if chance.random() < 0.1:
            cut_one(world, chance)
        if chance.random() < 0.03:
            world.restart()
        if chance.random() < 0.03:
            world.accepts = False
            world.after(8.0, lambda: setattr(world, "accepts", True))
        world.run(chance.random() * 0.3)
    world.run(120)
    for client in clients:
        assert client.session.state is ClientState.OPEN
        assert client.session.unanswered == 0
        assert client.present == {other.identity for other in clients} - {client.identity}
        lost = set(continuities(client)[1:]) & {"resynced", "replaced"}
        for other in clients:
            numbers = [message[1] for message in client.heard if message[0] == other.identity]  # type: ignore[index]  # as it was sent
            assert numbers == sorted(set(numbers))
            done = [
                number
                for who, number, request in spoken
                if who == other.identity and isinstance(other.answers.get(request), Ok)
            ]
            if other is not client and not lost:
                # Whatever the server took was heard, but for what was said while we were in the room not yet.
                assert set(done) <= set(numbers) or set(continuities(other)) != {"new"}
    assert any(set(continuities(client)) & {"resynced", "replaced"} for client in clients)


def cut_one(world: ClientWorld, chance: Random) -> None:
    """A connection breaks."""
    if world.links:
        chance.choice(list(world.links.values())).cut()


def pause_one(world: ClientWorld, chance: Random) -> None:
    """Somebody does not read for a while."""
    if not world.links:
        return
    link = chance.choice(list(world.links.values()))
    link.reads = False

    def go_on() -> None:
        link.reads = True
        if link.open:
            world.write(link)

    world.after(chance.random() * 3, go_on)


def test_a_server_that_has_forgotten_us_is_joined_again() -> None:
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    before = ann.session.peer
    world.restart()
    world.run(5)
    assert continuities(ann) == ["new", "replaced"]
    assert ann.session.peer != before
    assert ann.all(PeerDeparted)[0].reason is LeftReason.NODE_LOST
    assert (ann.present, bob.present) == ({"bob"}, {"ann"})
    assert len(ann.all(RoomEntered)) == 2


def test_what_was_not_sent_when_the_session_was_lost_is_sent_in_the_next() -> None:
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    world.accepts = False
    world.restart()
    world.run(1)
    number = ann.say("hello")
    signal = ann.do(ann.session.signal, "p_of_before", SignalData(candidate=None), world.now)
    world.run(1)
    world.accepts = True
    world.run(60)
    assert bob.heard in (["hello"], [])  # bob may come back later than ann
    assert isinstance(ann.answers[number], Ok)
    assert [event.id for event in ann.all(Unanswered)] == [signal]


def test_a_client_comes_back_to_another_server_when_it_is_told_to() -> None:
    world = ClientWorld()
    ann = world.client("ann")
    world.run(1)
    world.hub.drain(1.0, world.now, "wss://other.example.org/v1/signal")
    world.drain()
    world.run(3)
    assert ann.urls[1] == "wss://other.example.org/v1/signal"
    assert ann.all(Disconnected)[0].reason == "draining"


def test_a_thousand_clients_of_a_restarted_server_come_back_spread_over_a_second() -> None:
    """OP-2: no thundering herd: in no tenth of a second do more than 16 % of the clients come back."""
    world = ClientWorld(latency=0.0)
    clients = [world.client(f"user{number}") for number in range(1000)]
    world.run(1)
    world.restart()
    world.run(0.001)
    delays = [client.all(Disconnected)[0].delay for client in clients]
    tenths = [sum(1 for delay in delays if tenth / 10 <= delay < (tenth + 1) / 10) for tenth in range(10)]
    assert sum(tenths) == 1000
    assert max(tenths) < 160
    world.run(5)
    assert all(client.session.state is ClientState.OPEN for client in clients)


def speak(world: ClientWorld, clients: list[Client], seconds: float, sent: dict[str, list[int]]) -> None:
    """100 messages a second, each client in its turn."""
    for _ in range(round(100 * seconds)):
        number = sum(map(len, sent.values()))
        client = clients[number % len(clients)]
        sent[client.identity].append(number)
        client.say([client.identity, number])
        world.run(0.01)


def heard_of(client: Client, identity: str) -> list[int]:
    """What somebody said, as a client heard it."""
    return [message[1] for message in client.heard if message[0] == identity]  # type: ignore[index]  # as it was sent


def most_at_once(clients: list[Client], bound: float) -> int:
    """How many come back in the fullest tenth of a second, all within the bound."""
    delays = [client.all(Disconnected)[-1].delay for client in clients]
    assert max(delays) <= bound
    return max(Counter(int(delay * 10) for delay in delays).values())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_in_front_restarts_under_a_hundred_messages_a_second_and_nothing_is_lost(seed: int) -> None:
    """OP-2: all connections break three times; each client resumes with jitter; nothing lost, doubled or reordered."""
    world = ClientWorld(seed)
    clients = [world.client(f"user{number}", "demo") for number in range(40)]
    world.run(3)
    sent: dict[str, list[int]] = {client.identity: [] for client in clients}
    for time in range(3):
        speak(world, clients, 2, sent)
        for link in list(world.links.values()):
            link.cut()
        speak(world, clients, 0.03, sent)  # both ends notice meanwhile
        assert most_at_once(clients, bound=2.0**time) <= 12  # none of them was well for long
        speak(world, clients, 3, sent)
    world.run(30)
    for client in clients:
        assert continuities(client) == ["new", *["resumed"] * 3]
        assert not client.all(Unanswered)
        for other in clients:
            if other is not client:
                assert heard_of(client, other.identity) == sent[other.identity]
    orders = [[message for message in client.heard if message[0] == "user0"] for client in clients[1:]]  # type: ignore[index]  # as it was sent
    assert all(order == orders[0] for order in orders)


@pytest.mark.parametrize("seed", range(3))
def test_a_server_restarts_under_a_hundred_messages_a_second_and_nothing_is_lost_silently(seed: int) -> None:
    """OP-2: it drains first; each client comes back by itself with jitter; what was answered was heard by all who were
    there, what was not is told, and from the return on everything is heard, once and in order."""
    world = ClientWorld(seed)
    clients = [world.client(f"user{number}", "demo") for number in range(40)]
    world.run(3)
    sent: dict[str, list[int]] = {client.identity: [] for client in clients}
    speak(world, clients, 2, sent)
    world.hub.drain(1.0, world.now)
    world.drain()
    speak(world, clients, 1.1, sent)
    assert not world.links
    world.restart()
    speak(world, clients, 10, sent)
    world.run(60)
    returned = sum(map(len, sent.values()))
    speak(world, clients, 3, sent)
    world.run(30)
    for client in clients:
        assert continuities(client) == ["new", "replaced"]
        assert client.session.unanswered == 0
        assert client.present == {other.identity for other in clients} - {client.identity}
        for other in clients:
            if other is not client:
                heard = heard_of(client, other.identity)
                assert heard == sorted(set(heard))
                after = [number for number in sent[other.identity] if number >= returned]
                assert [number for number in heard if number >= returned] == after


def test_failures_in_a_row_make_the_wait_longer_up_to_half_a_minute() -> None:
    world = ClientWorld()
    world.accepts = False
    ann = world.client("ann")
    world.run(600)
    delays = [event.delay for event in ann.all(Disconnected)]
    assert max(delays) <= 30
    assert sum(delays[5:10]) > 4 * sum(delays[:5])
    world.accepts = True
    world.run(60)
    assert ann.session.state is ClientState.OPEN


@pytest.mark.parametrize(
    ("code", "comes_back"),
    [
        (CloseCode.DENIED, False),
        (CloseCode.BAD_FRAME, False),
        (CloseCode.TOKEN_EXPIRED, False),  # without another token
        (CloseCode.RATE_LIMITED, True),
        (CloseCode.INTERNAL, True),
        (CloseCode.DRAINING, True),
    ],
)
def test_whether_a_refused_client_comes_back_is_known_from_the_code(code: CloseCode, comes_back: bool) -> None:
    world = ClientWorld()
    world.admissions["ann"] = Refusal(code=code, error="some_reason", reason="because", retry_after=7.0)
    ann = world.client("ann")
    world.run(1)
    if comes_back:
        assert ann.all(Disconnected)[0].reason == "some_reason"
        assert ann.all(Disconnected)[0].delay >= 7.0
        assert ann.session.state is ClientState.WAITING
    else:
        assert ann.all(Ended) == [Ended(code, "some_reason", "because")]
        assert ann.session.state is ClientState.CLOSED
        assert ann.session.next_timeout() is None


def test_a_refused_token_is_replaced_once() -> None:
    world = ClientWorld()
    world.admissions["ann"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_expired")
    ann = world.client("ann", renews_token=True)
    world.run(20)
    assert ann.all(Ended)[0].reason == "token_expired"
    assert len(ann.urls) == 2


def test_a_token_that_ends_soon_is_refreshed_in_time() -> None:
    world = ClientWorld()
    expiry = UnixSeconds(world.clock.unix_time(world.now) + 100)
    world.admissions["ann"] = Admission(identity="ann", rooms=("*",), expires_at=expiry)
    world.admissions["newer"] = Admission(identity="ann", rooms=("*",), expires_at=UnixSeconds(expiry + 1000))
    ann = world.client("ann", "demo", renews_token=True)
    world.run(50)
    ann.token = "newer"
    world.run(150)
    assert ann.fetched == 1
    assert ann.session.state is ClientState.OPEN
    assert continuities(ann) == ["new"]


def test_fresh_ice_servers_come_in_band() -> None:
    world = ClientWorld()
    servers = (IceServer(urls=("turn:turn.example.org",), username="1:k:ann", credential="x"),)
    world.ice = IceServersBody(ice_servers=servers, ice_transport_policy="relay", ttl=600)
    ann = world.client("ann")
    world.run(500)
    assert [event.ice for event in ann.all(IceServersGiven)] == [world.ice, world.ice]


def test_a_dead_connection_is_noticed_and_made_anew() -> None:
    """SG-14: the client asks when the server is silent for too long, and comes back into its session."""
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    assert ann.link is not None
    ann.link.dead = True
    bob.say("anybody there?")
    world.run(60)
    assert continuities(ann) == ["new", "resumed"]
    assert ann.heard == ["anybody there?"]
    assert "silent" in ann.all(Disconnected)[0].reason


def test_a_client_never_meets_the_servers_rate() -> None:
    world = ClientWorld(limits=SignalingLimits(frames_per_second=20.0, frame_burst=10))
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    for number in range(200):
        ann.say(number)
    world.run(30)
    assert bob.heard == list(range(200))
    assert not ann.all(Disconnected)


def test_what_waits_is_bounded() -> None:
    world = ClientWorld()
    world.accepts = False
    ann = world.client("ann")
    for number in range(MAX_REQUESTS):
        ann.say(number)
    with pytest.raises(OperationError, match="wait for an answer"):
        ann.say("one more")


def test_a_message_that_the_server_would_not_take_is_refused_here() -> None:
    world = ClientWorld()
    ann = world.client("ann", "demo")
    world.run(1)
    with pytest.raises(MessageTooLargeError, match="65536"):
        ann.say("x" * 65536)


def test_a_close_of_ours_is_told_to_the_others_at_once() -> None:
    world = ClientWorld()
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    ann.do(ann.session.close)
    ann.do(ann.session.close)
    world.run(1)
    assert ann.all(Ended) == [Ended(1000, "closed", "")]
    assert [event.reason for event in bob.all(PeerDeparted)] == [LeftReason.CLOSED]
    with pytest.raises(InvalidStateError):
        ann.say("hello?")


def test_who_is_kicked_is_told_and_does_not_come_back() -> None:
    world = ClientWorld()
    world.admissions["ann"] = Admission(identity="ann", rooms=("*",), grants=frozenset(Grant))
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(1)
    ann.do(ann.session.kick, "demo", bob.session.peer, "noise", world.now)
    world.run(1)
    assert bob.all(RoomLeft) == [RoomLeft("demo", LeftReason.KICKED, "noise")]
    assert bob.present == set()
    assert "demo" not in bob.session.rooms
    ann.do(ann.session.lock, "demo", True, world.now)
    world.restart()
    world.run(10)
    assert "demo" not in bob.session.rooms


def test_a_newer_session_of_the_same_identity_ends_the_older_one() -> None:
    world = ClientWorld()
    first = world.client("ann", "demo")
    world.run(1)
    second = world.client("ann", "demo")
    world.run(30)
    assert first.all(Ended)[0].reason == "superseded"
    assert second.session.state is ClientState.OPEN


@pytest.mark.parametrize(
    "frame",
    [
        "no JSON",
        "[]",
        '{"type":"unknown"}',
        '{"type":"message","seq":3,"data":1}',
        '{"type":"welcome","re":99}',
        '{"type":"peer-joined","seq":"x"}',
        "\ud800",
    ],
)
def test_nonsense_from_a_server_ends_the_connection_and_nothing_else(frame: str) -> None:
    world = ClientWorld()
    ann = world.client("ann", "demo")
    world.run(1)
    assert ann.link is not None
    ann.do(ann.session.handle_frame, frame, world.now)
    world.run(5)
    assert continuities(ann) == ["new", "resumed"]


def test_a_server_that_says_nothing_is_left() -> None:
    session = ClientSession(entropy=SeededEntropy(), wall_clock=VirtualClock())
    session.start()
    now = Instant(5.0)
    session.handle_connected("token", now)
    assert msgspec_json.decode(session.poll_transmit() or "")["token"] == "token"
    deadline = session.next_timeout()
    assert deadline is not None
    session.handle_timeout(deadline)
    assert session.state is ClientState.WAITING


@pytest.mark.parametrize(("status", "ends"), [(401, True), (403, True), (404, True), (429, False), (503, False)])
def test_an_answer_by_http_is_understood(status: int, ends: bool) -> None:
    session = ClientSession(entropy=SeededEntropy(), wall_clock=VirtualClock())
    session.start()
    session.handle_refused(status, "no", 12.0, Instant(5.0))
    events = []
    while (event := session.poll_event()) is not None:
        events.append(event)
    if ends:
        assert events == [Ended(status, "no", "no")]
    else:
        assert isinstance(events[0], Disconnected)
        assert 12.0 <= events[0].delay <= 13.0


def test_a_session_has_nothing_left_after_its_end() -> None:
    world = ClientWorld()
    ann = world.client("ann", "demo")
    world.accepts = False
    ann.say("hello")
    ann.do(ann.session.close)
    world.run(1)
    assert ann.session.next_timeout() is None
    assert ann.session.unanswered == 0
    assert len(ann.all(Unanswered)) + len(ann.all(Answered)) == 2


def test_who_says_all_he_may_is_heard_with_what_his_token_says_as_well() -> None:
    world = ClientWorld()
    world.admissions["ann"] = Admission(identity="ann", rooms=("*",), meta={"token": "x" * 3000})
    ann, bob = world.client("ann", "demo"), world.client("bob", "demo")
    world.run(5)
    ann.do(ann.session.update, "demo", encode_json({"said": "y" * 3000}), world.now)
    world.run(5)
    (changed,) = bob.all(PeerChanged)
    assert changed.peer.meta == {"said": "y" * 3000, "token": "x" * 3000}
    assert continuities(bob) == ["new"]
