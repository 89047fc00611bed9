"""Connections and sessions: who gets in, who stays, and how it ends."""

from __future__ import annotations

import pytest

from icelane.signaling.admitted import Admission, AdmissionLimits, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.hub_event import Admit, ConnectionEnded, IssueIce, SessionStarted
from icelane.signaling.limits import MAX_WAITING_FRAMES, SignalingLimits
from icelane.signaling.messages import (
    ClientPing,
    ClientPong,
    Error,
    Hello,
    Ice,
    IceServer,
    IceServersBody,
    Join,
    Joined,
    Left,
    LeftReason,
    Ok,
    PeerJoined,
    PeerLeft,
    Refresh,
    Resume,
    SendMessage,
    ServerMessage,
    ServerPing,
    ServerPong,
    Welcome,
    encode_json,
)
from tests.signaling.hub_world import World, allow


def test_whoever_is_admitted_is_welcomed_and_told_his_bounds() -> None:
    world = World()
    alice = world.connect().hello("alice")
    welcome = alice.welcome
    assert (welcome.re, welcome.identity, welcome.resumed, welcome.ping) == (1, "alice", False, 25.0)
    assert welcome.session.startswith("s_")
    assert welcome.peer.startswith("p_")
    assert welcome.limits.frame == 65_536
    assert [type(event) for event in world.events] == [SessionStarted]


def test_whoever_is_refused_is_told_why_before_the_close() -> None:
    """SG-4: the hook decides after the WebSocket is open and before any session exists."""
    world = World()
    world.admissions["eve"] = Refusal(code=CloseCode.DENIED, error="banned", reason="ask the office", retry_after=3.0)
    eve = world.connect().hello("eve")
    assert (eve.goodbye.code, eve.goodbye.reason, eve.goodbye.message) == (4403, "banned", "ask the office")
    assert (eve.goodbye.reconnect, eve.goodbye.after) == (False, 3.0)
    assert eve.closed is not None
    assert eve.closed.code == 4403
    assert not [event for event in world.events if isinstance(event, SessionStarted)]
    assert world.hub.empty


def test_whoever_is_refused_without_a_reason_is_told_what_the_word_means() -> None:
    world = World()
    world.admissions["eve"] = Refusal(code=CloseCode.DENIED, error="denied")
    eve = world.connect().hello("eve")
    assert (eve.goodbye.reason, eve.goodbye.message) == ("denied", ErrorCode.DENIED.message)
    world.admissions["own"] = Refusal(code=CloseCode.DENIED, error="a_word_of_the_hook")
    assert world.connect().hello("own").goodbye.message == ""


def test_an_admission_that_is_over_admits_nobody() -> None:
    """SG-13: what the token granted is over."""
    world = World()
    world.admissions["late"] = allow("late", expires_in=-1.0)
    late = world.connect().hello("late")
    assert late.goodbye.code == CloseCode.TOKEN_EXPIRED
    assert late.goodbye.reconnect
    assert world.hub.empty


def test_whoever_says_nothing_is_gone_after_ten_seconds() -> None:
    """SG-11: an unauthenticated connection is closed within 10 s."""
    world = World()
    silent = world.connect()
    world.advance(9.9)
    assert silent.closed is None
    world.advance(0.2)
    assert silent.goodbye.code == CloseCode.TIMEOUT
    assert world.hub.empty


def test_pings_before_hello_do_not_keep_a_connection() -> None:
    """SG-11: pings are no hello."""
    world = World()
    silent = world.connect()
    for _ in range(11):
        silent.say(ClientPing())
        world.advance(1.0)
    assert silent.goodbye.code == CloseCode.TIMEOUT


def test_an_admission_that_takes_for_ever_is_a_refusal() -> None:
    """SG-3: nobody answers, so nobody gets in, and nothing is left behind."""
    world = World()
    world.admits = False
    waiting = world.connect().hello("alice")
    world.advance(10.1)
    assert waiting.goodbye.code == CloseCode.INTERNAL
    command = world.commands[0]
    assert isinstance(command, Admit)
    world.hub.provide_admission(command.decision, allow("alice"), None, world.now)  # too late
    world.drain()
    assert not waiting.all(Welcome)
    assert world.hub.empty


def test_connections_without_a_hello_are_bounded_and_others_still_get_in() -> None:
    """SG-11: what waits for a hello has a bound of its own."""
    world = World(SignalingLimits(waiting_for_hello=10))
    idle = [world.connect() for _ in range(10)]
    late = world.connect()
    assert late.goodbye.code == CloseCode.DRAINING
    assert late.goodbye.after == 10.0
    idle[0].cut()
    assert world.enter("alice").welcome.identity == "alice"
    world.advance(11.0)
    assert all(one.closed for one in idle[1:])
    assert [world.enter(f"user-{number}").welcome for number in range(20)]


def test_sessions_are_bounded() -> None:
    world = World(SignalingLimits(sessions=2))
    world.enter("a")
    world.enter("b")
    assert world.connect().hello("c").goodbye.reason == "busy"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"type":"shutdown"}',
        '{"type":"welcome"}',
        '{"type":"join"}',
        '{"type":"join","id":0,"room":"r"}',
        '{"type":"join","id":1e400,"room":"r"}',
        '{"type":"join","id":2,"room":""}',
        '{"type":"join","id":2,"room":"*"}',
        '{"type":"join","id":2,"room":"a\\u0000"}',
        '{"type":"join","id":2,"room":"a\\n"}',
        '{"type":"join","id":2,"room":7}',
        '{"type":"join","id":2,"room":"' + "r" * 129 + '"}',
        '{"type":"join","id":2,"room":"r","meta":[]}',
        '{"type":"join","id":2,"room":"r","meta":{"a":"' + "x" * 5000 + '"}}',
        '{"type":"message","to":"*","data":NaN}',
        '{"type":"message","to":"*","data":"\\ud800"}',
        '{"type":"message","to":"*","data":1e999}',
        '{"type":"message","to":"*","data":' + "9" * 50_000 + "}",
        '{"type":"message","to":"*","data":' + "[" * 30_000 + "]" * 30_000 + "}",
        '{"type":"message","to":"*","data":' + '{"a":' * 65 + "1" + "}" * 65 + "}",
        '{"type":"message","to":"*"}',
        '{"type":"message","to":"*","data":1,"key":"' + "k" * 65 + '"}',
        '{"type":"signal","to":"p","data":{}}',
        '{"type":"signal","to":"p","data":{"description":{"type":"bye"}}}',
        '{"type":"signal","to":"p","data":{"candidate":7}}',
        '{"type":"hello","id":2}',
        '{"type":"ping","id":null}',
    ],
)
def test_a_frame_that_is_none_ends_its_connection_and_nobody_elses(text: str) -> None:
    """SG-9: malformed frames get the documented code; others do not notice."""
    world = World()
    bob = world.enter("bob", "r")
    eve = world.enter("eve", "r")
    eve.say(text)
    assert eve.goodbye.code == CloseCode.BAD_FRAME
    assert not eve.goodbye.reconnect
    assert [type(frame) for frame in bob.frames[2:]] == [PeerJoined, PeerLeft]
    assert bob.closed is None


def test_a_duplicate_key_is_read_as_everybody_else_reads_what_is_passed_on() -> None:
    """SG-9: what is passed on is JSON written by us, so that two parsers cannot differ about it."""
    world = World()
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    alice.say('{"type":"message","to":"*","data":{"a":1,"a":2}}')
    assert bytes(bob.last(ServerMessage).data) == b'{"a":2}'


def test_the_first_frame_is_hello_and_no_other_is() -> None:
    world = World()
    first = world.connect()
    first.say(Join(id=1, room="r"))
    assert first.goodbye.reason == "hello_required"
    second = world.enter("alice")
    second.say(Hello(id=2, token="alice"))
    assert second.goodbye.reason == "hello_repeated"
    assert world.hub.empty


def test_frames_behind_hello_wait_for_the_welcome() -> None:
    world = World()
    world.admits = False
    alice = world.connect().hello("alice")
    alice.say(Join(id=2, room="r"))
    alice.say(SendMessage(id=3, to="*", data=encode_json("hi")))
    command = world.commands[0]
    assert isinstance(command, Admit)
    world.hub.provide_admission(command.decision, allow("alice"), None, world.now)
    world.drain()
    assert [type(frame) for frame in alice.frames] == [Welcome, Joined, Ok]


def test_frames_that_wait_are_bounded() -> None:
    world = World()
    world.admits = False
    alice = world.connect().hello("alice")
    for number in range(MAX_WAITING_FRAMES + 1):
        alice.say(Join(id=number + 2, room=f"r{number}"))
    assert alice.goodbye.code == CloseCode.RATE_LIMITED


def test_a_flood_closes_the_one_who_floods() -> None:
    """SG-12: 50 frames a second after a burst of 200; then 4429 with the wait, and others hear nothing of it."""
    world = World()
    bob = world.enter("bob", "r")
    eve = world.enter("eve", "r")
    sent = 0
    while eve.closed is None:
        eve.say(SendMessage(to="*", data=encode_json(sent)))
        sent += 1
        assert sent < 1000
    assert 195 <= sent <= 200
    assert eve.goodbye.code == CloseCode.RATE_LIMITED
    assert eve.goodbye.after == pytest.approx(2.0, abs=0.1)
    assert eve.goodbye.reconnect
    assert len(bob.all(ServerMessage)) == sent - 1


def test_a_flood_of_pings_is_a_flood() -> None:
    """SG-14: pings count as frames."""
    world = World()
    eve = world.enter("eve")
    for _ in range(300):
        eve.say(ClientPing(id=1))
    assert eve.goodbye.code == CloseCode.RATE_LIMITED


def test_coming_back_does_not_fill_the_bucket_again() -> None:
    """SG-12: a resume brings no new burst."""
    world = World()
    eve = world.enter("eve")
    for _ in range(198):
        eve.say(ClientPing())
    eve.cut()
    again = world.connect().hello("eve", Resume(session=eve.welcome.session, seq=0))
    assert again.welcome.resumed
    for _ in range(3):
        again.say(ClientPing())
    assert again.goodbye.code == CloseCode.RATE_LIMITED


def test_an_admission_may_have_bounds_of_its_own() -> None:
    world = World()
    world.admissions["slow"] = allow("slow", limits=AdmissionLimits(frames_per_second=1.0, frame_burst=5))
    slow = world.enter("slow")
    assert slow.welcome.limits.frame_burst == 5
    for _ in range(6):
        slow.say(ClientPing())
    assert slow.goodbye.code == CloseCode.RATE_LIMITED


def test_a_ping_is_answered() -> None:
    world = World()
    alice = world.enter("alice")
    alice.say(ClientPing(id=9))
    assert alice.last(ServerPong).re == 9


def test_an_idle_connection_stays_for_a_day_by_pings() -> None:
    """SG-14: 24 h."""
    world = World()
    alice = world.enter("alice")
    world.advance(24 * 3600)
    assert alice.closed is None
    assert len(alice.all(ServerPing)) >= 3400


def test_whoever_does_not_answer_a_ping_is_closed_and_may_resume() -> None:
    """SG-14: no pong within 10 s."""
    world = World()
    bob = world.enter("bob", "r")
    alice = world.enter("alice", "r")
    alice.answers_pings = False
    world.advance(34.9)
    assert alice.closed is None
    world.advance(0.2)
    assert alice.goodbye.code == CloseCode.TIMEOUT
    assert not bob.all(PeerLeft)
    assert world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0)).welcome.resumed


def test_what_was_granted_ends_when_it_expires() -> None:
    """SG-13: after expiry nothing goes on."""
    world = World()
    world.admissions["alice"] = allow("alice", expires_in=100.0)
    bob = world.enter("bob", "r")
    alice = world.enter("alice", "r")
    assert alice.welcome.expires_at == "2027-01-15T08:01:40Z"
    world.advance(99.0)
    assert alice.closed is None
    world.advance(1.1)
    assert alice.goodbye.code == CloseCode.TOKEN_EXPIRED
    assert bob.last(PeerLeft).reason is LeftReason.EXPIRED
    resumed = world.connect().hello("bobby", Resume(session=alice.welcome.session, seq=0))
    assert not resumed.welcome.resumed


def test_a_step_of_the_wall_clock_moves_the_expiry_and_nothing_else() -> None:
    """OP-7: only what depends on the calendar moves; SG-13: and it is noticed within a minute."""
    world = World()
    world.admissions["alice"] = allow("alice", expires_in=3600.0)
    alice = world.enter("alice")
    world.clock.step_wall(-3600.0)
    world.advance(3700.0)
    assert alice.closed is None
    world.clock.step_wall(3600.0)
    world.advance(61.0)
    assert alice.goodbye.code == CloseCode.TOKEN_EXPIRED


def test_a_refresh_keeps_the_session_and_cannot_change_the_identity() -> None:
    """SG-13: refresh cannot change who somebody is."""
    world = World()
    world.admissions["alice"] = allow("alice", expires_in=100.0)
    world.admissions["alice-2"] = allow("alice", expires_in=200.0)
    world.admissions["expired"] = allow("alice", expires_in=-5.0)
    alice = world.enter("alice", "r")
    alice.say(Refresh(id=7, token="bob"))
    assert alice.last(Error).code == "identity_changed"
    alice.say(Refresh(id=8, token="expired"))
    assert alice.last(Error).code == "token_expired"
    alice.say(Refresh(id=9, token="alice-2"))
    assert (alice.last(Ok).re, alice.last(Ok).expires_at) == (9, "2027-01-15T08:03:20Z")
    world.advance(150.0)
    assert alice.closed is None
    world.advance(51.0)
    assert alice.goodbye.code == CloseCode.TOKEN_EXPIRED


def test_a_refresh_that_grants_less_takes_out_of_rooms() -> None:
    """SG-13: what a token does not cover any more is over."""
    world = World()
    world.admissions["less"] = allow("alice", "b")
    alice = world.enter("alice", "a")
    alice.join("b")
    alice.say(Refresh(id=9, token="less"))
    assert (alice.last(Left).room, alice.last(Left).reason) == ("a", LeftReason.EXPIRED)
    error = alice.join("a")
    assert isinstance(error, Error)
    assert error.code == "forbidden"


def test_a_refused_refresh_leaves_things_as_they_are() -> None:
    world = World()
    world.admissions["bad"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_invalid", reason="no")
    alice = world.enter("alice", "r")
    alice.say(Refresh(id=9, token="bad"))
    assert alice.errors == ["token_invalid"]
    assert alice.closed is None


def test_a_newer_session_of_the_same_identity_takes_over() -> None:
    world = World()
    bob = world.enter("bob", "r")
    old = world.enter("alice", "r")
    new = world.enter("alice", "r")
    assert old.goodbye.code == CloseCode.SUPERSEDED
    assert not old.goodbye.reconnect
    assert new.closed is None
    assert [(frame.peer, frame.reason) for frame in bob.all(PeerLeft)] == [(old.peer, LeftReason.SUPERSEDED)]


def test_an_identity_may_have_as_many_sessions_as_admission_says() -> None:
    world = World()
    world.admissions["alice"] = allow("alice", limits=AdmissionLimits(sessions=2))
    first, second, third = (world.enter("alice") for _ in range(3))
    assert first.closed is not None
    assert second.closed is third.closed is None


def test_ice_servers_come_with_the_welcome_and_again_at_four_fifths_of_their_life() -> None:
    world = World()
    server = IceServer(urls=("turn:turn.example.org",), username="u", credential="c")
    world.ice = IceServersBody(ice_servers=(server,), ice_transport_policy="all", ttl=600)
    alice = world.enter("alice")
    assert alice.welcome.ice == world.ice
    world.advance(479.0)
    assert not alice.all(Ice)
    world.advance(2.0)
    assert alice.last(Ice).ice == world.ice
    world.advance(480.0)
    assert len(alice.all(Ice)) == 2
    alice.cut(1000)
    world.commands.clear()
    world.advance(2000.0)
    assert not [command for command in world.commands if isinstance(command, IssueIce)]


def test_draining_spreads_the_goodbyes_and_admits_nobody() -> None:
    """OP-1, OP-2: everybody is sent away with 4503 within the time, not all at once, and nobody new gets in."""
    world = World()
    clients = [world.enter(f"user-{number}") for number in range(50)]
    world.hub.drain(5.0, world.now, url="wss://other.example.org/v1/signal")
    late = world.connect()
    assert late.goodbye.code == CloseCode.DRAINING
    gone = []
    for _ in range(5):
        world.advance(1.0)
        gone.append(sum(client.closed is not None for client in clients))
    assert gone[-1] == 50
    assert all(after - before <= 25 for before, after in zip([0, *gone], gone, strict=False))
    goodbye = clients[0].goodbye
    assert (goodbye.code, goodbye.reconnect, goodbye.url) == (4503, True, "wss://other.example.org/v1/signal")


def test_closing_leaves_nothing() -> None:
    """SG-16: whatever happened, presence and rooms go back to zero."""
    world = World()
    for number in range(10):
        world.enter(f"user-{number}", "r")
    world.connect()
    world.hub.close(world.now)
    world.drain()
    assert world.hub.empty
    assert world.broker.empty


def test_a_session_that_a_list_has_now_is_ended() -> None:
    """SG-4: deny ends what is there."""
    world = World()
    bob, eve = world.enter("bob", "r"), world.enter("eve", "r")
    [summary] = [one for one in world.hub.moderation.sessions() if one.identity == "eve"]
    assert summary.address == "192.0.2.1"
    refusal = Refusal(code=CloseCode.DENIED, error="denied", reason="listed")
    assert world.hub.moderation.end_session(summary.session, refusal, world.now)
    world.drain()
    assert (eve.goodbye.code, eve.goodbye.message) == (4403, "listed")
    assert bob.last(PeerLeft).reason is LeftReason.KICKED
    assert not world.hub.moderation.end_session(summary.session, refusal, world.now)


def test_what_ends_a_connection_is_an_event_without_secrets() -> None:
    """SG-7: events, frames and admissions do not show tokens."""
    world = World()
    world.admissions["s3cret"] = allow("eve")
    eve = world.connect()
    eve.say(Hello(id=1, token="s3cret"))
    eve.say("nonsense s3cret")
    assert [event.error for event in world.events if isinstance(event, ConnectionEnded)] == ["bad_frame"]
    assert "s3cret" not in repr(world.events)
    assert "s3cret" not in repr(Hello(id=1, token="s3cret")) + repr(Refresh(id=1, token="s3cret"))
    assert "s3cret" not in repr(IceServer(urls=("turn:x",), username="u", credential="s3cret"))
    assert "s3cret" not in repr(Admit(1, eve.id, Hello(id=1, token="s3cret")))


@pytest.mark.parametrize(("size", "count"), [(10, 256), (60_000, 17)])
def test_whoever_does_not_read_is_let_go_at_the_bound(size: int, count: int) -> None:
    """SG-10: at 256 frames or 1 MiB, whichever comes first, with 4413; others get everything, and he may resume."""
    world = World()
    for name in ("alice", "bob", "slow"):
        limits = AdmissionLimits(frames_per_second=1e6, frame_burst=10_000)
        world.admissions[name] = allow(name, limits=limits)
    alice, bob, slow = (world.enter(name, "r") for name in ("alice", "bob", "slow"))
    slow.reads = False
    sent = 0
    while (
        world.hub.moderation.room("r")
        and next(one for one in world.hub.moderation.sessions() if one.identity == "slow").connected
    ):
        alice.say(SendMessage(to="*", data=encode_json("x" * size)))
        sent += 1
        assert sent < 1000
    assert sent == count + 1
    assert len(bob.all(ServerMessage)) == sent
    slow.reads = True
    slow.read()
    assert (slow.goodbye.code, slow.goodbye.reconnect) == (CloseCode.TOO_SLOW, True)
    assert not slow.all(ServerMessage)  # what waited is not worth the wait: it comes again with the resume
    again = world.connect().hello("slow", Resume(session=slow.welcome.session, seq=0))
    assert again.welcome.resumed
    assert len(again.all(ServerMessage)) == sent
    assert again.sequences == list(range(1, sent + 1))


def test_a_resume_needs_the_same_identity_and_a_number_that_was_given() -> None:
    """SG-13: the id of somebody else's session is worth nothing."""
    world = World()
    alice = world.enter("alice", "r")
    bob = world.enter("bob", "r")
    bob.say(SendMessage(to="*", data=encode_json("for alice")))
    alice.cut()
    eve = world.connect().hello("eve", Resume(session=alice.welcome.session, seq=0))
    assert not eve.welcome.resumed
    assert eve.welcome.session != alice.welcome.session
    assert not eve.all(ServerMessage)
    future = world.connect().hello("alice", Resume(session=alice.welcome.session, seq=99))
    assert not future.welcome.resumed
    assert future.welcome.session == alice.welcome.session
    [room] = future.welcome.rooms
    assert (room.room, [peer.identity for peer in room.peers]) == ("r", ["bob"])
    assert future.welcome.seq == alice.sequences[-1]


def test_a_second_connection_takes_a_session_over_from_a_half_open_one() -> None:
    world = World()
    alice = world.enter("alice", "r")
    again = world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0))
    assert again.welcome.resumed
    assert alice.goodbye.code == CloseCode.SUPERSEDED
    assert again.closed is None
    world.advance(120.0)
    assert again.closed is None


def test_a_resume_with_less_takes_out_of_rooms_that_are_not_granted_any_more() -> None:
    """SG-13: a resume brings no rights of old."""
    world = World()
    bob = world.enter("bob", "r")
    alice = world.enter("alice", "r")
    alice.cut()
    world.admissions["alice"] = allow("alice", "elsewhere")
    again = world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0))
    assert again.last(Left).reason is LeftReason.EXPIRED
    assert bob.last(PeerLeft).peer == alice.peer


def test_figures_count_by_words_that_are_ours() -> None:
    """OP-14: no label holds what a client wrote."""
    world = World()
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    alice.say(SendMessage(to="*", data=encode_json("x")))
    alice.cut()
    world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0))
    bob.say('{"type":"nonsense"}')
    figures = world.hub.figures()
    assert (figures.connections, figures.sessions, figures.rooms, figures.begun, figures.resumed) == (1, 1, 1, 2, 1)
    assert figures.received == {"hello": 3, "join": 2, "message": 1}
    assert figures.sent["message"] == 1
    assert figures.closed == {CloseCode.BAD_FRAME: 1}


def test_an_admission_covers_rooms_by_name_or_prefix() -> None:
    """SG-13: a pattern is a prefix and nothing more."""
    admission = Admission(identity="a", rooms=("lobby", "team-*"))
    assert [admission.covers(room) for room in ("lobby", "team-", "team-a")] == [True] * 3
    assert not any(admission.covers(room) for room in ("lobby2", "Lobby", "team", "", "xteam-a"))
    assert not Admission(identity="a").covers("anything")


def test_a_pong_acknowledges_what_came_before_its_ping_and_nothing_after() -> None:
    """OP-10: whoever answers a ping has read what was sent before it; what is on its way is not forgotten."""
    world = World()
    alice, bob = world.enter("alice", "r"), world.enter("bob", "r")
    alice.answers_pings = False
    for number in range(3):
        bob.say(SendMessage(to="*", data=encode_json(number)))
    before = alice.sequences[-1]
    world.advance(24.0)
    bob.say(ClientPing(id=9))
    world.advance(2.0)
    assert alice.all(ServerPing)
    for number in range(3, 6):
        bob.say(SendMessage(to="*", data=encode_json(number)))
    alice.say(ClientPong())
    alice.cut()
    for sequence, resumed in ((before, True), (before - 1, False)):
        again = world.connect().hello("alice", Resume(session=alice.welcome.session, seq=sequence))
        assert again.welcome.resumed is resumed
        if resumed:
            assert [bytes(frame.data) for frame in again.all(ServerMessage)] == [b"3", b"4", b"5"]
            again.cut()


def test_the_welcome_tells_the_bounds_that_count_for_its_receiver() -> None:
    world = World()
    for name, own, told in (("less", 3, 3), ("more", 1000, 32), ("none", None, 32)):
        world.admissions[name] = allow(name, limits=AdmissionLimits(rooms=own))
        assert world.connect().hello(name).welcome.limits.rooms == told
