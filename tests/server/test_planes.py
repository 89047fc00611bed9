"""Both relay planes do the same: whatever routes there are and whatever arrives, the same leaves, and is counted."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.aio.system import monotonic
from icelane.aio.udp import bind_udp
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.server import batched
from icelane.server.bandwidth import Bandwidth, BandwidthLimits, PythonBucket
from icelane.server.listeners import UdpListener
from icelane.server.planes import make_plane
from icelane.server.relay_plane import RelayedClient, RelayPlane
from icelane.server.traffic import Traffic
from icelane.turn.peer_policy import Verdict
from icelane.turn.routes import (
    AssignRelayPort,
    BindId,
    BindRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.translation import build_send_indication

if TYPE_CHECKING:
    from icelane.server.batched.core import Bucket
    from icelane.server.batched.plane import BatchedClient, BatchedPlane
else:
    _plane = pytest.importorskip("icelane.server.batched.plane", exc_type=ImportError)
    Bucket, BatchedClient, BatchedPlane = _plane.Bucket, _plane.BatchedClient, _plane.BatchedPlane

CLIENTS: Final = 2
PEERS: Final = 3
NUMBERS: Final = (0x4000, 0x4001, 0x4FFF)
FAR: Final = Instant(1e12)


@dataclasses.dataclass(frozen=True)
class Bind:
    """Install or move a channel; `name` is one of two by which the client may know the peer's host."""

    client: int
    number: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class Unbind:
    client: int
    number: int


@dataclasses.dataclass(frozen=True)
class Permit:
    client: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class Forbid:
    client: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class FromClient:
    """ChannelData, whose length may claim more or less than there is."""

    client: int
    number: int
    payload: bytes
    claimed: int


@dataclasses.dataclass(frozen=True)
class Send:
    client: int
    peer: int
    payload: bytes


@dataclasses.dataclass(frozen=True)
class Raw:
    client: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class FromPeer:
    client: int
    peer: int
    payload: bytes
    times: int


Step = Bind | Unbind | Permit | Forbid | FromClient | Send | Raw | FromPeer

some_client = st.integers(0, CLIENTS - 1)
some_peer = st.integers(0, PEERS - 1)
some_number = st.sampled_from(NUMBERS)
some_payload = st.binary(max_size=40) | st.sampled_from([b"", bytes(1200), bytes(9000)])
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Bind, some_client, some_number, some_peer, st.integers(0, 1)),
    st.builds(Unbind, some_client, some_number),
    st.builds(Permit, some_client, some_peer, st.integers(0, 1)),
    st.builds(Forbid, some_client, some_peer, st.integers(0, 1)),
    st.builds(FromClient, some_client, some_number, some_payload, st.integers(-2, 2)),
    st.builds(Send, some_client, some_peer, some_payload),
    st.builds(Raw, some_client, st.binary(max_size=24)),
    st.builds(FromPeer, some_client, some_peer, some_payload, st.integers(1, 4)),
)


class Ends:
    """Sockets of clients and peers, which both planes talk to in turn."""

    def __init__(self, stack: ExitStack) -> None:
        self.clients = [stack.enter_context(_open()) for _ in range(CLIENTS)]
        self.peers = [stack.enter_context(_open(f"127.0.0.{2 + index}")) for index in range(PEERS)]

    def heard(self) -> list[list[bytes]]:
        """What has come to each, in order."""
        return [list(_read(end)) for end in (*self.clients, *self.peers)]


class Rig:
    """One plane with a listener and a relay for each client."""

    def __init__(self, plane: RelayPlane, ends: Ends) -> None:
        self.plane = plane
        self.ends = ends
        self.for_engine: list[bytes] = []
        plane.start()
        self.listener = UdpListener(
            bind_udp(SocketAddress("127.0.0.1", 0)), lambda data, _: self.for_engine.append(data), plane.listener_reader
        )
        self.relays: list[SocketAddress] = []
        self.clients: list[RelayedClient] = []
        self._channels: dict[tuple[int, int], ChannelRoute] = {}
        self._permissions: dict[tuple[int, str], PermissionRoute] = {}
        for end in ends.clients:
            relay = _free()
            assert plane.bind(BindRelayPort(BindId(len(self.relays)), relay, and_next=False, transport=Transport.UDP))
            path = Path(self.listener.local, SocketAddress(*end.getsockname()), Transport.UDP)
            client = plane.assign(AssignRelayPort(relay, path, "alice"), self.listener.relay_sender(path))
            self.listener.attach(client)
            self.relays.append(relay)
            self.clients.append(client)

    def apply(self, step: Step) -> None:
        """Change a route, or let something arrive."""
        match step:
            case Bind(client, number, peer, name):
                self._bind(client, number, peer, name)
            case Unbind(client, number):
                channel = self._channels.pop((client, number), None)
                if channel is not None:
                    self.plane.route(RemoveChannelRoute(channel))
            case Permit(client, peer, name):
                permission = self._permission(client, peer, name)
                self._permissions[client, permission.peer_host] = permission
                self.plane.route(InstallPermissionRoute(permission))
            case Forbid(client, peer, name):
                known = self._permissions.pop((client, self._permission(client, peer, name).peer_host), None)
                if known is not None:
                    self.plane.route(RemovePermissionRoute(known))
            case FromClient(client, number, payload, claimed):
                length = max(0, len(payload) + claimed)
                self._from(client, struct.pack(">HH", number, length) + payload)
            case Send(client, peer, payload):
                address = SocketAddress(*self.ends.peers[peer].getsockname())
                self._from(client, build_send_indication(address, payload, bytes(12)))
            case Raw(client, data):
                self._from(client, data)
            case FromPeer(client, peer, payload, times):
                for _ in range(times):
                    self.ends.peers[peer].sendto(payload, tuple(self.relays[client]))

    def counters(self) -> list[Traffic]:
        """Of each client, of each of its channels and of each of its permissions."""
        return [
            *(client.traffic() for client in self.clients),
            *(self.clients[client].channel_traffic(number) for client, number in sorted(self._channels)),
            *(self.clients[client].permission_traffic(host) for client, host in sorted(self._permissions)),
        ]

    def close(self) -> None:
        for relay in self.relays:
            self.plane.release(ReleaseRelayPort(relay))
        self.listener.close()
        self.plane.close()

    def _bind(self, client: int, number: int, peer: int, name: int) -> None:
        wire = SocketAddress(*self.ends.peers[peer].getsockname())
        named = SocketAddress(_name(wire.host, name), wire.port)
        route = ChannelRoute(self.clients[client].path, number, self.relays[client], named, wire, FAR)
        self._channels[client, number] = route
        self.plane.route(InstallChannelRoute(route))

    def _permission(self, client: int, peer: int, name: int) -> PermissionRoute:
        host = self.ends.peers[peer].getsockname()[0]
        verdict = Verdict(allowed=True, wire_host=host)
        return PermissionRoute(self.clients[client].path, self.relays[client], _name(host, name), verdict, FAR)

    def _from(self, client: int, data: bytes) -> None:
        self.ends.clients[client].sendto(data, tuple(self.listener.local))


@settings(max_examples=150, deadline=None)
@given(program=st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=12))
def test_the_same_inputs_have_the_same_outputs(program: Sequence[Sequence[Step]]) -> None:
    """Each inner list arrives at once, so that the compiled plane takes it as one batch."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rigs = [
                Rig(plane, ends)
                for plane in (RelayPlane(SystemEntropy()), BatchedPlane(SystemEntropy(), coalesce=0.0001))
            ]
            for burst in program:
                # A route counts for what arrives after it, in either plane: routes first.
                routes = [step for step in burst if isinstance(step, Bind | Unbind | Permit | Forbid)]
                arriving = [step for step in burst if step not in routes]
                results = []
                for rig in rigs:
                    for step in (*routes, *arriving):
                        rig.apply(step)
                    await _until_quiet()
                    results.append((_comparable(ends.heard(), arriving), sorted(rig.for_engine)))
                    rig.for_engine.clear()
                assert results[0] == results[1], burst
            pure, compiled = (rig.counters() for rig in rigs)
            assert pure == compiled
            for rig in rigs:
                rig.close()

    asyncio.run(scenario())


@settings(max_examples=200, deadline=None)
@given(
    limits=st.builds(
        lambda own, user, total: BandwidthLimits(per_allocation=own, per_user=user, total=total),
        *[st.sampled_from([0, 1000, 5000, 100_000])] * 3,
    ),
    packets=st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 1500)), max_size=60),
)
def test_buckets_of_both_kinds_hold_the_same(limits: BandwidthLimits, packets: list[tuple[float, int]]) -> None:
    meters = [Bandwidth(limits, bucket).open("allocation", "alice") for bucket in (PythonBucket, Bucket)]
    now = Instant(100.0)
    for pause, size in packets:
        now = Instant(now + pause)
        assert meters[0].admit(size, now) == meters[1].admit(size, now)
        assert [one.full_at(now) for one in meters[0].buckets] == [one.full_at(now) for one in meters[1].buckets]


def test_the_compiled_plane_pays_for_what_it_relays_from_the_same_buckets() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = Rig(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            meter = Bandwidth(BandwidthLimits(per_allocation=10_000), rig.plane.bucket).open("it", "alice")
            rig.clients[0].limit(meter)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            for _ in range(100):
                rig.apply(FromClient(0, NUMBERS[0], bytes(1000), 0))
            await _until_quiet()
            traffic = rig.clients[0].traffic()
            assert 10 <= traffic.packets_from_client <= 12
            assert traffic.dropped == 100 - traffic.packets_from_client
            assert not meter.buckets[0].has_some(monotonic())
            rig.close()

    asyncio.run(scenario())


def test_payload_of_a_channel_never_meets_python() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = Rig(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            client = rig.clients[0]
            assert isinstance(client, BatchedClient)
            for _ in range(10):
                rig.apply(FromClient(0, NUMBERS[0], b"up", 0))
                rig.apply(FromPeer(0, 0, b"down", 1))
            await _until_quiet()
            heard = ends.heard()
            assert heard[0] == [struct.pack(">HH", NUMBERS[0], 4) + b"down"] * 10
            assert heard[CLIENTS] == [b"up"] * 10
            assert RelayedClient.traffic(client) == Traffic()
            assert client.traffic() == Traffic(10, 20, 10, 40, 0)
            rig.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("make", [RelayPlane, lambda entropy: BatchedPlane(entropy, coalesce=0)])
def test_what_indications_carry_is_counted_by_permission(make: Callable[[SystemEntropy], RelayPlane]) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = Rig(make(SystemEntropy()), ends)
            hosts = [end.getsockname()[0] for end in ends.peers]
            for peer in (0, 1):
                rig.apply(Permit(0, peer, 0))
            rig.apply(Send(0, 0, b"up"))
            rig.apply(FromPeer(0, 0, b"down", 3))
            rig.apply(Send(0, 2, b"not permitted"))
            rig.apply(FromPeer(0, 2, b"neither", 1))
            await _until_quiet()
            client = rig.clients[0]
            assert client.permission_traffic(hosts[0]) == Traffic(1, 2, 3, 12)
            assert client.permission_traffic(hosts[1]) == client.permission_traffic(hosts[2]) == Traffic()
            assert client.traffic() == Traffic(1, 2, 3, 12, 2)
            # One that is given again begins anew: what went before is in the sum.
            rig.apply(Forbid(0, 0, 0))
            rig.apply(Permit(0, 0, 0))
            assert client.permission_traffic(hosts[0]) == Traffic()
            assert client.traffic() == Traffic(1, 2, 3, 12, 2)
            rig.close()

    asyncio.run(scenario())


def test_a_channel_relays_nothing_after_its_end_even_before_the_engine_says_so() -> None:
    """TR-8: the plane holds the expiry itself."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = Rig(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            wire = SocketAddress(*ends.peers[0].getsockname())
            client = rig.clients[0]
            rig.plane.route(
                InstallChannelRoute(ChannelRoute(client.path, NUMBERS[0], rig.relays[0], wire, wire, Instant(1.0)))
            )
            rig.apply(FromClient(0, NUMBERS[0], b"up", 0))
            rig.apply(FromPeer(0, 0, b"down", 1))
            await _until_quiet()
            assert ends.heard() == [[]] * (CLIENTS + PEERS)
            assert client.traffic() == Traffic(dropped=2)
            rig.close()

    asyncio.run(scenario())


def test_a_run_that_the_kernel_cuts_arrives_whole_and_in_order() -> None:
    """Equal sizes leave as runs, and a run that came in is taken apart again."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = Rig(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            payloads = [bytes([index]) * 600 for index in range(60)] + [b"short", bytes(600), b"", bytes(601)]
            for payload in payloads:
                rig.apply(FromClient(0, NUMBERS[0], payload, 0))
            await _until_quiet()
            assert ends.heard()[CLIENTS] == payloads
            ends.peers[0].sendmsg(
                [b"".join(payloads[:40])], [(17, 103, struct.pack("=H", 600))], 0, tuple(rig.relays[0])
            )
            await _until_quiet()
            assert [data[4:] for data in ends.heard()[0]] == payloads[:40]
            activity = rig.plane.activity()
            assert activity["sent"] > activity["sent_messages"]
            rig.close()

    asyncio.run(scenario())


def test_a_plane_that_was_not_built_is_refused_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "available", lambda: False)
    assert type(make_plane("auto", SystemEntropy(), coalesce=0.0001)) is RelayPlane
    with pytest.raises(ConfigurationError, match=r"turn\.plane.*C compiler"):
        make_plane("compiled", SystemEntropy(), coalesce=0.0001)


def _comparable(heard: list[list[bytes]], arriving: Sequence[Step]) -> list[list[bytes]]:
    """Without the random transaction ids; and in no order where indications and channels went out together."""
    cleaned = [[data[:8] + bytes(12) + data[20:] if data[:2] == b"\x00\x17" else data for data in one] for one in heard]
    mixed = len({type(step) for step in arriving}) > 1 or len(arriving) > 1
    return [sorted(one) for one in cleaned] if mixed else cleaned


async def _until_quiet() -> None:
    """Loopback delivers within the call, so a few turns of the loop have seen everything."""
    for _ in range(8):
        await asyncio.sleep(0)


def _open(host: str = "127.0.0.1") -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.bind((host, 0))
    return opened


def _free() -> SocketAddress:
    with _open() as probe:
        return SocketAddress(*probe.getsockname())


def _read(end: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield end.recv(65536)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue


def _name(host: str, name: int) -> str:
    """A client may know a peer by the address on the wire, or by an external one that stands for it."""
    return host if name == 0 else host.replace("127.0.0.", "203.0.113.")
