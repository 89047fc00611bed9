"""Rooms: presence, roles, what is said and to whom, and what moderators do."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from icelane.signaling.admitted import DEFAULT_GRANTS, AdmissionLimits, Grant, IcePolicy, IceTransportPolicy, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.engine import LEASE, RoomOptions
from icelane.signaling.hub_event import AskJoin, AskMessage, PeerDeparted, PeerEntered
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import (
    CandidateInit,
    ClientInfo,
    Close,
    Description,
    DescriptionType,
    Error,
    Hello,
    Ice,
    IceServersBody,
    Join,
    Joined,
    Kick,
    Leave,
    Left,
    LeftReason,
    Lock,
    Ok,
    PeerJoined,
    PeerLeft,
    PeerUpdated,
    Refresh,
    RoomUpdated,
    SendMessage,
    SendSignal,
    ServerMessage,
    ServerSignal,
    SignalData,
    Update,
    encode_json,
)
from icelane.signaling.room_rule import RoomRule
from tests.signaling.hub_world import Connected, World, allow
from tests.signaling.late_engine import LateWorld

MODERATOR = frozenset({*DEFAULT_GRANTS, Grant.MODERATE})
OFFER = SignalData(description=Description(type=DescriptionType.OFFER, sdp="v=0\r\n"))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.admissions["mod"] = allow("mod", grants=MODERATOR)
    yield made
    for connection in list(made.connections.values()):
        connection.cut(1000)
    made.advance(61.0)
    assert all(hub.empty for hub in made.hubs.values())
    assert made.broker.empty


def message(to: str, data: object, **rest: object) -> SendMessage:
    return SendMessage(to=to, data=encode_json(data), **rest)  # type: ignore[arg-type]  # as its caller wrote it


def test_whoever_enters_sees_who_is_there_and_they_see_him(world: World) -> None:
    alice = world.enter("alice")
    first = alice.join("r", meta={"colour": "red"})
    assert isinstance(first, Joined)
    assert (first.you, first.peers) == (alice.peer, ())
    bob = world.enter("bob", "r")
    [seen] = bob.last(Joined).peers
    assert (seen.peer, seen.identity, bytes(seen.meta)) == (alice.peer, "alice", b'{"colour":"red"}')
    came = alice.last(PeerJoined)
    assert (came.peer, came.identity, came.room, came.seq) == (bob.peer, "bob", "r", 1)


def test_of_any_two_the_one_who_was_there_first_is_polite(world: World) -> None:
    clients = [world.enter(f"user-{number}", "r") for number in range(4)]
    for earlier in range(4):
        for later in range(earlier + 1, 4):
            first, second = clients[earlier], clients[later]
            # What each is told about the other.
            about_second = next(frame for frame in first.all(PeerJoined) if frame.peer == second.peer)
            about_first = next(peer for peer in second.last(Joined).peers if peer.peer == first.peer)
            assert about_first.polite
            assert not about_second.polite
    again = clients[1].join("r", frame_id=9)
    assert isinstance(again, Joined)
    assert {peer.peer: peer.polite for peer in again.peers} == {
        clients[0].peer: True, clients[2].peer: False, clients[3].peer: False
    }  # fmt: skip


def test_what_admission_says_wins_over_what_the_client_says(world: World) -> None:
    """SG-13: nobody gives himself a role."""
    world.admissions["alice"] = allow("alice", meta={"role": "guest"}, name="Alice")
    bob = world.enter("bob", "r")
    alice = world.enter("alice")
    alice.join("r", meta={"role": "admin", "colour": "red"})
    assert bytes(bob.last(PeerJoined).meta) == b'{"role":"guest","colour":"red"}'
    assert bob.last(PeerJoined).name == "Alice"
    alice.say(Update(id=3, room="r", meta=encode_json({"role": "admin"})))
    assert bytes(bob.last(PeerUpdated).meta) == b'{"role":"guest"}'
    assert alice.last(Ok).re == 3
    assert not alice.all(PeerUpdated)


def test_a_room_that_the_token_does_not_have_is_refused(world: World) -> None:
    """SG-13: join to a room that is not in the token."""
    world.admissions["alice"] = allow("alice", "lobby")
    world.admissions["mute"] = allow("mute", grants=frozenset({Grant.MESSAGE}))
    world.enter("bob", "secret")
    alice = world.enter("alice")
    error = alice.join("secret")
    assert isinstance(error, Error)
    assert (error.code, error.re, error.retryable) == ("forbidden", 2, False)
    assert isinstance(alice.join("lobby"), Joined)
    assert isinstance(world.enter("mute").join("lobby"), Error)


def test_nobody_is_heard_in_a_room_that_he_is_not_in(world: World) -> None:
    """SG-13: a message, a signal, an update to a room of others, or to a peer of another room."""
    bob = world.enter("bob", "theirs")
    eve = world.enter("eve", "mine")
    eve.say(message("*", "hi", id=3, room="theirs"))
    eve.say(message(bob.peer, "hi", id=4))
    eve.say(SendSignal(id=5, to=bob.peer, data=OFFER))
    eve.say(Update(id=6, room="theirs", meta=encode_json({})))
    eve.say(Kick(id=7, room="theirs", peer=bob.peer))
    assert eve.errors == ["not_in_room", "peer_not_found", "peer_not_found", "not_in_room", "forbidden"]
    assert len(bob.frames) == 2


def test_the_sender_of_what_is_passed_on_is_written_by_the_server(world: World) -> None:
    """SG-13: a spoofed `from` is not looked at."""
    alice, bob, eve = (world.enter(name, "r") for name in ("alice", "bob", "eve"))
    eve.say(f'{{"type":"message","to":"{bob.peer}","from":"{alice.peer}","data":1}}')
    eve.say(f'{{"type":"signal","to":"{bob.peer}","from":"{alice.peer}","data":{{"candidate":null}}}}')
    assert bob.last(ServerMessage).sender == eve.peer
    assert bob.last(ServerSignal).sender == eve.peer
    assert bob.last(ServerSignal).data.candidate is None


def test_signals_and_messages_reach_one_peer_or_all_others(world: World) -> None:
    alice, bob, carol = (world.enter(name, "r") for name in ("alice", "bob", "carol"))
    alice.say(SendSignal(id=3, to=bob.peer, data=OFFER))
    assert bob.last(ServerSignal).data == OFFER
    assert not carol.all(ServerSignal)
    alice.say(message("*", {"a": 1}, id=4))
    assert [bytes(one.last(ServerMessage).data) for one in (bob, carol)] == [b'{"a":1}'] * 2
    assert (bob.last(ServerMessage).sender, bob.last(ServerMessage).room) == (alice.peer, "r")
    assert not alice.all(ServerMessage)
    assert [frame.re for frame in alice.all(Ok)] == [3, 4]


def test_a_message_to_a_peer_that_left_is_answered_at_once(world: World) -> None:
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    bob.cut(1000)
    alice.say(SendSignal(id=3, to=bob.peer, data=OFFER))
    alice.say(SendSignal(to=bob.peer, data=OFFER))
    alice.say(message(alice.peer, "to myself", id=4))
    assert [(error.code, error.re) for error in alice.all(Error)[::2]] == [("peer_not_found", 3), ("peer_not_found", 4)]


def test_a_broadcast_says_which_room_when_there_are_several(world: World) -> None:
    alice = world.enter("alice", "a")
    bob = world.enter("bob", "b")
    alice.join("b")
    alice.say(message("*", 1, id=5))
    assert alice.errors == ["room_required"]
    alice.say(message("*", 1, id=6, room="b"))
    assert len(bob.all(ServerMessage)) == 1


def test_whoever_may_not_message_may_still_negotiate(world: World) -> None:
    """SG-13: a grant that is not there."""
    world.admissions["quiet"] = allow("quiet", grants=DEFAULT_GRANTS - {Grant.MESSAGE})
    bob, quiet = world.enter("bob", "r"), world.enter("quiet", "r")
    quiet.say(message("*", 1, id=3))
    assert quiet.errors == ["forbidden"]
    quiet.say(SendSignal(id=4, to=bob.peer, data=OFFER))
    assert bob.all(ServerSignal)
    assert not bob.all(ServerMessage)


def test_a_repeat_with_the_same_key_is_answered_and_not_passed_on(world: World) -> None:
    """OP-10: an idempotency key makes a repeat harmless."""
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    for number in (3, 4, 5):
        alice.say(message("*", number, id=number, key="once"))
        alice.say(SendSignal(id=number + 10, to=bob.peer, data=OFFER, key="too"))
    assert [bytes(frame.data) for frame in bob.all(ServerMessage)] == [b"3"]
    assert len(bob.all(ServerSignal)) == 1
    assert [frame.re for frame in alice.all(Ok)] == [3, 13, 4, 14, 5, 15]


def test_what_was_refused_may_be_tried_again_with_its_key(world: World) -> None:
    alice = world.enter("alice", "r")
    alice.say(message("p_nobody", 1, id=3, key="k"))
    bob = world.enter("bob", "r")
    alice.say(message(bob.peer, 1, id=4, key="k"))
    assert bob.all(ServerMessage)


def test_leaving_is_told_to_those_who_stay(world: World) -> None:
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    alice.say(Leave(id=3, room="r"))
    alice.say(Leave(id=4, room="elsewhere"))
    assert [frame.re for frame in alice.all(Ok)] == [3, 4]
    assert not alice.all(Left)
    assert (bob.last(PeerLeft).peer, bob.last(PeerLeft).reason) == (alice.peer, LeftReason.CLOSED)
    assert isinstance(alice.join("r", frame_id=5), Joined)
    assert alice.last(Joined).peers[0].polite


def test_a_close_that_was_meant_is_seen_at_once_and_a_break_after_a_minute(world: World) -> None:
    watcher, tidy, broken = (world.enter(name, "r") for name in ("watcher", "tidy", "broken"))
    tidy.cut(1000)
    broken.cut(1006)
    assert [frame.peer for frame in watcher.all(PeerLeft)] == [tidy.peer]
    world.advance(59.0)
    assert len(watcher.all(PeerLeft)) == 1
    world.advance(2.0)
    assert (watcher.last(PeerLeft).peer, watcher.last(PeerLeft).reason) == (broken.peer, LeftReason.TIMEOUT)


def test_rooms_and_memberships_are_bounded() -> None:
    world = World(SignalingLimits(peers_per_room=3, rooms_per_session=2))
    clients = [world.enter(f"user-{number}", "r") for number in range(3)]
    late = world.enter("late")
    error = late.join("r")
    assert isinstance(error, Error)
    assert (error.code, error.retryable) == ("room_full", True)
    clients[0].cut(1000)
    assert isinstance(late.join("r", frame_id=3), Joined)
    late.join("s", frame_id=4)
    assert isinstance(late.join("t", frame_id=5), Error)
    assert late.errors[-1] == "too_many_rooms"
    assert isinstance(late.join("s", frame_id=6), Joined)
    world.admissions["narrow"] = allow("narrow", limits=AdmissionLimits(rooms=1))
    narrow = world.enter("narrow", "x")
    assert isinstance(narrow.join("y"), Error)


def test_moderators_lock_rooms_and_enter_locked_ones(world: World) -> None:
    mod = world.enter("mod", "r")
    alice = world.enter("alice", "r")
    mod.say(Lock(id=3, room="r"))
    assert alice.last(RoomUpdated).locked
    late = world.enter("late")
    error = late.join("r")
    assert isinstance(error, Error)
    assert error.code == "room_locked"
    world.admissions["mod-2"] = allow("mod-2", grants=MODERATOR)
    second = world.enter("mod-2", "r")
    assert second.last(Joined).locked
    mod.say(Lock(id=4, room="r", locked=False))
    assert isinstance(late.join("r", frame_id=3), Joined)


def test_moderators_remove_others(world: World) -> None:
    """SG-13: kick by whoever may not is refused."""
    mod, alice, bob = (world.enter(name, "r") for name in ("mod", "alice", "bob"))
    bob.say(Kick(id=3, room="r", peer=alice.peer))
    bob.say(Lock(id=4, room="r"))
    bob.say(Close(id=5, room="r"))
    assert bob.errors == ["forbidden"] * 3
    mod.say(Kick(id=3, room="r", peer=alice.peer, reason="noise"))
    assert (alice.last(Left).reason, alice.last(Left).message) == (LeftReason.KICKED, "noise")
    assert alice.closed is None
    assert (bob.last(PeerLeft).peer, bob.last(PeerLeft).reason) == (alice.peer, LeftReason.KICKED)
    mod.say(Kick(id=4, room="r", peer=alice.peer))
    assert mod.errors == ["peer_not_found"]
    mod.say(Close(id=5, room="r", reason="night"))
    assert bob.last(Left).reason is LeftReason.ROOM_CLOSED
    assert mod.last(Left).message == "night"


def test_a_moderator_of_one_room_is_none_in_another(world: World) -> None:
    """SG-13: cross-tenant."""
    world.admissions["mod"] = allow("mod", "mine", grants=MODERATOR)
    alice = world.enter("alice", "theirs")
    mod = world.enter("mod", "mine")
    mod.say(Kick(id=3, room="theirs", peer=alice.peer))
    mod.say(Close(id=4, room="theirs"))
    assert mod.errors == ["forbidden", "forbidden"]
    assert not alice.all(Left)


def test_operators_see_which_program_somebody_uses_and_others_do_not() -> None:
    world = World()
    bob = world.enter("bob", "r")
    alice, program = world.connect(), ClientInfo(name="phone", version="1.2")
    alice.say(Hello(id=1, token="alice", client=program))
    alice.join("r")
    [room] = world.hub.moderation.rooms()
    assert {peer.identity: peer.client for peer in room.peers} == {"bob": None, "alice": program}
    assert b"phone" not in msgspec.json.encode(bob.frames)


def test_hooks_decide_about_joins_and_messages_and_order_is_kept() -> None:
    world = World(ask_join=True, ask_message=True)
    no = Refusal(code=CloseCode.DENIED, error="swearing", reason="language!")
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    world.decide = None
    for number, text in enumerate(("one", "bad", "three")):
        alice.say(message("*", text, id=number + 10))
    alice.say(SendSignal(id=20, to=bob.peer, data=OFFER))
    assert not bob.all(ServerMessage)
    asked = []
    while (waiting := [one for one in world.commands if isinstance(one, AskMessage)]) != []:
        world.commands.remove(waiting[0])
        frame = waiting[0].frame
        assert not isinstance(frame, Update)
        asked.append((waiting[0].room, frame.to, waiting[0].session.identity))
        refusal = no if isinstance(frame, SendMessage) and b"bad" in bytes(frame.data) else None
        world.hub.provide_decision(waiting[0].decision, refusal, world.now)
        world.drain()
    assert [bytes(frame.data) for frame in bob.all(ServerMessage)] == [b'"one"', b'"three"']
    assert isinstance(bob.frames[-1], ServerSignal)
    assert alice.errors == ["swearing"]
    assert asked == [("r", "*", "alice")] * 3 + [("r", bob.peer, "alice")]


def test_a_hook_that_does_not_answer_is_a_no_and_frees_what_waits() -> None:
    """SG-3: fails closed after a second; others are not held up."""
    world = World(ask_join=True)
    world.decide = None
    alice, bob = world.connect().hello("alice"), world.connect().hello("bob")
    alice.say(Join(id=2, room="r"))
    alice.say(Join(id=3, room="s"))
    bob.say(Join(id=2, room="r"))
    first = [one for one in world.commands if isinstance(one, AskJoin)]
    world.hub.provide_decision(first[1].decision, None, world.now)
    world.drain()
    assert bob.all(Joined)
    world.advance(1.01)
    assert [(error.code, error.re) for error in alice.all(Error)] == [("hook_timeout", 2)]
    world.hub.provide_decision(first[0].decision, None, world.now)
    world.drain()
    assert not alice.all(Joined)
    world.advance(1.01)
    assert [error.re for error in alice.all(Error)] == [2, 3]


def test_a_decision_for_somebody_who_is_gone_changes_nothing() -> None:
    """SG-16: join races with a disconnect; presence stays empty."""
    world = World(ask_join=True)
    world.decide = None
    alice = world.enter("alice", "")
    alice.say(Join(id=2, room="r"))
    alice.cut(1000)
    [asked] = [one for one in world.commands if isinstance(one, AskJoin)]
    world.hub.provide_decision(asked.decision, None, world.now)
    world.drain()
    assert world.hub.empty
    assert world.broker.empty


def test_disconnects_in_every_moment_of_a_join_leave_nothing() -> None:
    """SG-16: 10^4 joins and leaves, with breaks in between: presence and rooms drain to zero."""
    world = World()
    for number in range(2500):
        alice = world.connect()
        if number % 5:
            alice.hello(f"user-{number % 7}")
        if number % 3:
            alice.say(Join(id=2, room=f"r{number % 4}"))
        if number % 2:
            alice.say(Leave(id=3, room=f"r{number % 4}"))
        alice.cut(1006 if number % 11 == 0 else 1000)
    world.advance(61.0)
    assert world.hub.empty
    assert world.broker.empty


def test_entering_and_leaving_are_events(world: World) -> None:
    alice = world.enter("alice", "r")
    alice.say(Leave(id=3, room="r"))
    kinds = [(type(event), event.room) for event in world.events if isinstance(event, PeerEntered | PeerDeparted)]
    assert kinds == [(PeerEntered, "r"), (PeerDeparted, "r")]


# Relay only.

HOST = "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"
REFLEXIVE = "candidate:2 1 udp 1694498815 198.51.100.7 5000 typ srflx raddr 192.0.2.7 rport 5000"
RELAYED = "candidate:3 1 udp 16777215 203.0.113.5 49160 typ relay raddr 198.51.100.7 rport 5000 generation 0"


def trickle(sender: Connected, receiver: Connected) -> list[str]:
    for line in (HOST, REFLEXIVE, RELAYED):
        sender.say(SendSignal(to=receiver.peer, data=SignalData(candidate=CandidateInit(candidate=line, sdp_mid="0"))))
    sender.say(SendSignal(to=receiver.peer, data=SignalData(candidate=None)))
    candidates = [frame.data.candidate for frame in receiver.all(ServerSignal)]
    return [one.candidate if isinstance(one, CandidateInit) else str(one) for one in candidates]


def test_a_relay_only_room_passes_on_no_address() -> None:
    """SG-13: nobody learns where anybody is, whatever the clients send."""
    world = World(rules=(RoomRule(room="private-*", relay_only=True),))
    alice, bob = world.enter("alice", "private-1"), world.enter("bob", "private-1")
    assert bob.last(Joined).ice_transport_policy == "relay"
    hidden = RELAYED.replace("198.51.100.7", "0.0.0.0").replace("rport 5000", "rport 9")
    assert trickle(alice, bob) == [hidden, "None"]
    assert not alice.errors


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_relay_only_user_tells_no_address_and_is_told_none(who: str) -> None:
    world = World()
    world.admissions[who] = allow(who, ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY))
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    assert len(trickle(alice, bob)) == 2


def test_an_open_room_passes_on_what_it_gets(world: World) -> None:
    assert trickle(world.enter("alice", "r"), world.enter("bob", "r")) == [HOST, REFLEXIVE, RELAYED, "None"]


def test_a_description_that_does_not_parse_is_not_passed_on_where_nothing_may_be_told() -> None:
    world = World(rules=(RoomRule(room="p", relay_only=True),))
    alice, bob = world.enter("alice", "p"), world.enter("bob", "p")
    sdp = f"c=IN IP4 192.0.2.7\r\na={HOST}\r\n"
    alice.say(
        SendSignal(id=3, to=bob.peer, data=SignalData(description=Description(type=DescriptionType.OFFER, sdp=sdp)))
    )
    assert alice.errors == ["bad_description"]
    assert not bob.all(ServerSignal)


RELAY = IcePolicy(transport_policy=IceTransportPolicy.RELAY)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_policy_that_a_hook_puts_in_place_of_the_tokens_is_kept_to(who: str) -> None:
    """SG-13: what `before_ice` says counts for what is passed on, both ways, and not only for the servers."""
    world = World()
    world.relay_only = who == "alice"
    alice = world.enter("alice", "r")
    world.relay_only = who == "bob"
    bob = world.enter("bob", "r")
    assert len(trickle(alice, bob)) == 2
    told = [client.last(Joined).ice_transport_policy for client in (alice, bob)]
    assert told == (["relay", msgspec.UNSET] if who == "alice" else [msgspec.UNSET, "relay"])


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_whoever_becomes_relay_only_tells_no_address_and_is_told_none_from_then_on(who: str, nodes: int) -> None:
    """SG-13: by a refresh, while he is in the room; the others' nodes know as well."""
    world = World(nodes=nodes)
    world.ice = IceServersBody(ice_servers=(), ice_transport_policy="all", ttl=600)
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r", node=f"node-{nodes - 1}")
    world.admissions["narrow"] = allow(who, ice=RELAY)
    world.admissions["wide"] = allow(who)
    changed = alice if who == "alice" else bob
    changed.say(Refresh(id=5, token="narrow"))
    assert isinstance(changed.frames[-1], RoomUpdated | Ice)
    assert (changed.last(RoomUpdated).locked, changed.last(RoomUpdated).ice_transport_policy) == (False, "relay")
    assert len(changed.all(Ice)) == 1
    assert len(trickle(alice, bob)) == 2
    changed.say(Refresh(id=6, token="narrow"))
    assert (len(changed.all(RoomUpdated)), len(changed.all(Ice))) == (1, 1)
    changed.say(Refresh(id=7, token="wide"))
    assert changed.last(RoomUpdated).ice_transport_policy is msgspec.UNSET
    assert len(trickle(alice, bob)) == 2 + 4
    other = bob if changed is alice else alice
    assert not other.all(RoomUpdated)


def test_fresh_servers_may_come_with_another_policy(world: World) -> None:
    """SG-13: a hook that says `relay` when most of the life of the servers is over."""
    world.ice = IceServersBody(ice_servers=(), ice_transport_policy="all", ttl=600)
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    world.relay_only = True
    world.advance(481.0)
    assert alice.all(Ice)
    assert alice.last(RoomUpdated).ice_transport_policy == "relay"
    assert len(trickle(alice, bob)) == 2


def test_a_room_that_becomes_relay_only_tells_everybody_in_it(world: World) -> None:
    """SG-13: whoever is there has to know why nothing but relays is passed on."""
    world.admissions["bob"] = allow("bob", ice=RELAY)
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    moderation = world.hub.moderation
    moderation.configure("r", RoomOptions(kept=True, relay_only=True), world.now)
    world.drain()
    for client in (alice, bob):
        assert (client.last(RoomUpdated).locked, client.last(RoomUpdated).ice_transport_policy) == (False, "relay")
    assert len(trickle(alice, bob)) == 2
    moderation.configure("r", RoomOptions(), world.now)
    world.drain()
    assert [client.last(RoomUpdated).ice_transport_policy for client in (alice, bob)] == [msgspec.UNSET, "relay"]


# Grants of media.

SECTION = "m={} 9 UDP/TLS/RTP/SAVPF 111\r\n{}"


def described(kind: str, *lines: str) -> SignalData:
    session = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    sdp = session + SECTION.format(kind, "".join(f"a={one}\r\n" for one in lines))
    return SignalData(description=Description(type=DescriptionType.OFFER, sdp=sdp))


@pytest.mark.parametrize(
    ("grants", "passes"),
    [
        ({Grant.PUBLISH, Grant.SUBSCRIBE}, {"sendrecv", "sendonly", "recvonly", "inactive", ""}),
        ({Grant.PUBLISH}, {"sendonly", "inactive"}),
        ({Grant.SUBSCRIBE}, {"recvonly", "inactive"}),
        (set(), {"inactive"}),
    ],
)
def test_a_description_goes_only_the_ways_that_are_granted(world: World, grants: set[Grant], passes: set[str]) -> None:
    """SG-13: `publish` and `subscribe`, by the direction of each section."""
    world.admissions["alice"] = allow("alice", grants=frozenset({Grant.JOIN, *grants}))
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    for direction in ("sendrecv", "sendonly", "recvonly", "inactive", ""):
        heard, errors = len(bob.all(ServerSignal)), len(alice.errors)
        alice.say(SendSignal(id=9, to=bob.peer, data=described("audio", *([direction] if direction else []))))
        assert (len(bob.all(ServerSignal)) > heard) is (direction in passes), direction
        assert alice.errors[errors:] == ([] if direction in passes else ["forbidden"])


def test_no_second_direction_and_no_other_kind_gets_round_the_grants(world: World) -> None:
    """SG-13: readers take the first, or the last; and a description that does not parse says nothing."""
    world.admissions["alice"] = allow("alice", grants=frozenset({Grant.JOIN, Grant.SUBSCRIBE}))
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    odd = SignalData(description=Description(type=DescriptionType.OFFER, sdp="m=audio\r\n"))
    twice, other, loud = (
        described("audio", "recvonly", "sendrecv"),
        described("application"),
        described("video", "SENDRECV"),
    )
    for data in (twice, other, loud, odd):
        alice.say(SendSignal(id=9, to=bob.peer, data=data))
    assert not bob.all(ServerSignal)
    assert alice.errors == ["forbidden", "forbidden", "forbidden", "bad_description"]
    channel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    data_only = described("audio", "inactive").description
    assert isinstance(data_only, Description)
    with_channel = msgspec.structs.replace(data_only, sdp=data_only.sdp + channel)
    alice.say(SendSignal(id=9, to=bob.peer, data=SignalData(description=with_channel)))
    alice.say(SendSignal(id=9, to=bob.peer, data=SignalData(candidate=None)))
    assert len(bob.all(ServerSignal)) == 2


# Updates.


def test_what_somebody_says_of_himself_is_counted_and_asked_about_as_what_he_says(world: World) -> None:
    """SG-12, SG-3: `update` goes to a whole room, and gets round neither the rates nor the hook."""
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    rules = world.frame_rules
    rules.wait = 5.0
    alice.say(Update(id=3, room="r", meta=encode_json({"a": 1})))
    assert rules.counted[-1] == ("alice", "r", "update")
    assert (alice.errors, alice.last(Error).after) == (["rate_limited"], 5.0)
    rules.wait, rules.asks_about_messages = None, True
    world.decide = lambda _: Refusal(code=CloseCode.DENIED, error="language")
    alice.say(Update(id=4, room="r", meta=encode_json({"a": 2})))
    assert not bob.all(PeerUpdated)
    world.decide = lambda _: None
    alice.say(Update(id=5, room="r", meta=encode_json({"a": 3})))
    assert bytes(bob.last(PeerUpdated).meta) == b'{"a":3}'
    alice.say(Update(id=6, room="elsewhere", meta=encode_json({})))
    assert alice.errors == ["rate_limited", "language", "not_in_room"]


# Administrators.


def test_administrators_see_and_do_what_moderators_do(world: World) -> None:
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    moderation = world.hub.moderation
    [room] = moderation.rooms()
    assert (room.room, {presence.identity for presence in room.peers}) == ("r", {"alice", "bob"})
    assert moderation.room("nowhere") is None
    assert moderation.lock("r", True, world.now)
    assert moderation.send("r", encode_json({"notice": 1}), world.now)
    assert moderation.send("r", encode_json(2), world.now, alice.peer)
    assert moderation.kick("r", alice.peer, "bye", world.now)
    world.drain()
    assert bob.last(RoomUpdated).locked
    assert [bytes(frame.data) for frame in alice.all(ServerMessage)] == [b'{"notice":1}', b"2"]
    assert "from" not in str(bob.last(ServerMessage).sender)
    assert alice.last(Left).reason is LeftReason.KICKED
    for missed in (
        moderation.kick("r", alice.peer, "", world.now),
        moderation.kick("nowhere", alice.peer, "", world.now),
        moderation.send("nowhere", encode_json(1), world.now),
        moderation.send("r", encode_json(1), world.now, "p_nobody"),
        moderation.lock("nowhere", False, world.now),
        moderation.close_room("nowhere", "", world.now),
    ):
        assert not missed
    assert moderation.close_room("r", "over", world.now)
    world.drain()
    assert bob.last(Left).message == "over"


def test_a_room_that_an_administrator_locked_stays_locked_while_it_is_empty(world: World) -> None:
    moderation = world.hub.moderation
    assert moderation.lock("r", True, world.now)
    alice = world.enter("alice")
    assert isinstance(alice.join("r"), Error)
    assert moderation.lock("r", False, world.now)
    assert moderation.rooms() == []
    moderation.configure("r", RoomOptions(kept=True, relay_only=True, max_peers=1), world.now)
    assert isinstance(alice.join("r"), Joined)
    assert alice.last(Joined).ice_transport_policy == "relay"
    bob = world.enter("bob")
    assert isinstance(bob.join("r"), Error)
    assert moderation.close_room("r", "", world.now)
    world.drain()
    assert moderation.rooms() == []


# Several nodes.


def test_a_room_spans_nodes_and_all_see_one_order() -> None:
    world = World(nodes=3)
    clients = [world.enter(f"user-{number}", "r", node=f"node-{number % 3}") for number in range(6)]
    for number in range(30):
        clients[number % 6].say(message("*", number))
    seen = [[int(bytes(frame.data)) for frame in client.all(ServerMessage)] for client in clients]
    for number, client_saw in enumerate(seen):
        assert client_saw == [value for value in range(30) if value % 6 != number]
    clients[0].say(SendSignal(id=9, to=clients[1].peer, data=OFFER))
    assert clients[1].last(ServerSignal).sender == clients[0].peer
    clients[2].cut(1000)
    assert all(client.last(PeerLeft).peer == clients[2].peer for client in clients if client is not clients[2])


@pytest.mark.parametrize("seed", range(8))
def test_joins_that_are_answered_late_race_with_leaves_and_ends(seed: int) -> None:
    """SG-16: whatever overtakes whatever, presence and rooms go back to zero."""
    world = LateWorld(seed, nodes=2)
    clients: list[Connected] = []
    for number in range(200):
        client = world.connect(f"node-{number % 2}").hello(f"user-{world.dice.randrange(12)}")
        clients.append(client)
        for frame_id in range(2, 6):
            if client.closed is None:
                room = f"r{world.dice.randrange(3)}"
                moves = (Join(id=frame_id, room=room), Leave(id=frame_id, room=room), message("*", 1, room=room))
                client.say(world.dice.choice(moves))
        if world.dice.random() < 0.5 and client.closed is None:
            client.cut(world.dice.choice((1000, 1006)))
    for client in clients:
        if client.closed is None and client.id in world.connections:
            client.cut(1000)
    world.catch_up()
    world.advance(61.0)
    assert all(hub.empty for hub in world.hubs.values())
    assert world.broker.empty


def test_an_identity_is_superseded_across_nodes() -> None:
    world = World(nodes=2)
    old = world.enter("alice", "r", node="node-0")
    world.enter("alice", "r", node="node-1")
    assert old.goodbye.code == CloseCode.SUPERSEDED


def test_peers_of_a_dead_node_leave_when_its_lease_is_over() -> None:
    world = World(nodes=2)
    alice, bob = world.enter("alice", "r", node="node-0"), world.enter("bob", "r", node="node-1")
    world.kill("node-1")
    world.advance(LEASE + 15.0)
    assert (alice.last(PeerLeft).peer, alice.last(PeerLeft).reason) == (bob.peer, LeftReason.NODE_LOST)
    assert len(world.hub.moderation.rooms()[0].peers) == 1


def test_a_node_that_was_taken_for_dead_starts_over() -> None:
    """OP-5: no split brain when a stopped process goes on."""
    world = World(nodes=2)
    alice, bob = world.enter("alice", "r", node="node-0"), world.enter("bob", "r", node="node-1")
    stopped = world.hubs.pop("node-1")
    world.advance(LEASE + 15.0)
    assert alice.all(PeerLeft)
    world.hubs["node-1"] = stopped
    world.advance(11.0)
    assert bob.goodbye.code == CloseCode.INTERNAL
    assert bob.goodbye.reconnect
    again = world.enter("bob", "r", node="node-1")
    assert alice.last(PeerJoined).peer == again.peer
