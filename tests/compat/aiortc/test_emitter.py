"""The emitter: what pyee does, and what is ours in it. `programs/emitter.py` compares it with pyee's."""

from __future__ import annotations

import asyncio
import logging

import pytest

from icelane.compat.aiortc import emitter
from icelane.compat.aiortc.emitter import Emitter


def test_handlers_are_called_in_order_and_once_ones_are_forgotten() -> None:
    events, heard = Emitter(), list[str]()
    events.on("word", lambda: heard.append("first"))

    @events.once("word")
    def second() -> None:
        heard.append("second")

    assert events.emit("word")
    assert events.emit("word")
    assert heard == ["first", "second", "first"]
    assert second not in events.listeners("word")


def test_a_handler_that_another_one_removes_is_not_called() -> None:
    events, heard = Emitter(), list[str]()

    def last() -> None:
        heard.append("last")

    events.on("word", lambda: events.remove_listener("word", last))
    events.once("word", last)
    events.emit("word")
    assert heard == []


def test_removing_who_is_not_there_is_a_keyerror_while_others_are() -> None:
    events = Emitter()
    events.remove_listener("word", print)
    events.on("word", repr)
    with pytest.raises(KeyError):
        events.remove_listener("word", print)


def test_a_failure_goes_to_the_handlers_of_error() -> None:
    events, errors = Emitter(), list[str]()
    events.on("error", lambda error: errors.append(str(error)))

    async def main() -> None:
        @events.on("word")
        async def fails() -> None:
            raise ValueError("later")

        events.on("word", lambda: 1 / 0)
        events.emit("word")
        assert not events.complete
        await events.wait_for_complete()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert errors == ["division by zero", "later"]


def test_a_failure_that_nobody_handles_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Emitter(), list[str]()
    events.on("word", lambda: 1 / 0)
    events.on("word", lambda: heard.append("word"))
    with caplog.at_level(logging.ERROR):
        events.emit("word")
    assert heard == ["word"]
    assert "a handler of 'word' failed" in caplog.text


def test_an_error_that_nobody_handles_is_raised_to_who_emits_it() -> None:
    with pytest.raises(ValueError, match="mine"):
        Emitter().emit("error", ValueError("mine"))


def test_tasks_are_cancelled_together() -> None:
    events, ended = Emitter(), list[str]()

    @events.on("word")
    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def main() -> None:
        events.emit("word")
        await asyncio.sleep(0)
        events.cancel()
        await events.wait_for_complete()

    asyncio.run(main())
    assert ended == ["ended"]


def test_handlers_without_an_end_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(emitter, "MAX_HANDLER_TASKS", 3)
    events, begun = Emitter(), list[int]()

    @events.on("word")
    async def waits(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    async def main() -> None:
        for number in range(5):
            events.emit("word", number)
        await asyncio.sleep(0)
        events.cancel()
        await events.wait_for_complete()

    asyncio.run(main())
    assert begun == [0, 1, 2]
    assert "was not run" in caplog.text
