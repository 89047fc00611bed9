"""A frame of signaling, and what a hub with somebody else in the room does about it.

What is passed on has to be JSON that any parser reads, within the bounds, and nobody but its sender may suffer.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Final

from icelane.core.clock import Instant
from icelane.errors import MalformedError
from icelane.signaling.admitted import Admission, Grant
from icelane.signaling.engine_memory import MemoryEngine
from icelane.signaling.hub import Hub
from icelane.signaling.hub_event import Admit, Readmit
from icelane.signaling.limits import MAX_FRAME
from icelane.signaling.messages import (
    CandidateInit,
    Description,
    ServerSignal,
    SignalData,
    encode_frame,
    frame_type,
    parse_client_frame,
    parse_server_frame,
)
from icelane.signaling.outbox import CloseConnection
from icelane.signaling.room_rule import RoomRule
from icelane.signaling.session import ConnectionId
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

_SDP: Final = (
    b"v=0\\r\\no=- 1 1 IN IP4 192.0.2.7\\r\\ns=-\\r\\nt=0 0\\r\\nm=audio 9 RTP/AVP 0\\r\\nc=IN IP4 192.0.2.7\\r\\n"
)

SEEDS = [
    b'{"type":"hello","id":1,"token":"t","client":{"name":"n","version":"1"},"resume":{"session":"s_a","seq":4}}',
    b'{"type":"join","id":2,"room":"r","meta":{"a":[1,2.5,null,true,"x"]}}',
    b'{"type":"leave","id":3,"room":"r"}',
    b'{"type":"update","id":4,"room":"r","meta":{"a":1}}',
    b'{"type":"signal","id":5,"to":"p","data":{"description":{"type":"offer","sdp":"' + _SDP + b'"}}}',
    b'{"type":"signal","to":"p","key":"k","data":{"candidate":{"candidate":"candidate:1 1 udp 1 192.0.2.7 9 typ host",'
    b'"sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}}',
    b'{"type":"signal","to":"p","data":{"candidate":null}}',
    b'{"type":"message","id":6,"to":"*","room":"r","key":"k","data":{"a":{"b":[{}]}}}',
    b'{"type":"kick","id":7,"room":"r","peer":"p","reason":"x"}',
    b'{"type":"lock","id":8,"room":"r","locked":true}',
    b'{"type":"close","id":9,"room":"r"}',
    b'{"type":"refresh","id":10,"token":"t"}',
    b'{"type":"ping","id":11}\n{"type":"pong"}',
    b'{"type":"signal","id":5,"to":"PEER","data":{"description":{"type":"offer","sdp":"' + _SDP + b'"}}}\n'
    b'{"type":"signal","to":"PEER","data":{"candidate":{"candidate":"candidate:1 1 udp 1 203.0.113.5 9 typ relay '
    b'raddr 192.0.2.7 rport 9"}}}\n{"type":"leave","id":8,"room":"r"}',
]
DICTIONARY = [
    b'"type":', b'"id":', b'"room":', b'"to":', b'"data":', b'"key":', b'"meta":', b'"candidate":', b'"description":',
    b'"*"', b'"PEER"', b"null", b"NaN", b"-0", b"1e999", b"9" * 400, b"[" * 300, b'{"a":' * 80, b"\\ud800", b"\\u0000",
    b"\xff", b"\n", b"typ relay raddr 192.0.2.7 rport 9", b'"private"', b'"r"',
]  # fmt: skip

_EVE: Final = ConnectionId(1)
_BOB: Final = ConnectionId(2)


def run(data: bytes) -> Hashable:
    """What became of it: frame by frame, one to a line, with PEER for the other one's id."""
    world = _World()
    kinds = []
    for line in data.split(b"\n")[:40]:
        text = line.decode("utf-8", "replace").replace("PEER", world.bob)
        kinds.append(_read(text))
        world.say(text)
    heard = world.read(_BOB)
    for frame in heard:
        assert not isinstance(frame, CloseConnection), "somebody else was closed"
        json.loads(frame)
        pushed = parse_server_frame(frame)
        if isinstance(pushed, ServerSignal):
            _tells_nothing(pushed.data)
    world.hub.handle_closed(_EVE, 1000, world.clock.now)
    world.hub.handle_closed(_BOB, 1000, world.clock.now)
    world.hub.handle_timeout(Instant(world.clock.now + 3600))
    assert world.hub.empty
    answers = tuple(frame[:24] for frame in world.read(_EVE) if isinstance(frame, str))
    return frozenset(kinds), answers, min(len(heard), 8)


def _tells_nothing(data: SignalData) -> None:
    """The room is one of relays only."""
    lines = data.description.sdp.splitlines() if isinstance(data.description, Description) else []
    if isinstance(data.candidate, CandidateInit) and data.candidate.candidate:
        lines.append(f"a={data.candidate.candidate}")
    for line in lines:
        assert not line.startswith("c=") or line == "c=IN IP4 0.0.0.0", "a relay-only room tells an address"
        if line.startswith("a=candidate:"):
            words = line.split()
            assert words[6:8] == ["typ", "relay"], "a relay-only room passes on a candidate"
            pairs = dict(zip(words[8::2], words[9::2], strict=False))
            assert pairs.get("raddr", "::") in ("0.0.0.0", "::"), "a relay-only room tells what is behind a relay"


def _read(text: str) -> str:
    """The type of a frame, or the beginning of why it is none."""
    try:
        frame = parse_client_frame(text)
    except MalformedError as error:
        return "".join(letter for letter in str(error)[:60] if not letter.isdigit())
    assert len(text) <= MAX_FRAME
    again = encode_frame(frame)
    assert encode_frame(parse_client_frame(again)) == again
    return frame_type(frame)


class _World:
    """Bob, who is silent, and Eve, who says what is fuzzed; both in a room of relays only."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        rules = (RoomRule(room="*", relay_only=True),)
        self.hub = Hub(MemoryEngine(self.clock.now), SeededEntropy(), self.clock, rules=rules)
        self.bob = ""
        for connection, name in ((_BOB, "bob"), (_EVE, "eve")):
            self.hub.handle_connected(connection, "192.0.2.1", self.clock.now)
            self._tell(connection, f'{{"type":"hello","id":1,"token":"{name}"}}')
            self._tell(connection, '{"type":"join","id":2,"room":"r"}')
            for frame in self.read(connection):
                if isinstance(frame, str) and '"type":"welcome"' in frame:
                    peer: str = json.loads(frame)["peer"]
                    self.bob = self.bob or peer

    def say(self, text: str) -> None:
        """From Eve."""
        self._tell(_EVE, text)

    def read(self, connection: ConnectionId) -> list[str | CloseConnection]:
        """All that waits for somebody."""
        found = []
        while (item := self.hub.poll_transmit(connection)) is not None:
            found.append(item)
        return found

    def _tell(self, connection: ConnectionId, text: str) -> None:
        now = self.clock.now
        self.hub.handle_frame(connection, text, now)
        while (command := self.hub.poll_command()) is not None:
            if isinstance(command, Admit | Readmit):
                name = "bob" if command.connection == _BOB else "eve"
                admission = Admission(identity=name, rooms=("*",), grants=frozenset(Grant) - {Grant.MODERATE})
                self.hub.provide_admission(command.decision, admission, None, now)
        while self.hub.poll_event() is not None or self.hub.poll_wake() is not None:
            pass
