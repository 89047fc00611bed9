"""What comes together with a change of its route meets the routes as they are where it stands, in either plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from icelane.core.net import Transport
from icelane.server import batched
from icelane.server.config import Config
from icelane.server.traffic import Traffic
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_uint32
from icelane.stun.message import Method
from icelane.turn.attributes import encode_channel_number
from icelane.turn.channel_data import encode_channel_data, encode_channel_data_for_stream
from icelane.turn.translation import build_send_indication
from tests import certificates
from tests.loops import Run
from tests.server.clients import Attribute, Client, Peer, address_on, eventually, peer_attribute, settings

CHANNEL = 0x4000
NOW: Attribute = (AttributeType.LIFETIME, encode_uint32(0))

pytestmark = [
    pytest.mark.parametrize(
        "plane",
        [
            "pure",
            pytest.param("compiled", marks=pytest.mark.skipif(not batched.available(), reason="it is not built")),
        ],
    ),
    pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS]),
]


def one_listener(plane: str, transport: Transport, folder: Path) -> Config:
    return settings(
        tls=certificates.good(folder).section(), listen=[f"{transport.value}://127.0.0.1:0"], plane=plane, workers=1
    )


def together(client: Client, transport: Transport, *messages: bytes) -> None:
    """Send them so that one read brings them all: in one piece, or before the loop of the server has its turn."""
    if transport.reliable:
        client.send(b"".join(messages))
    else:
        for message in messages:
            client.send(message)


def on_channel(transport: Transport, *payloads: bytes) -> list[bytes]:
    encode = encode_channel_data_for_stream if transport.reliable else encode_channel_data
    return [encode(CHANNEL, payload) for payload in payloads]


def test_payload_before_the_end_of_its_allocation_leaves_and_what_is_behind_it_does_not(
    run: Run, plane: str, transport: Transport, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with TurnServer(one_listener(plane, transport, tmp_path)) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            words = [b"last word %d" % index for index in range(5)]
            late = [] if transport.reliable else on_channel(transport, b"late", b"later")
            together(client, transport, *on_channel(transport, *words), client.build(Method.REFRESH, NOW), *late)
            assert [(await peer.inbox.take())[0] for _ in words] == words
            await eventually(lambda: not server.plane.clients)
            # An answer to another client is behind everything that the server has had to do with this.
            await Client.allocated(address_on(server, transport), transport)
            assert not peer.inbox.take_all()
            size = sum(map(len, words))
            assert server.plane.traffic()[transport] == Traffic(packets_from_client=5, bytes_from_client=size)

    run(scenario())


def test_payload_behind_the_binding_of_its_channel_leaves_in_its_order(
    run: Run, plane: str, transport: Transport, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with TurnServer(one_listener(plane, transport, tmp_path)) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.permit(peer.address)
            number = (AttributeType.CHANNEL_NUMBER, encode_channel_number(CHANNEL))
            together(
                client,
                transport,
                *on_channel(transport, b"early"),
                client.build(Method.CHANNEL_BIND, number, peer_attribute(peer.address)),
                *on_channel(transport, b"first", b"second"),
                build_send_indication(peer.address, b"third", bytes(12)),
                *on_channel(transport, b"fourth"),
            )
            words = [b"first", b"second", b"third", b"fourth"]
            assert [(await peer.inbox.take())[0] for _ in words] == words
            await client.permit(peer.address)
            assert not peer.inbox.take_all()
            size = sum(map(len, words))
            assert server.plane.traffic()[transport] == Traffic(4, size, dropped=1)
            (relayed,) = server.plane.clients.values()
            assert relayed.channel_traffic(CHANNEL).packets_from_client == 3

    run(scenario())
