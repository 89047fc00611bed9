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
