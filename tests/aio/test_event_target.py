from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from icelane.aio.event_target import MAX_HANDLER_TASKS, Event, EventTarget
from icelane.errors import LocalProtocolError
from tests.loops import Run


class Bell(EventTarget):
    EVENTS = frozenset({"ring", "break"})

    def ring(self, *bare: object, **attributes: object) -> None:
        self._emit("ring", *bare, **attributes)


def test_handlers_get_the_bare_object_in_the_order_in_which_they_came() -> None:
    bell = Bell()
    heard: list[Any] = []
    bell.on("ring", lambda what: heard.append(("first", what)))

    @bell.on("ring")
    def second(what: object) -> None:
        heard.append(("second", what))

    bell.ring("loud", volume=3)
    assert heard == [("first", "loud"), ("second", "loud")]


def test_an_attribute_gets_the_event_object_of_w3c() -> None:
    bell = Bell()
    heard: list[Any] = []
    bell.onring = heard.append
    bell.ring("loud", volume=3)
    (event,) = heard
    assert isinstance(event, Event)
    assert (event.type, event.target, event.volume) == ("ring", bell, 3)
    assert bell.onring is not None
    bell.onring = None
    bell.ring("again")
    assert len(heard) == 1
    assert bell.onring is None


def test_once_is_once_even_when_the_handler_rings_again() -> None:
    bell = Bell()
    heard: list[Any] = []

    def again() -> None:
        heard.append("heard")
        bell.ring()

    bell.once("ring", again)
    bell.ring()
    assert heard == ["heard"]


def test_a_removed_handler_hears_nothing_and_removing_a_stranger_is_harmless() -> None:
    bell = Bell()
    heard: list[Any] = []
    bell.on("ring", heard.append)
    bell.remove_listener("ring", heard.append)
    bell.remove_listener("ring", print)
    handler = bell.on("ring", lambda what: heard.append(what))
    bell.remove_listener("ring", handler)
    assert not bell.has_listener("ring")


def test_an_event_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(LocalProtocolError, match="Bell has no event 'rign': break, ring"):
        Bell().on("rign", print)
    with pytest.raises(AttributeError):
        _ = Bell().onrign
    with pytest.raises(LocalProtocolError, match="onring takes a function"):
        Bell().onring = 3


def test_what_a_handler_raises_is_logged_and_counted_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bell = Bell()
    heard: list[Any] = []

    def fails() -> None:
        raise RuntimeError("out of order")

    bell.on("ring", fails)
    bell.on("ring", lambda: heard.append("heard"))
    with caplog.at_level(logging.ERROR):
        bell.ring()
    assert heard == ["heard"]
    assert bell.handler_errors == 1
    assert "a handler of 'ring' failed" in caplog.text


def test_asynchronous_handlers_run_as_tasks_and_their_exceptions_are_counted(run: Run) -> None:
    async def main() -> None:
        bell, done = Bell(), asyncio.Event()

        @bell.on("ring")
        async def slow() -> None:
            await asyncio.sleep(0)
            done.set()

        @bell.on("ring")
        async def fails() -> None:
            raise RuntimeError("out of order")

        bell.ring()
        await done.wait()
        await asyncio.sleep(0)
        assert bell.handler_errors == 1
        assert not bell._tasks

    run(main())


def test_handlers_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr("icelane.aio.event_target.MAX_HANDLER_TASKS", 3)
    assert MAX_HANDLER_TASKS > 3

    async def main() -> None:
        bell = Bell()
        started: list[int] = []

        @bell.on("ring")
        async def waits() -> None:
            started.append(1)
            await asyncio.Event().wait()

        for _ in range(5):
            bell.ring()
        await asyncio.sleep(0)
        assert len(started) == 3
        for task in list(bell._tasks):
            task.cancel()
        await asyncio.sleep(0)

    run(main())


def test_what_stands_before_the_first_suspension_of_a_handler_runs_at_once_and_as_its_own_task(run: Run) -> None:
    async def main() -> None:
        bell = Bell()
        heard: list[Any] = []
        around = asyncio.current_task()

        async def handler(*_: object) -> None:
            heard.append("begun")
            async with asyncio.timeout(60):
                heard.append(asyncio.current_task())
                await asyncio.sleep(0)
                heard.append(asyncio.current_task())
                await asyncio.get_running_loop().run_in_executor(None, heard.append, "elsewhere")
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            heard.append("ended")

        bell.on("ring", handler)
        bell.onbreak = handler
        (task,) = bell._emit("ring")
        assert heard == ["begun", task]
        assert asyncio.current_task() is around
        await task
        assert heard == ["begun", task, task, "elsewhere", "ended"]
        # Out of a callback of the loop, where there is no task around.
        heard.clear()
        asyncio.get_running_loop().call_soon(bell._emit, "break")
        await asyncio.sleep(0)
        assert heard[0] == "begun"
        await asyncio.gather(*bell._tasks)
        assert heard[-1] == "ended"
        assert bell.handler_errors == 0

    run(main())


def test_a_handler_that_is_cancelled_at_its_first_suspension_cleans_up_behind_itself(run: Run) -> None:
    async def main() -> None:
        bell = Bell()
        heard: list[Any] = []
        forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        @bell.on("ring")
        async def waits() -> None:
            try:
                async with asyncio.timeout(60):
                    await forever
            finally:
                heard.append("cleaned up")

        for turns in (0, 1, 2):
            (task,) = bell._emit("ring")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            forever = asyncio.get_running_loop().create_future()
        assert heard == ["cleaned up"] * 3
        assert bell.handler_errors == 0

    run(main())


def test_a_handler_that_never_suspends_has_ended_when_the_event_was_told(run: Run) -> None:
    async def main() -> None:
        bell = Bell()
        heard: list[Any] = []

        @bell.on("ring")
        async def quick(what: object) -> None:
            heard.append(what)

        @bell.on("break")
        async def fails() -> None:
            raise RuntimeError("out of order")

        bell.ring("loud")
        assert heard == ["loud"]
        bell._emit("break")
        assert bell.handler_errors == 1
        await asyncio.gather(*bell._tasks)
        await asyncio.gather(*bell._tasks)
        await asyncio.sleep(0)
        assert not bell._tasks

    run(main())
