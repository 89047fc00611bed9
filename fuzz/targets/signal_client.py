"""What a server sends to a client of signaling: the client stays whole, within its bounds, and what it sends parses."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from icelane.core.clock import later
from icelane.signaling.client_event import CloseConnection, PeerAppeared, PeerDeparted
from icelane.signaling.client_session import ClientSession, ClientState
from icelane.signaling.messages import EMPTY_OBJECT, SignalData, encode_json, parse_client_frame
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

_LIMITS: Final = (
    b'"limits":{"frame":65536,"framesPerSecond":50.0,"frameBurst":200,"rooms":32,"peersPerRoom":100,'
    b'"resumeSeconds":60.0,"resumePushes":512}'
)
_PEER: Final = b'{"peer":"p_b","identity":"bob","polite":true,"meta":{"a":1}}'

SEEDS = [
    b'{"type":"joined","re":2,"room":"r","you":"p_a","peers":[' + _PEER + b"]}\n"
    b'{"type":"peer-left","seq":1,"room":"r","peer":"p_b","reason":"closed"}',
    b'{"type":"peer-joined","seq":1,"room":"r","peer":"p_c","identity":"eve","polite":false}\n'
    b'{"type":"peer-updated","seq":2,"room":"r","peer":"p_c","meta":{"b":[]}}',
    b'{"type":"signal","seq":1,"from":"p_b","data":{"description":{"type":"offer","sdp":"v=0"}}}',
    b'{"type":"message","seq":1,"from":"p_b","data":[1,{"x":null}],"room":"r"}\n{"type":"ok","re":3}',
    b'{"type":"left","seq":1,"room":"r","reason":"kicked"}\n{"type":"room-updated","seq":2,"room":"r","locked":true}',
    b'{"type":"ice","ice":{"iceServers":[{"urls":["turn:a"],"username":"u","credential":"c"}],'
    b'"iceTransportPolicy":"relay","ttl":600}}\n{"type":"ping"}\n{"type":"pong","re":4}',
    b'{"type":"error","re":2,"code":"room_full","message":"m","retryable":true,"after":1.5}',
    b'{"type":"goodbye","code":4503,"reason":"draining","reconnect":true,"after":2.5,"url":"wss://o"}\nCLOSE',
    b'{"type":"goodbye","code":4401,"reason":"token_expired","reconnect":true}\nCLOSE\nTIME\n'
    b'{"type":"welcome","re":5,"session":"s_2","peer":"p_z","identity":"ann","ping":25.0,"resumed":false,'
    + _LIMITS
    + b"}",
    b'{"type":"message","seq":9,"data":1}\nTIME\n{"type":"welcome","re":5,"session":"s_1","peer":"p_a","identity":"ann",'
    b'"ping":25.0,"resumed":false,"seq":7,"rooms":[{"room":"r","you":"p_a","peers":['
    + _PEER
    + b"]}],"
    + _LIMITS
    + b"}",
]
DICTIONARY = [
    b'"type":', b'"seq":', b'"re":', b'"room":', b'"peers":', b'"from":', b'"data":', b'"meta":', b'"resumed":',
    b'"session":', b'"rooms":', b'"expiresAt":"2027-01-15T08:00:00Z"', b'"framesPerSecond":', b"null", b"1e999",
    b"9" * 400, b"[" * 2000, b"-1", b"\\ud800", b"CLOSE", b"TIME", b"\n", b'"r"', b'"p_b"',
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """One frame to a line; CLOSE is a broken connection, TIME lets half a minute pass."""
    clock = VirtualClock()
    session = ClientSession(entropy=SeededEntropy(), wall_clock=clock, renews_token=True)
    seen: list[str] = []
    present: set[tuple[str, str]] = set()
    session.start()
    _drain(session, clock, seen, present)
    session.join("r", EMPTY_OBJECT, clock.now)
    session.message("*", encode_json("x"), "r", clock.now)
    session.signal("p_b", SignalData(candidate=None), clock.now)
    first = b'{"type":"welcome","re":1,"session":"s_1","peer":"p_a","identity":"ann","ping":25.0,"resumed":false,'
    for line in [first + _LIMITS + b"}", *data.split(b"\n")[:60]]:
        if line == b"CLOSE":
            session.handle_closed(1006, "", clock.now)
        elif line == b"TIME":
            clock.advance(30.0)
            session.handle_timeout(clock.now)
        else:
            session.handle_frame(line.decode("utf-8", "replace"), clock.now)
        _drain(session, clock, seen, present)
    if session.state is not ClientState.CLOSED:
        session.close()
    _drain(session, clock, seen, present)
    assert session.next_timeout() is None
    assert session.unanswered == 0
    return tuple(dict.fromkeys(seen))


def _drain(session: ClientSession, clock: VirtualClock, seen: list[str], present: set[tuple[str, str]]) -> None:
    while (text := session.poll_transmit()) is not None:
        seen.append(type(parse_client_frame(text)).__name__)
    while (command := session.poll_command()) is not None:
        seen.append(type(command).__name__)
        assert not isinstance(command, CloseConnection) or command.code in (1000, 4000)
    while (event := session.poll_event()) is not None:
        seen.append(type(event).__name__)
        if isinstance(event, PeerAppeared):
            assert (event.peer.room, event.peer.id) not in present
            present.add((event.peer.room, event.peer.id))
        elif isinstance(event, PeerDeparted):
            present.remove((event.peer.room, event.peer.id))
    if session.state is ClientState.CONNECTING:
        session.handle_connected("token", clock.now)
        _drain(session, clock, seen, present)
    deadline = session.next_timeout()
    assert deadline is None or deadline <= later(clock.now, 4000.0 * 86400)
