"""The driver of a peer connection, on loopback: what is sent in one turn of the loop leaves together, and whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection
from icelane.core.clock import Instant

TIMEOUT = 10.0


@contextlib.asynccontextmanager
async def two_peers() -> AsyncIterator[tuple[RTCPeerConnection, RTCDataChannel, RTCPeerConnection, RTCDataChannel]]:
    """Two connections, and the ends of one channel that is open."""
    configuration = RTCConfiguration(interfaces=["lo"])
    async with (
        asyncio.timeout(TIMEOUT),
        RTCPeerConnection(configuration) as offerer,
        RTCPeerConnection(configuration) as answerer,
    ):
        announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        answerer.on("datachannel", announced.set_result)
        near = offerer.createDataChannel("test")
        await offerer.setLocalDescription()
        await offerer.gathering_complete()
        assert offerer.localDescription is not None
        await answerer.setRemoteDescription(offerer.localDescription)
        await answerer.setLocalDescription()
        await answerer.gathering_complete()
        assert answerer.localDescription is not None
        await offerer.setRemoteDescription(answerer.localDescription)
        far = await announced
        await near.opened()
        yield offerer, near, answerer, far


def count_flushes(peer: RTCPeerConnection) -> list[Instant]:
    """When the engine of `peer` is flushed from now on."""
    flushes: list[Instant] = []
    engine, flush = peer._engine, peer._engine.flush

    def counted(now: Instant) -> None:
        flushes.append(now)
        flush(now)

    engine.flush = counted  # type: ignore[method-assign]  # a look inside
    return flushes


def test_messages_of_one_turn_leave_together_and_arrive_in_order() -> None:
    async def scenario() -> None:
        async with two_peers() as (offerer, near, _, far):
            flushes = count_flushes(offerer)
            messages = [b"%d" % number * 300 for number in range(200)]
            for message in messages:
                near.send(message)
            assert len(flushes) == 1, "the first does not wait"
            assert [await far.receive() for _ in messages] == messages
            assert len(flushes) == 2

    asyncio.run(scenario())


def test_a_message_alone_leaves_at_once() -> None:
    async def scenario() -> None:
        async with two_peers() as (_, near, _, far):
            near.send(b"alone")
            assert near.bufferedAmount == 0
            assert await far.receive() == b"alone"

    asyncio.run(scenario())


def test_answers_of_a_handler_leave_with_the_datagrams_that_brought_the_questions() -> None:
    async def scenario() -> None:
        async with two_peers() as (_, near, answerer, far):
            flushes = count_flushes(answerer)
            far.on("message", far.send)
            for number in range(50):
                near.send(f"{number}")
            assert [await near.receive() for _ in range(50)] == [f"{number}" for number in range(50)]
            assert len(flushes) < 10

    asyncio.run(scenario())


def test_what_was_sent_arrives_before_the_end_even_in_the_same_turn() -> None:
    async def scenario() -> None:
        async with two_peers() as (offerer, near, _, far):
            messages = [bytes([number]) * 2000 for number in range(100)]
            for message in messages:
                near.send(message)
            closing = asyncio.create_task(offerer.close())
            assert [message async for message in far] == messages
            await closing

    asyncio.run(scenario())


def test_a_drained_channel_has_let_its_messages_go() -> None:
    async def scenario() -> None:
        async with two_peers() as (_, near, _, far):
            far.on("message", lambda _: None)
            for _ in range(100):
                near.send(bytes(16_384))
            assert near.bufferedAmount > 256 * 1024
            await near.drain()
            assert near.bufferedAmount <= 256 * 1024

    asyncio.run(scenario())


def test_nothing_is_flushed_after_the_end() -> None:
    async def scenario() -> None:
        async with two_peers() as (offerer, near, _, _):
            near.send(b"first")
            near.send(b"second")
            await offerer.close(timeout=0)
            flushes = count_flushes(offerer)
            await asyncio.sleep(0)
            assert not flushes

    asyncio.run(scenario())
