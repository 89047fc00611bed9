"""Both relay planes do the same: whatever routes there are and whatever arrives, the same leaves, and is counted."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.aio.system import monotonic
from icelane.core.clock import Instant
from icelane.core.net import SocketAddress
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.server import batched
from icelane.server.bandwidth import Bandwidth, BandwidthLimits, PythonBucket
from icelane.server.planes import make_plane
from icelane.server.relay_plane import RelayedClient, RelayPlane
from icelane.server.traffic import Traffic
from icelane.turn.routes import ChannelRoute, InstallChannelRoute
from tests.server.plane_rig import (
    CLIENTS,
    KINDS,
    NUMBERS,
    PEERS,
    Bind,
    End,
    Ends,
    Forbid,
    FromClient,
    FromPeer,
    Kind,
    Permit,
    Raw,
    Rig,
    Send,
    Step,
    Unbind,
    comparable,
    until_quiet,
)

if TYPE_CHECKING:
    from icelane.server.batched.core import Bucket
    from icelane.server.batched.plane import BatchedClient, BatchedPlane
else:
    _plane = pytest.importorskip("icelane.server.batched.plane", exc_type=ImportError)
    Bucket, BatchedClient, BatchedPlane = _plane.Bucket, _plane.BatchedClient, _plane.BatchedPlane

some_kind = st.sampled_from(KINDS)
some_client = st.integers(0, CLIENTS - 1)
some_peer = st.integers(0, PEERS - 1)
some_number = st.sampled_from(NUMBERS)
some_payload = st.binary(max_size=40) | st.sampled_from([b"", bytes(1200), bytes(9000)])
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Bind, some_client, some_number, some_peer, st.integers(0, 1)),
    st.builds(Unbind, some_client, some_number),
    st.builds(Permit, some_client, some_peer, st.integers(0, 1)),
    st.builds(Forbid, some_client, some_peer, st.integers(0, 1)),
    st.builds(End, some_client),
    st.builds(FromClient, some_client, some_number, some_payload, st.integers(-2, 2)),
    st.builds(Send, some_client, some_peer, some_payload),
    st.builds(Raw, some_client, st.binary(max_size=24)),
    st.builds(FromPeer, some_client, some_peer, some_payload, st.integers(1, 3)),
)


@settings(max_examples=100, deadline=None)
@given(
    kinds=st.tuples(some_kind, some_kind),
    program=st.lists(st.lists(steps, min_size=1, max_size=6), min_size=1, max_size=12),
)
def test_the_same_inputs_have_the_same_outputs(kinds: Sequence[Kind], program: Sequence[Sequence[Step]]) -> None:
    """Each inner list arrives at once, so that the compiled plane takes it as one batch; routes change in between."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack, kinds)
            rigs = [
                await Rig.open(plane, ends)
                for plane in (RelayPlane(SystemEntropy()), BatchedPlane(SystemEntropy(), coalesce=0.0001))
            ]
            try:
                for burst in program:
                    results = []
                    for rig in rigs:
                        await rig.play(burst)
                        at_clients, at_peers = await rig.heard()
                        results.append(([comparable(heard, burst) for heard in at_clients], at_peers, rig.for_engine))
                        rig.for_engine = [[] for _ in kinds]
                    assert results[0] == results[1], burst
                    pure, compiled = (rig.counters() for rig in rigs)
                    assert pure == compiled, burst
            finally:
                for rig in rigs:
                    await rig.close()

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
            rig = await Rig.open(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            meter = Bandwidth(BandwidthLimits(per_allocation=10_000), rig.plane.bucket).open("it", "alice")
            rig.clients[0].limit(meter)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            for _ in range(100):
                rig.apply(FromClient(0, NUMBERS[0], bytes(1000), 0))
            await until_quiet()
            traffic = rig.clients[0].traffic()
            assert 10 <= traffic.packets_from_client <= 12
            assert traffic.dropped == 100 - traffic.packets_from_client
            assert not meter.buckets[0].has_some(monotonic())
            await rig.close()

    asyncio.run(scenario())


def test_payload_of_a_channel_never_meets_python() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = await Rig.open(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            client = rig.clients[0]
            assert isinstance(client, BatchedClient)
            for _ in range(10):
                rig.apply(FromClient(0, NUMBERS[0], b"up", 0))
                rig.apply(FromPeer(0, 0, b"down", 1))
            await until_quiet()
            at_clients, at_peers = await rig.heard()
            assert at_clients[0] == [struct.pack(">HH", NUMBERS[0], 4) + b"down"] * 10
            assert list(at_peers.values()) == [[b"up"] * 10]
            assert RelayedClient.traffic(client) == Traffic()
            assert client.traffic() == Traffic(10, 20, 10, 40, 0)
            await rig.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("make", [RelayPlane, lambda entropy: BatchedPlane(entropy, coalesce=0)])
def test_what_indications_carry_is_counted_by_permission(make: Callable[[SystemEntropy], RelayPlane]) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = await Rig.open(make(SystemEntropy()), ends)
            hosts = [end.getsockname()[0] for end in ends.peers(0)]
            for peer in (0, 1):
                rig.apply(Permit(0, peer, 0))
            rig.apply(Send(0, 0, b"up"))
            rig.apply(FromPeer(0, 0, b"down", 3))
            rig.apply(Send(0, 2, b"not permitted"))
            rig.apply(FromPeer(0, 2, b"neither", 1))
            await until_quiet()
            client = rig.clients[0]
            assert client.permission_traffic(hosts[0]) == Traffic(1, 2, 3, 12)
            assert client.permission_traffic(hosts[1]) == client.permission_traffic(hosts[2]) == Traffic()
            assert client.traffic() == Traffic(1, 2, 3, 12, 2)
            # One that is given again begins anew: what went before is in the sum.
            rig.apply(Forbid(0, 0, 0))
            rig.apply(Permit(0, 0, 0))
            assert client.permission_traffic(hosts[0]) == Traffic()
            assert client.traffic() == Traffic(1, 2, 3, 12, 2)
            await rig.close()

    asyncio.run(scenario())


def test_a_channel_relays_nothing_after_its_end_even_before_the_engine_says_so() -> None:
    """TR-8: the plane holds the expiry itself."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = await Rig.open(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            wire = SocketAddress(*ends.peers(0)[0].getsockname())
            client = rig.clients[0]
            rig.plane.route(
                InstallChannelRoute(ChannelRoute(client.path, NUMBERS[0], rig.relays[0], wire, wire, Instant(1.0)))
            )
            rig.apply(FromClient(0, NUMBERS[0], b"up", 0))
            rig.apply(FromPeer(0, 0, b"down", 1))
            await until_quiet()
            assert await rig.heard() == ([[]] * CLIENTS, {})
            assert client.traffic() == Traffic(dropped=2)
            await rig.close()

    asyncio.run(scenario())


def test_a_run_that_the_kernel_cuts_arrives_whole_and_in_order() -> None:
    """Equal sizes leave as runs, and a run that came in is taken apart again."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = await Rig.open(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            payloads = [bytes([index]) * 600 for index in range(60)] + [b"short", bytes(600), b"", bytes(601)]
            for payload in payloads:
                rig.apply(FromClient(0, NUMBERS[0], payload, 0))
            await until_quiet()
            _, at_peers = await rig.heard()
            assert list(at_peers.values()) == [payloads]
            ends.peers(0)[0].sendmsg(
                [b"".join(payloads[:40])], [(17, 103, struct.pack("=H", 600))], 0, tuple(rig.relays[0])
            )
            await until_quiet()
            at_clients, _ = await rig.heard()
            assert [data[4:] for data in at_clients[0]] == payloads[:40]
            activity = rig.plane.activity()
            assert activity["sent"] > activity["sent_messages"]
            await rig.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("has_channel", [True, False], ids=["channel", "permission"])
def test_runs_for_a_stream_arrive_whole_and_in_order(has_channel: bool) -> None:
    """More datagrams of one wake than are gathered for one write."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack, KINDS[2:])
            rig = await Rig.open(BatchedPlane(SystemEntropy(), coalesce=0), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0) if has_channel else Permit(0, 0, 0))
            payloads = [struct.pack(">II", run, index) for run in range(25) for index in range(60)]
            for run in range(25):
                data = b"".join(payloads[60 * run : 60 * run + 60])
                ends.peers(0)[0].sendmsg([data], [(17, 103, struct.pack("=H", 8))], 0, tuple(rig.relays[0]))
            await until_quiet()
            at_clients, _ = await rig.heard()
            assert [data[4:] if has_channel else data[-8:] for data in at_clients[0]] == payloads
            assert rig.clients[0].traffic() == Traffic(0, 0, len(payloads), 8 * len(payloads))
            assert rig.plane.activity()["receives"] < 50
            await rig.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("make", [RelayPlane, lambda entropy: BatchedPlane(entropy, coalesce=0)])
def test_an_error_that_comes_instead_of_a_datagram_is_counted(make: Callable[[SystemEntropy], RelayPlane]) -> None:
    """ICMP says that nobody listens at the peer's port."""

    async def scenario() -> None:
        with ExitStack() as stack:
            ends = Ends(stack)
            rig = await Rig.open(make(SystemEntropy()), ends)
            rig.apply(Bind(0, NUMBERS[0], 0, 0))
            ends.peers(0)[0].close()
            for _ in range(3):
                rig.apply(FromClient(0, NUMBERS[0], b"anybody there?", 0))
                await until_quiet()
            assert rig.plane.loss().receive_errors > 0
            await rig.close()

    asyncio.run(scenario())


def test_a_plane_that_was_not_built_is_refused_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "available", lambda: False)
    assert type(make_plane("auto", SystemEntropy(), coalesce=0.0001)) is RelayPlane
    with pytest.raises(ConfigurationError, match=r"turn\.plane.*C compiler"):
        make_plane("compiled", SystemEntropy(), coalesce=0.0001)
