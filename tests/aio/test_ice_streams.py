"""Two connections over TCP on loopback, and strangers who connect to us (RFC 6544)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from icelane import RTCPeerConnection, RTCSessionDescription
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.ice_streams import (
    CHECK_RESERVE,
    FIRST_FRAME,
    MAX_BUFFERED,
    MAX_UNPROVED_PER_SOURCE,
    IceStream,
    IceStreams,
)
from icelane.core.net import SocketAddress
from icelane.ice.check import Check, encode_check
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole
from icelane.ice.framing import encode_frame
from tests.aio.peers import PATIENCE, configured, pair, until
from tests.loops import Run

ACTIVE, PASSIVE = configured(ice_tcp="active"), configured(ice_tcp="passive")


def without_udp(description: RTCSessionDescription | None) -> RTCSessionDescription:
    """The same for a peer whose datagrams go nowhere."""
    assert description is not None
    lines = description.sdp.splitlines(keepends=True)
    return RTCSessionDescription(
        type=description.type, sdp="".join(line for line in lines if not ("candidate:" in line and " udp " in line))
    )


def streams_of(pc: RTCPeerConnection) -> IceStreams:
    return pc._driver._ice_streams


def only_stream(pc: RTCPeerConnection) -> IceStream:
    (stream,) = streams_of(pc)._streams_by_path.values()
    return stream


@asynccontextmanager
async def tcp_channels(
    *, offerer_is_active: bool = True
) -> AsyncIterator[tuple[RTCPeerConnection, RTCDataChannel, RTCPeerConnection, RTCDataChannel]]:
    """Two connections over TCP, and the ends of a channel between them."""
    one, other = (ACTIVE, PASSIVE) if offerer_is_active else (PASSIVE, ACTIVE)
    async with pair(one, other) as (alice, bob):
        announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        bob.on("datachannel", announced.set_result)
        near = alice.createDataChannel("chat")
        await alice.setLocalDescription()
        await alice.gathering_complete()
        await bob.setRemoteDescription(without_udp(alice.localDescription))
        await bob.setLocalDescription()
        await bob.gathering_complete()
        await alice.setRemoteDescription(without_udp(bob.localDescription))
        await asyncio.gather(alice.connected(PATIENCE), bob.connected(PATIENCE))
        await near.opened()
        yield alice, near, bob, await announced


async def assert_transfers(sender: RTCDataChannel, receiver: RTCDataChannel, total: int) -> None:
    sent, received = hashlib.sha256(), hashlib.sha256()

    async def receive() -> None:
        left = total
        while left:
            message = await receiver.receive()
            assert isinstance(message, bytes)
            received.update(message)
            left -= len(message)

    receiving = asyncio.create_task(receive())
    for number in range(total // 16384):
        message = number.to_bytes(4, "big") * 4096
        sent.update(message)
        sender.send(message)
        await sender.drain()
    await receiving
    assert received.digest() == sent.digest()


@pytest.mark.parametrize("offerer_is_active", [True, False])
def test_two_of_ours_connect_over_tcp_and_bytes_arrive_unchanged(run: Run, offerer_is_active: bool) -> None:
    async def scenario() -> None:
        async with tcp_channels(offerer_is_active=offerer_is_active) as (alice, near, bob, far):
            await asyncio.gather(assert_transfers(near, far, 8 << 20), assert_transfers(far, near, 8 << 20))
            for pc in (alice, bob):
                report = await pc.getStats()
                selected = report[str(report["T"]["selectedCandidatePairId"])]
                local, remote = (report[str(selected[f"{side}CandidateId"])] for side in ("local", "remote"))
                assert local["protocol"] == remote["protocol"] == "tcp"
                assert {local["tcpType"], remote["tcpType"]} == {"active", "passive"}
                assert str(pc.security_report().selected_pair).startswith("tcp ")
        assert not streams_of(alice).paths
        assert not streams_of(bob).paths
        assert not streams_of(bob).bases

    run(scenario())


def test_udp_is_preferred_and_no_connection_stays(run: Run) -> None:
    async def scenario() -> None:
        async with pair(configured(ice_tcp="both"), configured(ice_tcp="both")) as (alice, bob):
            near = alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            await bob.setLocalDescription()
            await bob.gathering_complete()
            assert bob.localDescription is not None
            await alice.setRemoteDescription(bob.localDescription)
            await near.opened()
            assert not str(alice.security_report().selected_pair).startswith("tcp ")
            await until(lambda: not streams_of(alice).paths and not streams_of(bob).paths)

    run(scenario())


def test_a_connection_that_is_reset_is_made_again_and_nothing_is_lost(run: Run) -> None:
    async def scenario() -> None:
        async with tcp_channels() as (alice, near, bob, far):
            for pc in (alice, bob):
                before = streams_of(alice).paths
                only_stream(pc).abort()
                near.send("after")
                assert await far.receive() == "after"
                assert streams_of(alice).paths != before

    run(scenario())


def test_a_peer_that_does_not_read_costs_no_more_than_the_bound(run: Run) -> None:
    async def scenario() -> None:
        async with tcp_channels() as (alice, near, bob, far):
            stream, reading = only_stream(alice), only_stream(bob)._transport
            assert reading is not None
            reading.pause_reading()
            total = 16 << 20
            receiving = asyncio.create_task(assert_transfers(near, far, total))
            highest = 0
            for _ in range(100):
                await asyncio.sleep(0.005)
                highest = max(highest, stream.buffered)
            assert highest <= MAX_BUFFERED + CHECK_RESERVE + 1500
            reading.resume_reading()
            await receiving

    run(scenario())


# -- strangers


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[RTCPeerConnection, SocketAddress]]:
    """A connection that waits for a peer, and where it listens."""
    async with asyncio.timeout(PATIENCE), RTCPeerConnection(PASSIVE) as pc:
        streams_of(pc)._accept_deadline = 10 * PATIENCE
        pc.createDataChannel("chat")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        base = next(base for base in streams_of(pc).bases if ":" not in base.host)
        yield pc, base


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closes, without having said anything."""
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


def assert_no_trace(pc: RTCPeerConnection) -> None:
    streams = streams_of(pc)
    assert not streams.paths
    assert not streams._unproved
    assert streams._accepted == 0
    assert pc._engine.transport is not None
    assert not pc._engine.transport.ice.agent.pairs()


def a_check(pc: RTCPeerConnection, password: str | None) -> bytes:
    """A Binding request for `pc`, by somebody who calls itself `somebody`."""
    assert pc._engine.transport is not None
    ours = pc._engine.transport.ice.agent.credentials
    check = Check(priority=1, use_candidate=False, role=IceRole.CONTROLLED, tie_breaker=1)
    receiver = Credentials(ours.ufrag, password or ours.password)
    return encode_check(bytes(12), check, local=Credentials("somebody", "x" * 24), remote=receiver)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode_frame(b"\x16\xfe\xfd" + bytes(100)),
        encode_frame(bytes(20)),
        b"\x08\x01",  # FIRST_FRAME and one more
        encode_frame(b"") * (FIRST_FRAME // 2 + 2),
        None,
    ],
    ids=["HTTP", "DTLS", "STUN without a signature", "too long", "empty frames", "a check with another password"],
)
def test_who_does_not_begin_with_a_check_is_closed_and_forgotten(run: Run, first: bytes | None) -> None:
    """IC-3: an accepted connection has one frame to prove the password."""

    async def scenario() -> None:
        async with listening() as (pc, base):
            reader, writer = await asyncio.open_connection(*base)
            writer.write(first or encode_frame(a_check(pc, "another password, long enough")))
            assert await is_closed(reader)
            writer.close()
            await until(lambda: not streams_of(pc).paths)
            assert_no_trace(pc)
            assert streams_of(pc).refused == 1

    run(scenario())


def test_a_check_behind_too_many_empty_frames_proves_nothing(run: Run) -> None:
    """IC-3: all bytes before the proof count, those of empty frames in one large piece among them."""

    async def scenario() -> None:
        async with listening() as (pc, base):
            check = encode_frame(a_check(pc, None))
            reader, writer = await asyncio.open_connection(*base)
            writer.write(encode_frame(b"") * (FIRST_FRAME // 2) + check)
            assert await is_closed(reader)
            writer.close()
            await until(lambda: not streams_of(pc).paths)
            assert_no_trace(pc)
            assert streams_of(pc).refused == 1
            reader, writer = await asyncio.open_connection(*base)
            writer.write(encode_frame(b"") * 10 + check + encode_frame(b"\x16\xfe\xfd" + bytes(4 * FIRST_FRAME)))
            assert await reader.readexactly(2) > b"\x00\x00"
            assert not streams_of(pc)._unproved
            writer.close()

    run(scenario())


def test_who_says_nothing_is_closed_at_the_deadline(run: Run) -> None:
    """IC-3: and so is who sends byte after byte."""

    async def scenario() -> None:
        async with listening() as (pc, base):
            streams_of(pc)._accept_deadline = 0.1
            silent, silent_writer = await asyncio.open_connection(*base)
            slow, slow_writer = await asyncio.open_connection(*base)
            slow_writer.write(b"\x00")
            assert await is_closed(silent)
            assert await is_closed(slow)
            silent_writer.close()
            slow_writer.close()
            await until(lambda: not streams_of(pc).paths)
            assert_no_trace(pc)

    run(scenario())


def test_one_source_has_few_connections_that_prove_nothing(run: Run) -> None:
    """IC-3: the bound is for each source, and frees itself."""

    async def scenario() -> None:
        async with listening() as (pc, base):
            opened = [await asyncio.open_connection(*base) for _ in range(MAX_UNPROVED_PER_SOURCE + 3)]
            await until(lambda: streams_of(pc).refused == 3)
            assert len(streams_of(pc)._unproved) == MAX_UNPROVED_PER_SOURCE
            for _, writer in opened:
                writer.close()
            await until(lambda: not streams_of(pc).paths)
            reader, writer = await asyncio.open_connection(*base)
            writer.write(encode_frame(a_check(pc, None)))
            answer = await reader.readexactly(2)
            assert answer > b"\x00\x00"
            assert len(streams_of(pc).paths) == 1
            assert not streams_of(pc)._unproved
            writer.close()
            await until(lambda: not streams_of(pc).paths)
            assert streams_of(pc)._accepted == 0

    run(scenario())


def test_with_relay_only_nothing_listens_and_nothing_of_tcp_is_told(run: Run) -> None:
    """IC-8: no listener, no candidate."""

    async def scenario() -> None:
        async with RTCPeerConnection(configured(ice_tcp="both", iceTransportPolicy="relay")) as pc:
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert not streams_of(pc).bases
            assert pc.localDescription is not None
            assert "tcp" not in pc.localDescription.sdp.lower()

    run(scenario())


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [("off", set()), ("active", {"active"}), ("passive", {"passive"}), ("both", {"active", "passive"})],
)
def test_the_setting_says_which_candidates_there_are(run: Run, setting: str, kinds: set[str]) -> None:
    async def scenario() -> None:
        async with RTCPeerConnection(configured(ice_tcp=setting)) as pc:
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            lines = [line.split() for line in pc.localDescription.sdp.splitlines() if " tcp " in line]
            assert {line[line.index("tcptype") + 1] for line in lines} == kinds
            assert all(line[5] == "9" for line in lines if "active" in line)

    run(scenario())


async def tcp_lines(**settings: object) -> list[str]:
    """The candidates of TCP of a connection with these settings, over IPv4."""
    async with RTCPeerConnection(configured(**settings)) as pc:
        pc.createDataChannel("chat")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        lines = pc.localDescription.sdp.splitlines()
        return [line for line in lines if " tcp " in line and "::1" not in line]


def test_we_listen_within_the_range_of_ports() -> None:
    (line,) = asyncio.run(tcp_lines(ice_tcp="passive", port_range=(47_000, 47_100)))
    assert 47_000 <= int(line.split()[5]) <= 47_100


def test_a_public_address_stands_in_place_of_ours_or_beside_it() -> None:
    replaced = asyncio.run(tcp_lines(ice_tcp="both", external_addresses="203.0.113.5"))
    assert [line.split()[4] for line in replaced] == ["203.0.113.5", "203.0.113.5"]
    assert "127.0.0.1" not in "".join(replaced)
    beside = asyncio.run(tcp_lines(ice_tcp="both", external_addresses="203.0.113.5", external_address_type="srflx"))
    assert [(line.split()[4], line.split()[7]) for line in beside] == [
        ("127.0.0.1", "host"),
        ("127.0.0.1", "host"),
        ("203.0.113.5", "srflx"),
    ]


def test_a_lite_agent_has_no_active_candidates() -> None:
    """RFC 6544 section 4.4: it checks nothing, and so connects to nobody."""
    assert asyncio.run(tcp_lines(ice_tcp="active", ice_lite=True)) == []
    (line,) = asyncio.run(tcp_lines(ice_tcp="both", ice_lite=True))
    assert "tcptype passive" in line
