"""Inside a namespace: a stranger with an account looks for services in the networks around a server.

    python -m tests.server.scan udp|tcp|tls

The server is another process and is asked over the wire alone. Every address is local here, so that each target of the
scan has ports with a service that answers, beside ports where nobody is.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from icelane.core.net import AddressFamily, SocketAddress, Transport, canonical_host, family_of
from icelane.stun.attributes import AttributeType, parse_uint32
from icelane.stun.message import Method
from icelane.testing.peers import REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.attributes import (
    PROTOCOL_TCP,
    encode_channel_number,
    encode_requested_transport,
)
from tests import certificates
from tests.server.answers import Listener, Shape, faults_of
from tests.server.clients import IPV6, PATIENCE, REQUESTED_TRANSPORT, Attribute, Peer, eventually, peer_attribute
from tests.server.served import served
from tests.server.wire_policy import CLIENT, LISTEN, LISTEN_PORT, RELAY_IPV4, RELAY_IPV6, RELAY_PORTS, Capture, set_up

OPEN_PORTS: Final = (80, 7000)
CLOSED_PORTS: Final = (22, 7001)
REACHABLE: Final = {AddressFamily.IPV4: "8.8.8.8", AddressFamily.IPV6: "2606:4700::1111"}
BANNER: Final = b"220 an internal service"
CHANNEL: Final = 0x4000
TCP: Final[Attribute] = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(PROTOCOL_TCP))

# Written down here once more, so that a range which the product forgets is not forgotten by its test.
RANGES: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
    *("fe80::/10", "fec0::/10", "fc00::/7", "fd00:ec2::/32", "ff00::/8", "2001:db8::/32", "3fff::/20", "100::/64"),
    *("5f00::/16", "2001:20::/28"),
)
ISATAP: Final = ("0:5efe", "200:5efe")
OWN: Final = (LISTEN, CLIENT, "20.0.0.0", "20.0.0.255")
SEED: Final = 11


def targets() -> list[str]:
    """Where the scan looks: both ends of each range, one address inside, and every address that is known to matter."""
    chosen = random.Random(SEED)
    hosts = [*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT, *OWN]
    for network in map(ipaddress.ip_network, RANGES):
        hosts += [str(network[index]) for index in (0, -1, chosen.randrange(network.num_addresses))]
    for marker in ISATAP:
        inside = ipaddress.ip_address((10 << 24) + chosen.randrange(1 << 24))
        hosts.append(f"2606:4700:{chosen.randrange(1 << 16):x}:1:{marker}:{inside}")
    return list(dict.fromkeys(map(canonical_host, hosts)))


class Services:
    """Answers on the open ports of every address, by UDP and TCP. `visits` must stay empty."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self._udp: list[Peer] = []
        self._tcp: list[asyncio.Server] = []

    async def open(self) -> None:
        """Listen everywhere but on the addresses that may be reached, which have services of their own."""
        for host in ("0.0.0.0", "::"):
            for port in OPEN_PORTS:
                self._udp.append(Peer(host, port))
                self._tcp.append(await asyncio.start_server(self._greet, host, port))

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits.append(f"a connection to {writer.get_extra_info('sockname')}")
        writer.write(BANNER)
        writer.close()

    def close(self) -> list[str]:
        """Stop, and return who has come."""
        for peer in self._udp:
            self.visits += [f"{payload!r} from {source}" for payload, source in peer.inbox.take_all()]
            peer.close()
        for server in self._tcp:
            server.close()
        return self.visits


class Scan:
    """One client's view. `problems` must be empty in the end."""

    def __init__(self, client: Listener, stranger: Listener, family: AddressFamily) -> None:
        self._client = client
        self._stranger = stranger
        self._family = family
        self._first_answers: dict[tuple[str, bool], Shape] = {}
        self.problems: list[str] = []
        self.count = 0

    async def datagrams(self, peer: SocketAddress) -> None:
        """All ways by which a datagram could reach the target."""
        binding = ((AttributeType.CHANNEL_NUMBER, encode_channel_number(CHANNEL)), peer_attribute(peer))
        await self._ask(peer, Method.CREATE_PERMISSION, peer_attribute(peer))
        await self._ask(peer, Method.CHANNEL_BIND, *binding)
        self._client.send_to(peer, BANNER)
        self._client.send_on(CHANNEL, BANNER)

    async def connections(self, peer: SocketAddress) -> None:
        """The way by which a stream could."""
        await self._ask(peer, Method.CONNECT, peer_attribute(peer))

    async def _ask(self, peer: SocketAddress, method: Method, *attributes: Attribute) -> None:
        """The answer is the same for every target of a family, and for those who have no account."""
        for client in (self._client, self._stranger):
            self.count += 1
            answer = await client.ask(method, *attributes, sign=client is self._client)
            # A peer of the other family is told so (443); nothing else may be read from an answer.
            other_family = client is self._client and peer.family is not self._family
            key = (f"{method} by {'a user' if client is self._client else 'a stranger'}", other_family)
            first = self._first_answers.setdefault(key, answer)
            if answer != first or answer[0] != _error_type(method):
                self.problems.append(f"{key[0]} to {peer}: {answer}, for others {first}")

    async def end(self) -> None:
        """Whatever was on its way has come."""
        await self._client.refresh(0)
        unasked = [*self._client.inbox.take_all(), *self._stranger.inbox.take_all()]
        self.problems += [f"the client was sent {frame!r}" for frame in unasked]
        for frame in [*self._client.frames, *self._stranger.frames]:
            self.problems += faults_of(frame, [BANNER])


def _error_type(method: Method) -> bytes:
    # All methods of TURN have numbers below 16.
    return (0x0110 | method).to_bytes(2, "big")


async def scan_refused(transport: Transport, family: AddressFamily) -> tuple[int, list[str]]:
    """Nothing can be told of any address that is not the internet."""
    services, capture = Services(), Capture([RELAY_IPV4, RELAY_IPV6])
    await services.open()
    wanted = (IPV6,) if family is AddressFamily.IPV6 else ()
    count, problems = 0, []
    for protocol in [REQUESTED_TRANSPORT, TCP] if transport.reliable else [REQUESTED_TRANSPORT]:
        client = await connected(transport)
        await client.request(Method.ALLOCATE, protocol, *wanted)
        scan = Scan(client, await connected(transport), family)
        for host in targets():
            for port in (*OPEN_PORTS, *CLOSED_PORTS):
                peer = SocketAddress(host, port)
                await (scan.connections(peer) if protocol is TCP else scan.datagrams(peer))
        await scan.end()
        count += scan.count
        problems += scan.problems
    # The other family's connection with the reachable host may still be ending.
    left = [packet for packet in capture.look() if packet.destination not in REACHABLE.values()]
    return count, [*problems, *services.close(), *(f"left the relay: {packet}" for packet in left)]


async def scan_reachable(transport: Transport, family: AddressFamily) -> list[str]:
    """On the internet the same scan does see what is open, so it would have seen it elsewhere."""
    host, problems, capture = REACHABLE[family], [], Capture([RELAY_IPV4, RELAY_IPV6])
    wanted = (IPV6,) if family is AddressFamily.IPV6 else ()
    client, service = await connected(transport), service_at(host, OPEN_PORTS[0])
    await client.allocate(*wanted)
    await client.permit(SocketAddress(host, 0))
    for port in (OPEN_PORTS[0], CLOSED_PORTS[0]):
        client.send_to(SocketAddress(host, port), BANNER)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        payload, relay = await loop.sock_recvfrom(service, 2048)
        await loop.sock_sendto(service, payload, relay)
    # From the closed port an ICMP error comes, in whatever order.
    answers = [await client.receive(), await client.receive()]
    if sorted((answer.payload, answer.icmp is not None) for answer in answers) != [(b"", True), (BANNER, False)]:
        problems.append(f"{answers} from {host}")
    if host not in {packet.destination for packet in capture.look()}:
        problems.append(f"the capture has not seen the packets to {host}")
    service.close()
    if transport.reliable:
        problems += await connect_reachable(transport, host, wanted)
    return problems


def service_at(host: str, port: int) -> socket.socket:
    """A UDP socket at this very address, from which answers come then, though no interface has it."""
    if family_of(host) is AddressFamily.IPV6:
        service, level, free_bind = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.IPPROTO_IPV6, 78
    else:
        service, level, free_bind = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.IPPROTO_IP, 15
    service.setsockopt(level, free_bind, 1)  # IPV6_FREEBIND and IP_FREEBIND have no names in Python
    service.bind((host, port))
    service.setblocking(False)
    return service


async def connect_reachable(transport: Transport, host: str, wanted: tuple[Attribute, ...]) -> list[str]:
    """Connect tells the open port from the closed one, and the greeting of the service arrives."""
    services, client = Services(), await connected(transport)
    await services.open()
    await client.request(Method.ALLOCATE, TCP, *wanted)
    answered = await client.request(Method.CONNECT, peer_attribute(SocketAddress(host, OPEN_PORTS[0])))
    closed = await client.ask(Method.CONNECT, peer_attribute(SocketAddress(host, CLOSED_PORTS[0])))
    data, number = await connected(transport), answered.get(AttributeType.CONNECTION_ID) or b""
    await data.request(Method.CONNECTION_BIND, (AttributeType.CONNECTION_ID, number))
    link = data._link
    await eventually(lambda: BANNER in getattr(link, "_buffer", b""))
    services.close()
    problems = [] if parse_uint32(number) and closed[0] == _error_type(Method.CONNECT) else [f"{closed} of {host}"]
    return problems if len(services.visits) == 1 else [*problems, f"{services.visits} at {host}"]


async def connected(transport: Transport) -> Listener:
    """A client that has said nothing yet."""
    client = await Listener.connect(SocketAddress(LISTEN, LISTEN_PORT), transport, source=CLIENT)
    assert isinstance(client, Listener)
    return client


async def scan_all(transport: Transport) -> tuple[int, list[str]]:
    """How much was asked, and what must not have been answered."""
    count, problems = 0, []
    for family in AddressFamily:
        asked, found = await scan_refused(transport, family)
        count += asked
        problems += [*found, *await scan_reachable(transport, family)]
    return count, problems


def server_settings(transport: Transport, folder: Path) -> dict[str, object]:
    """The server as it comes, with TCP allocations."""
    return {
        "tls": certificates.good(folder).section(),
        "listen": [f"{transport.value}://{LISTEN}:{LISTEN_PORT}"],
        "relay_addresses": [RELAY_IPV4, RELAY_IPV6],
        "relay_ports": f"{RELAY_PORTS[0]}-{RELAY_PORTS[-1]}",
        "dangerously_allow_loopback_peers": False,
        "unauthenticated_replies_per_second": 0,
        "tcp_allocations": True,
    }


def main() -> None:
    """Prints how much was asked; exits with 1 and the problems when there are any."""
    set_up()
    transport = Transport(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, served(server_settings(transport, Path(folder))):
        count, problems = asyncio.run(scan_all(transport))
    print(f"{count} requests")
    if problems:
        print("\n".join([f"{len(problems)} problems", *problems[:40]]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
