"""Datagrams at a socket that connections share: nobody gets what is another's, and nothing grows (IC-3)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.net import SocketAddress
from icelane.ice.mux_table import MuxTable
from icelane.stun.attributes import AttributeType, encode_text
from icelane.stun.message import HEADER_SIZE, MessageBuilder, MessageClass, Method

ALICE, BOB = "alice", "bobby"
THEIRS = {ALICE: SocketAddress("203.0.113.1", 1), BOB: SocketAddress("203.0.113.2", 2)}
STRANGER = SocketAddress("203.0.113.3", 3)
TRANSACTION = b"transaction!"


def _check(ufrag: str) -> bytes:
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, TRANSACTION)
    builder.add(AttributeType.USERNAME, encode_text(f"{ufrag}:peer"))
    return builder.build()


SEEDS = [
    _check(ALICE),
    _check(BOB),
    MessageBuilder(Method.BINDING, MessageClass.SUCCESS, TRANSACTION).build(),
    MessageBuilder(Method.BINDING, MessageClass.INDICATION, TRANSACTION).build(),
    b"\x16\xfe\xfd",
    b"",
]
DICTIONARY = [b"alice:", b"bobby:", b"\x00\x01", b"\x01\x01", b"\x01\x11", b"\x00\x11", TRANSACTION]


def run(data: bytes) -> Hashable:
    """Who gets it from where."""
    table: MuxTable[str] = MuxTable()
    for name, source in THEIRS.items():
        table.add(name)
        table.settle(name, ufrags=[name], validated=[source], authenticated=[])
        table.note_sent(name, _check(name))
    held = table.held
    found = tuple(table.find(data, source) for source in (*THEIRS.values(), STRANGER))
    assert table.held == held, "a datagram that came in made the table grow"
    if not _may_be_request(data):  # whose signature the agent looks at
        assert found[0] != BOB, "what came from Alice's peer"
        assert found[1] != ALICE, "what came from Bob's peer"
    assert not found[2] or data[0] <= 3, "a stranger is heard by STUN alone"
    return found


def _may_be_request(data: bytes) -> bool:
    """RFC 8489 section 5: both bits of the class are 0."""
    return len(data) >= HEADER_SIZE and not (data[0] & 0x01 or data[1] & 0x10)
