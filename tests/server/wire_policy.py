"""Inside a namespace: every peer address through every method, while a packet socket sees all that leaves.

    python -m tests.server.wire_policy udp|tcp|tls closed|open

`closed` is the policy as configured by default, `open` allows all that configuration can. Every address is local here
(a "local default" route on loopback), so whatever the relay sends arrives somewhere, and is captured on the way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path

from icelane.core.net import AddressFamily, SocketAddress, Transport, canonical_host, family_of, unpack_host
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.testing.peers import ALLOWED, ALLOWED_NEIGHBOURS, REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.attributes import PROTOCOL_TCP, encode_requested_transport
from tests import certificates
from tests.broken.registry import all_breaks
from tests.server.clients import IPV6 as WANT_IPV6
from tests.server.clients import Attribute, Client, Peer, Refused, eventually, peer_attribute, settings
from tests.server.namespaces import ip

# The server has public addresses here: documentation addresses would be refused as relays of other clients.
LISTEN, RELAY_IPV4, RELAY_IPV6, CLIENT = "20.0.0.1", "20.0.0.2", "2a00::2", "20.0.1.1"
LISTEN_PORT = 3478
OWN_HOSTS = (LISTEN, CLIENT, RELAY_IPV4, RELAY_IPV6, "20.0.0.255", "20.0.0.0")  # and the network's broadcast addresses
RELAY_PORTS = range(50_000, 51_000)
PEER_PORT = 7000
GOOD = {AddressFamily.IPV4: "8.8.4.4", AddressFamily.IPV6: "2606:4700::1001"}
CHANNEL = 0x4000
EVERYTHING = ["0.0.0.0/0", "::/0"]

_ETH_P_ALL = 3


@dataclass(frozen=True, slots=True)
class Packet:
    """A UDP packet that the relay sent."""

    source: str
    destination: str
    dont_fragment: bool
    payload: bytes


class Capture:
    """Everything that leaves from a relay address."""

    def __init__(self, relays: Iterable[str]) -> None:
        self._relays = set(relays)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("lo", 0))
        self._socket.setblocking(False)
        self.packets: list[Packet] = []

    def look(self) -> list[Packet]:
        """What has been seen so far."""
        while True:
            try:
                data, link = self._socket.recvfrom(65535)
            except BlockingIOError:
                return self.packets
            packet = _parse(data) if link[2] == socket.PACKET_OUTGOING else None
            if packet is not None and packet.source in self._relays:
                self.packets.append(packet)


def _parse(data: bytes) -> Packet | None:
    if data[0] >> 4 == 4:
        header, protocol, addresses = (data[0] & 15) * 4, data[9], (data[12:16], data[16:20])
        dont_fragment = bool(data[6] & 0x40)
    else:
        header, protocol, addresses, dont_fragment = 40, data[6], (data[8:24], data[24:40]), True
    source, destination = map(unpack_host, addresses)
    if protocol != socket.IPPROTO_UDP:
        return Packet(source, destination, dont_fragment, b"") if protocol not in (1, 58) else None
    return Packet(source, destination, dont_fragment, data[header + 8 :])


def set_up() -> None:
    """Addresses and routes of the namespace."""
    ip("link", "set", "lo", "up")
    for host in (LISTEN, RELAY_IPV4, CLIENT):
        ip("address", "add", f"{host}/24", "dev", "lo")
    ip("address", "add", f"{RELAY_IPV6}/64", "dev", "lo", "nodad")
    ip("route", "add", "local", "0.0.0.0/0", "dev", "lo")
    ip("-6", "route", "add", "local", "::/0", "dev", "lo")


class Check:
    """One client's allocation against every address. `problems` must be empty in the end."""

    def __init__(self, client: Client, family: AddressFamily, capture: Capture) -> None:
        self._client = client
        self.family = family
        self._capture = capture
        self.problems: list[str] = []
        self.count = 0
        self.sent = 0

    async def refused(self, peer: SocketAddress, code: int) -> None:
        """No method reaches the peer, alone or in company (TR-3), whatever is asked first."""
        client, good = self._client, SocketAddress(GOOD[self.family], PEER_PORT)
        for name, asked in (
            ("CreatePermission", client.permit(peer)),
            ("CreatePermission in company", client.permit(good, peer)),
            ("ChannelBind", client.bind(CHANNEL, peer)),
        ):
            await self._expect(name, peer, code, asked)
        if peer.host not in (RELAY_IPV4, RELAY_IPV6) or code == 443:
            # A permission for a relay address of ours is fine: each packet's port is checked.
            await self._expect(
                "CreatePermission without a port", peer, code, client.permit(SocketAddress(peer.host, 0))
            )
        for target in (peer, good):
            client.send_to(target, f"Send to {target}".encode())
        self.sent += 3
        client.send_on(CHANNEL, f"ChannelData to {peer}".encode())

    async def allowed(self, peer: SocketAddress, number: int, listening: Peer) -> None:
        """What the client sends arrives, by both ways."""
        self.count += 1
        client = self._client
        try:
            await client.permit(peer)
            client.send_to(peer, b"Send")
            await client.bind(number, peer)
            client.send_on(number, b"ChannelData")
        except Refused as refused:
            self.problems.append(f"{peer} was refused with {refused}")
            return
        for payload in (b"Send", b"ChannelData"):
            try:
                arrived, source = await listening.inbox.take()
            except TimeoutError:
                self.problems.append(f"{payload!r} to {peer} did not arrive")
                return
            if (arrived, source) != (payload, client.relayed[0]):
                self.problems.append(f"{arrived!r} from {source} arrived instead of {payload!r} to {peer}")

    async def cannot_connect(self, peer: SocketAddress, code: int) -> None:
        """Connect is refused."""
        await self._expect("Connect", peer, code, self._client.request(Method.CONNECT, peer_attribute(peer)))

    async def can_connect(self, peer: SocketAddress) -> None:
        """Connect arrives, and is seen to leave."""
        self.count += 1
        host = "::" if peer.family is AddressFamily.IPV6 else "0.0.0.0"
        listening = await asyncio.start_server(lambda _, writer: writer.close(), host, peer.port)
        try:
            await self._client.request(Method.CONNECT, peer_attribute(peer))
        except Refused as refused:
            self.problems.append(f"Connect to {peer} was refused with {refused}")
        listening.close()
        if peer.host not in {packet.destination for packet in self.look()}:
            self.problems.append(f"the capture has not seen the connection to {peer}")

    def look(self) -> list[Packet]:
        """What has left the relay."""
        return self._capture.look()

    def silent(self, when: str) -> None:
        """Nothing has left the relay."""
        self.problems += [f"{when}: {packet}" for packet in self.look()]

    async def _expect(self, name: str, peer: SocketAddress, code: int, asked: Awaitable[object]) -> None:
        self.count += 1
        try:
            await asked
        except Refused as refused:
            if refused.code != code:
                self.problems.append(f"{name} to {peer}: {refused}, expected {code}")
        else:
            self.problems.append(f"{name} to {peer} was granted")


async def check(transport: Transport, folder: Path, *, everything_allowed: bool) -> tuple[int, list[str]]:
    """How many requests were made, and what was wrong with them."""
    stream = "tls" if transport is Transport.TLS else "tcp"
    config = settings(
        tls=certificates.good(folder).section(),
        listen=[f"udp://{LISTEN}:{LISTEN_PORT}", f"{stream}://{LISTEN}:{LISTEN_PORT}"],
        relay_addresses=[RELAY_IPV4, RELAY_IPV6],
        relay_ports=f"{RELAY_PORTS[0]}-{RELAY_PORTS[-1]}",
        dangerously_allow_loopback_peers=False,
        tcp_allocations=True,
        peers={"allow": EVERYTHING if everything_allowed else []},
    )
    refused = REFUSED_ALWAYS if everything_allowed else REFUSED_ALWAYS + REFUSED_BY_DEFAULT
    allowed = ALLOWED + ALLOWED_NEIGHBOURS + (REFUSED_BY_DEFAULT if everything_allowed else ())
    count, problems = 0, []
    async with TurnServer(config) as server:
        for family in AddressFamily:
            wanted = (WANT_IPV6,) if family is AddressFamily.IPV6 else ()
            client = await Client.allocated(SocketAddress(LISTEN, LISTEN_PORT), transport, *wanted, source=CLIENT)
            checking = Check(client, family, Capture([RELAY_IPV4, RELAY_IPV6]))
            await check_refusals(checking, server, refused, allowed)
            await check_permissions(checking, client, allowed)
            await client.refresh(0)
            count += checking.count
            problems += checking.problems
            if transport.reliable:
                client = await tcp_client(transport, wanted)
                connecting = Check(client, family, Capture([RELAY_IPV4, RELAY_IPV6]))
                await check_connects(connecting, refused)
                await client.refresh(0)
                count += connecting.count
                problems += connecting.problems
    return count, problems


async def tcp_client(transport: Transport, wanted: tuple[Attribute, ...]) -> Client:
    """A client with a TCP allocation (RFC 6062)."""
    client = await Client.connect(SocketAddress(LISTEN, LISTEN_PORT), transport, source=CLIENT)
    tcp = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(PROTOCOL_TCP))
    await client.request(Method.ALLOCATE, tcp, *wanted)
    return client


async def check_connects(checking: Check, refused: Iterable[str]) -> None:
    """Connect reaches nobody who is refused, and everybody else."""
    for host in [*refused, *OWN_HOSTS]:
        for port in (PEER_PORT, 80):
            peer = SocketAddress(canonical_host(host), port)
            await checking.cannot_connect(peer, 403 if peer.family is checking.family else 443)
    checking.silent("after refused Connects")
    await checking.can_connect(SocketAddress(GOOD[checking.family], PEER_PORT))


async def check_refusals(checking: Check, server: TurnServer, refused: Iterable[str], allowed: Iterable[str]) -> None:
    """Nobody who is refused, and nobody of the other family, gets a packet."""
    family = checking.family
    for host in [*refused, *OWN_HOSTS]:
        peer = SocketAddress(canonical_host(host), PEER_PORT)
        await checking.refused(peer, 403 if peer.family is family else 443)
    for port in (LISTEN_PORT, 443):
        await checking.refused(SocketAddress(LISTEN, port), 403 if family is AddressFamily.IPV4 else 443)
    for host in allowed:
        if family_of(host) is not family:
            await checking.refused(SocketAddress(canonical_host(host), PEER_PORT), 443)
    (relayed,) = server.plane.clients.values()
    checking.problems += [f"a route to {host} is installed" for host in relayed.permissions_by_host]
    checking.problems += [f"channel {number:#x} is bound" for number in relayed.channels_by_number]
    # Over UDP the payload messages may still wait in the listener's buffer; they all end up as dropped.
    try:
        await eventually(lambda: relayed.traffic().dropped == checking.sent)
    except TimeoutError:
        checking.problems.append(f"{relayed.traffic().dropped} of {checking.sent} payload messages were dropped")
    checking.silent("after the refusals")


async def check_permissions(checking: Check, client: Client, allowed: Iterable[str]) -> None:
    """Everybody else does, so the silence before was the policy's."""
    family = checking.family
    listening = Peer("::" if family is AddressFamily.IPV6 else "0.0.0.0", PEER_PORT)
    hosts = [canonical_host(host) for host in [GOOD[family], *allowed] if family_of(host) is family]
    for number, host in enumerate(hosts):
        await checking.allowed(SocketAddress(host, PEER_PORT), CHANNEL + number, listening)
    relay = client.relayed[0].host
    await client.permit(SocketAddress(relay, RELAY_PORTS[-1]))
    await client.permit(SocketAddress(relay, 0))
    client.send_to(SocketAddress(relay, PEER_PORT), b"to a port that is no relay port")
    client.send_to(SocketAddress(GOOD[family], PEER_PORT), b"whole", dont_fragment=True)
    await listening.inbox.take()
    packets = checking.look()
    seen = {packet.destination for packet in packets}
    checking.problems += [f"the capture has not seen a packet to {host}" for host in hosts if host not in seen]
    checking.problems += [str(packet) for packet in packets if packet.destination not in hosts]
    if family is AddressFamily.IPV4:
        # RFC 8656 section 14: DF is set when the client asks, and only then.
        checking.problems += [str(one) for one in packets if one.dont_fragment is not (one.payload == b"whole")]
    listening.close()


def main() -> None:
    """Prints how much was checked; exits with 1 and the problems when there are any."""
    broken = os.environ.get("BREAK_NAME")
    if broken:
        all_breaks()[broken].apply()
    logging.disable()
    set_up()
    transport, policy = Transport(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        count, problems = asyncio.run(check(transport, Path(folder), everything_allowed=policy == "open"))
    print(f"{count} requests")
    if problems:
        print("\n".join(problems[:40]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
