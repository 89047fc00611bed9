"""Inside a namespace: a stranger with an account tries to get bytes out of a server that are not his.

    python -m tests.server.leak_probe udp|tcp|tls

While another user talks, he claims to send more than he sends, breaks off in the middle, and collects as many kinds of
answers as there are. Everything that comes back to him and to his peer is looked at byte by byte.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from icelane.core.net import SocketAddress, Transport
from icelane.stun.attributes import AttributeType, encode_text, encode_uint32
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.turn.attributes import encode_channel_number, encode_requested_transport
from icelane.turn.translation import build_send_indication
from tests.server.answers import Listener, attributes_of, faults_of
from tests.server.clients import PASSWORD, REQUESTED_TRANSPORT, USER, Attribute, Peer, peer_attribute
from tests.server.scan import server_settings
from tests.server.served import served
from tests.server.wire_policy import CLIENT, LISTEN, LISTEN_PORT, set_up

OTHER_USER: Final = "bob"
SECRET: Final = b"nobody's business: 4f1c9e07 a2b8 7d35"
"""What the other user says in every place where a client can say something."""

PEER: Final = SocketAddress("8.8.8.8", 7000)
OTHER_PEER: Final = SocketAddress("8.8.4.4", 7001)
CHANNEL: Final = 0x4000
LARGEST_DATAGRAM: Final = 65507
CLAIMED: Final = (4, 5, 100, 1500, 65535)
KNOCKS: Final = b"xxx"
METHODS: Final = (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT)
UNKNOWN: Final = 0x7F00
"""The first of the attribute types that a receiver must understand and that nobody knows."""


class Talker:
    """The other user: says the secret between any two attempts, and is answered."""

    def __init__(self, client: Listener, peer: Peer) -> None:
        self._client = client
        self._peer = peer

    @classmethod
    async def start(cls, transport: Transport) -> Talker:
        client = await connected(transport, OTHER_USER)
        await client.allocate((AttributeType.SOFTWARE, SECRET))
        await client.permit(OTHER_PEER)
        await client.bind(CHANNEL, OTHER_PEER)
        return cls(client, Peer(OTHER_PEER.host, OTHER_PEER.port))

    async def talk(self) -> None:
        """Returns when the server has taken all of it, and the peer has it."""
        secret = (AttributeType.SOFTWARE, SECRET)
        self._client.send_to(OTHER_PEER, SECRET)
        self._client.send_on(CHANNEL, SECRET)
        # A realm of his own, since names that nobody has are guesses and the talker would soon be throttled.
        name, realm = (AttributeType.USERNAME, SECRET), (AttributeType.REALM, SECRET)
        await self._client.ask(Method.ALLOCATE, secret, name, realm, sign=False)
        await self._client.request(Method.REFRESH, secret, (AttributeType.LIFETIME, encode_uint32(600)))
        heard = [(await self._peer.inbox.take())[0] for _ in range(2)]
        if heard != [SECRET, SECRET]:
            raise AssertionError(f"the secret was relayed as {heard}")


class Probe:
    """The curious one. `problems` must be empty in the end."""

    def __init__(self, transport: Transport, talker: Talker) -> None:
        self._transport = transport
        self._talker = talker
        self._peer = Peer(PEER.host, PEER.port)
        self._clients: list[Listener] = []
        self.problems: list[str] = []

    async def claim_more_than_is_sent(self) -> None:
        """The length in the header of ChannelData is the stranger's word."""
        for claimed in CLAIMED:
            client = await self._relaying()
            client.send(CHANNEL.to_bytes(2, "big") + claimed.to_bytes(2, "big") + KNOCKS)
            await self._talker.talk()
            if self._transport.reliable:
                # The rest may come later, and is ours whatever it is.
                rest = bytes(claimed - len(KNOCKS) + -claimed % 4)
                client.send(rest)
                if claimed <= LARGEST_DATAGRAM:
                    await self._peer_hears((KNOCKS + rest)[:claimed])
            await client.refresh(0)
            self._peer_hears_nothing()

    async def break_off(self) -> None:
        """Send indications and requests whose lengths go behind their end; a stream cannot be cut there."""
        if self._transport.reliable:
            return
        client = await self._relaying()
        for message in [*self._broken_indications(), *broken_requests()]:
            client.send(message)
            await self._talker.talk()
        await client.refresh(0)
        self._peer_hears_nothing()

    async def collect_answers(self) -> None:
        """Every method, with and without an account, an allocation and what it needs, and unknown attributes."""
        client, stranger = await self._relaying(), await self._connected()
        for method, count in itertools.product((Method.BINDING, *METHODS), range(1, 8)):
            unknown = [(UNKNOWN + index, bytes(index)) for index in range(count)]
            await stranger.ask(method, *unknown, sign=False)
            await client.ask(method, *unknown)
            await self._talker.talk()
        for method, attributes in itertools.product(METHODS, wrong_attributes()):
            await stranger.ask(method, *attributes, sign=False)
            await client.ask(method, *attributes)
        for size in range(1, 9):
            payload = bytes(range(1, size + 1))
            client.send_on(CHANNEL, payload)
            client.send_to(PEER, payload)
            for _ in range(2):
                self._peer.send(payload, await self._peer_hears(payload))
            for _ in range(2):
                frame = await client.inbox.take()
                if frame[4 : 4 + int.from_bytes(frame[2:4], "big")] != payload:
                    self.problems.append(f"{payload!r} came back as {frame!r}")
        await client.refresh(0)

    def end(self) -> list[bytes]:
        """Every frame that came, looked at."""
        frames = [frame for client in self._clients for frame in client.frames]
        self.problems += [fault for frame in frames for fault in faults_of(frame, [SECRET])]
        self._peer_hears_nothing()
        return frames

    def _peer_hears_nothing(self) -> None:
        self.problems += [f"the peer got {payload[:100]!r}" for payload, _ in self._peer.inbox.take_all()]

    async def _peer_hears(self, payload: bytes) -> SocketAddress:
        arrived, relay = await self._peer.inbox.take()
        if arrived != payload:
            self.problems.append(f"{payload!r} arrived as {arrived!r}")
        return relay

    async def _connected(self) -> Listener:
        self._clients.append(await connected(self._transport, USER))
        return self._clients[-1]

    async def _relaying(self) -> Listener:
        client = await self._connected()
        await client.allocate()
        await client.permit(PEER)
        await client.bind(CHANNEL, PEER)
        return client

    def _broken_indications(self) -> Iterator[bytes]:
        whole = build_send_indication(PEER, KNOCKS, secrets.token_bytes(12))
        payload_length = len(whole) - 6  # where it stands: before three bytes and one of padding
        for claimed in CLAIMED[1:]:  # four bytes are there, with the padding
            yield whole[:payload_length] + claimed.to_bytes(2, "big") + whole[payload_length + 2 :]
            yield whole[:2] + (claimed + -claimed % 4 & 0xFFFF).to_bytes(2, "big") + whole[4:]
        yield whole[:-4]


def broken_requests() -> Iterator[bytes]:
    """Requests whose header, or whose one attribute, claims more bytes than there are."""
    for method, claimed in itertools.product((Method.BINDING, *METHODS), (1, 3, 4, 100, 1500, 65532)):
        transaction = secrets.token_bytes(12)
        whole = MessageBuilder(method, MessageClass.REQUEST, transaction).add(AttributeType.USERNAME, KNOCKS).build()
        yield whole[:2] + claimed.to_bytes(2, "big") + whole[4:]
        yield whole[:22] + claimed.to_bytes(2, "big") + whole[24:]
        yield whole[:20]


def wrong_attributes() -> list[tuple[Attribute, ...]]:
    """What some method does not want, or not in this state."""
    return [
        (),
        (REQUESTED_TRANSPORT,),
        ((AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(99)),),
        ((AttributeType.REQUESTED_TRANSPORT, b""),),
        ((AttributeType.CHANNEL_NUMBER, encode_channel_number(0x3FFF)), peer_attribute(PEER)),
        ((AttributeType.CHANNEL_NUMBER, encode_channel_number(CHANNEL)), peer_attribute(OTHER_PEER)),
        (peer_attribute(SocketAddress("10.0.0.1", 80)),),
        (peer_attribute(SocketAddress("2606:4700::1111", 80)),),
        (REQUESTED_TRANSPORT, (AttributeType.RESERVATION_TOKEN, bytes(8))),
        ((AttributeType.CONNECTION_ID, encode_uint32(1)),),
        ((AttributeType.USERNAME, encode_text("somebody else")),),
    ]


async def connected(transport: Transport, username: str) -> Listener:
    """A client that has said nothing yet."""
    server = SocketAddress(LISTEN, LISTEN_PORT)
    client = await Listener.connect(server, transport, source=CLIENT, username=username, password=PASSWORD)
    assert isinstance(client, Listener)
    return client


def error_codes(frames: list[bytes]) -> list[int]:
    """Every error that was answered with."""
    errors = [frame for frame in frames if frame[0] & 0xC0 == 0 and int.from_bytes(frame[:2], "big") & 0x0110 == 0x0110]
    values = [value for frame in errors for kind, value, _ in attributes_of(frame) if kind == AttributeType.ERROR_CODE]
    return sorted({value[2] * 100 + value[3] for value in values})


async def probe_all(transport: Transport) -> tuple[str, list[str]]:
    """What came back, and what was wrong with it."""
    probe = Probe(transport, await Talker.start(transport))
    await probe.claim_more_than_is_sent()
    await probe.break_off()
    await probe.collect_answers()
    frames = probe.end()
    return f"{len(frames)} frames, errors {error_codes(frames)}", probe.problems


def main() -> None:
    """Prints what came back; exits with 1 and the problems when there are any."""
    set_up()
    transport = Transport(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        users = {USER: PASSWORD, OTHER_USER: PASSWORD}
        with served(server_settings(transport, Path(folder)) | {"users": users}):
            said, problems = asyncio.run(probe_all(transport))
    print(said)
    if problems:
        print("\n".join([f"{len(problems)} problems", *problems[:40]]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
