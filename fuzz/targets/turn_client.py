"""The TURN client engine: whatever the server's address sends, signed by nobody, raises nothing and grants nothing."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import (
    AttributeType,
    encode_address,
    encode_error_code,
    encode_text,
    encode_uint32,
    encode_xor_address,
)
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.turn.channel_data import encode_channel_data
from icelane.turn.client import ClientState, TurnClient
from icelane.turn.client_event import DataReceived
from icelane.turn.client_request import AllocateOptions
from icelane.turn.translation import build_data_indication

PATH = Path(SocketAddress("192.0.2.10", 40_000), SocketAddress("192.0.2.1", 3478), Transport.UDP)
PEER = SocketAddress("198.51.100.20", 6000)
NOW = VirtualClock().now


def _client() -> TurnClient:
    client = TurnClient(PATH, entropy=SeededEntropy(), username="alice", password="secret")
    client.allocate(AllocateOptions(), NOW)
    return client


def _transaction_id(client: TurnClient) -> bytes:
    transmit = client.poll_transmit()
    assert transmit is not None
    return transmit.data[8:20]


def _error(code: int, transaction_id: bytes) -> MessageBuilder:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, transaction_id)
    return builder.add(AttributeType.ERROR_CODE, encode_error_code(code, ""))


def _success(transaction_id: bytes) -> MessageBuilder:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.SUCCESS, transaction_id)
    builder.add(AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(PEER, transaction_id))
    builder.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(PEER, transaction_id))
    return builder.add(AttributeType.LIFETIME, encode_uint32(600))


def _challenge(transaction_id: bytes) -> bytes:
    challenge = _error(401, transaction_id).add(AttributeType.REALM, encode_text("example.org"))
    return challenge.add(AttributeType.NONCE, encode_text("obMatJos2AAAAnonce")).build()


def _challenged() -> tuple[TurnClient, bytes]:
    """A client that has signed its request, and the transaction id of that request."""
    client = _client()
    client.handle_datagram(_challenge(_transaction_id(client)), PATH, NOW)
    return client, _transaction_id(client)


FIRST: Final = _transaction_id(_client())
SECOND: Final = _challenged()[1]

SEEDS = (
    _challenge(FIRST),
    _challenge(SECOND),
    _error(300, FIRST).add(AttributeType.ALTERNATE_SERVER, encode_address(SocketAddress("192.0.2.2", 3478))).build(),
    _error(486, SECOND).add_integrity_sha1(bytes(16)).build(),
    _success(FIRST).build(),
    _success(SECOND).add_integrity_sha1(bytes(16)).build(),
    build_data_indication(PEER, b"payload", FIRST),
    encode_channel_data(0x4000, b"payload"),
)


def run(data: bytes) -> Hashable:
    """Where two clients are, and what they said, after `data`: one that is still to be challenged, and one that was."""
    fresh, (challenged, _) = _client(), _challenged()
    behaviour = tuple(_feed(client, data) for client in (fresh, challenged))
    assert challenged.state is not ClientState.HELD, "an allocation that nobody signed"
    return behaviour


def _feed(client: TurnClient, data: bytes) -> Hashable:
    client.handle_datagram(data, PATH, NOW)
    client.handle_datagram(data, PATH, NOW)
    said = []
    while (event := client.poll_event()) is not None:
        assert not isinstance(event, DataReceived), "data without a permission"
        said.append(type(event).__name__)
    assert client.idle or client.state is not ClientState.ENDED, "an engine that has ended remembers something"
    return client.state, tuple(said)
