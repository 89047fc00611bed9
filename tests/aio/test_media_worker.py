"""Work off the event loop: in order, few threads, nothing left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from icelane.aio.media_worker import MAX_WAITING, MediaWorkers, run_in_thread
from icelane.errors import LocalProtocolError, OperationError
from tests.loops import Run


def test_work_of_a_lane_runs_in_order_on_another_thread(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(3)
        lane, order = workers.lane(), list[int]()
        await asyncio.gather(*(lane.run(order.append, number) for number in range(MAX_WAITING)))
        assert order == list(range(MAX_WAITING))
        assert await lane.run(threading.current_thread) is not threading.current_thread()
        assert workers.threads == 1
        await workers.close()

    run(scenario())


def test_lanes_run_beside_each_other_on_a_bounded_number_of_threads(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(2)
        both = threading.Barrier(2, timeout=10)
        await asyncio.gather(workers.lane().run(both.wait), workers.lane().run(both.wait))
        lanes = [workers.lane() for _ in range(20)]
        names = set(await asyncio.gather(*(lane.run(lambda: threading.current_thread().name) for lane in lanes)))
        assert workers.threads == 2
        assert len(names) <= 2
        await workers.close()

    run(scenario())


def test_a_busy_lane_leaves_others_their_turn(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(1)
        busy, other, order = workers.lane(), workers.lane(), list[str]()
        gate = threading.Event()
        first = asyncio.ensure_future(busy.run(gate.wait))
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(busy.run(order.append, "busy")) for _ in range(5)]
        await asyncio.sleep(0)
        between = asyncio.ensure_future(other.run(order.append, "other"))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, between, *rest)
        assert order.index("other") <= 1
        await workers.close()

    run(scenario())


def test_what_is_raised_is_raised_where_it_is_awaited(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(1)
        lane = workers.lane()
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 1, 0)
        assert await lane.run(divmod, 7, 3) == (2, 1)
        await workers.close()

    run(scenario())


def test_cancelled_work_does_not_begin(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(1)
        lane, gate, done = workers.lane(), threading.Event(), list[int]()
        first = asyncio.ensure_future(lane.run(gate.wait))
        second = asyncio.ensure_future(lane.run(done.append, 2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first
        await lane.run(done.append, 3)
        assert done == [3]
        await workers.close()

    run(scenario())


def test_more_work_than_anybody_can_be_waiting_for_is_refused(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(1)
        lane, gate = workers.lane(), threading.Event()
        running = asyncio.ensure_future(workers.lane().run(gate.wait))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(lane.run(gate.wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(OperationError):
            await lane.run(gate.wait)
        gate.set()
        await asyncio.gather(running, *waiting)
        await workers.close()

    run(scenario())


def test_a_lane_closes_behind_its_work(run: Run) -> None:
    async def scenario() -> None:
        workers = MediaWorkers(1)
        lane, order = workers.lane(), list[str]()
        work = asyncio.ensure_future(lane.run(order.append, "work"))
        await asyncio.sleep(0)
        await lane.close(lambda: order.append("end"))
        await lane.close(lambda: order.append("again"))
        assert order == ["work", "end"]
        assert work.done()
        with pytest.raises(OperationError):
            await lane.run(order.append, "late")
        other = workers.lane()
        await workers.close()
        await other.close(lambda: order.append("after"))
        assert order == ["work", "end", "after"]

    run(scenario())


def test_closing_ends_every_thread_and_raises_where_somebody_waits(run: Run) -> None:
    async def scenario() -> None:
        before = threading.active_count()
        workers = MediaWorkers(1)
        lane, gate = workers.lane(), threading.Event()
        running = asyncio.ensure_future(lane.run(gate.wait))
        waiting = [asyncio.ensure_future(lane.run(gate.wait)), asyncio.ensure_future(workers.lane().run(gate.wait))]
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(workers.close())
        await asyncio.sleep(0.01)
        gate.set()
        await closing
        assert await running is True
        for work in waiting:
            with pytest.raises(OperationError):
                await work
        with pytest.raises(OperationError):
            workers.lane()
        with pytest.raises(OperationError):
            await lane.run(gate.wait)
        await workers.close()
        for thread in threading.enumerate():
            if thread.name == "media-workers-end":
                thread.join(5)
        assert threading.active_count() == before

    run(scenario())


def test_every_thread_is_a_daemon() -> None:
    """A program that ends while a codec works, without closing anything, ends."""
    program = """
import asyncio, threading, time
from icelane.aio.media_worker import MediaWorkers
async def main():
    lane = MediaWorkers(2).lane()
    asyncio.ensure_future(lane.run(time.sleep, 60))
    await asyncio.sleep(0.05)
    assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    assert threading.active_count() == 2
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)


def test_a_thread_of_its_own_gives_what_it_returns(run: Run) -> None:
    async def scenario() -> None:
        assert await run_in_thread(lambda: threading.current_thread().name, name="alone") == "alone"
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(lambda: 1 // 0, name="alone")

    run(scenario())


def test_there_is_a_thread_at_least() -> None:
    with pytest.raises(LocalProtocolError):
        MediaWorkers(0)
