"""A bounded queue of frames and its three policies."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.frame_queue import MAX_CAPACITY, FrameQueue
from icelane.errors import LocalProtocolError, MediaStreamError
from tests.loops import Run


def test_latest_keeps_the_newest_frame(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue("latest")
        for frame in range(5):
            await queue.put(frame)
        assert (await queue.get(), queue.dropped, len(queue)) == (4, 4, 0)

    run(scenario())


def test_drop_oldest_keeps_the_last_few(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue("drop-oldest", capacity=3)
        for frame in range(5):
            assert queue.put_nowait(frame)
        assert [await queue.get() for _ in range(3)] == [2, 3, 4]
        assert queue.dropped == 2

    run(scenario())


def test_block_makes_who_brings_frames_wait_in_order(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue("block", capacity=2)
        puts = [asyncio.ensure_future(queue.put(frame)) for frame in range(5)]
        await asyncio.sleep(0)
        assert [put.done() for put in puts] == [True, True, False, False, False]
        assert not queue.put_nowait(9)
        assert [await queue.get() for _ in range(5)] == [0, 1, 2, 3, 4]
        await asyncio.gather(*puts)
        assert queue.dropped == 1

    run(scenario())


def test_a_reader_waits_and_a_cancelled_one_passes_its_turn_on(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue()
        first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.put_nowait(1)
        first.cancel()
        assert await second == 1
        assert first.cancelled()

    run(scenario())


def test_after_the_end_what_waits_is_read_and_then_there_is_an_error(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue()
        queue.put_nowait(1)
        queue.close()
        assert not queue.put_nowait(2)
        assert await queue.get() == 1
        with pytest.raises(MediaStreamError):
            await queue.get()

    run(scenario())


def test_the_end_wakes_readers_and_writers(run: Run) -> None:
    async def scenario() -> None:
        empty: FrameQueue[int] = FrameQueue()
        readers = [asyncio.ensure_future(empty.get()) for _ in range(2)]
        full: FrameQueue[int] = FrameQueue("block", capacity=1)
        full.put_nowait(1)
        writers = [asyncio.ensure_future(full.put(2)) for _ in range(2)]
        await asyncio.sleep(0)
        empty.close()
        full.close(discard=True)
        for reader in readers:
            with pytest.raises(MediaStreamError):
                await reader
        await asyncio.gather(*writers)
        with pytest.raises(MediaStreamError):
            await full.get()

    run(scenario())


def test_what_is_out_of_date_is_dropped_from_the_front(run: Run) -> None:
    async def scenario() -> None:
        queue: FrameQueue[int] = FrameQueue()
        for frame in (1, 2, 5, 3):
            queue.put_nowait(frame)
        queue.drop_while(lambda frame: frame < 4)
        assert (await queue.get(), await queue.get(), queue.dropped) == (5, 3, 2)

    run(scenario())


@pytest.mark.parametrize("capacity", [0, MAX_CAPACITY + 1])
def test_a_queue_has_a_bound(capacity: int) -> None:
    with pytest.raises(LocalProtocolError):
        FrameQueue(capacity=capacity)


def test_there_is_no_fourth_policy() -> None:
    with pytest.raises(LocalProtocolError):
        FrameQueue("keep-all")  # type: ignore[arg-type]
