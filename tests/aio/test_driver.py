"""The driver, with an engine that writes down how it is called."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from icelane.aio.driver import Driver
from icelane.aio.system import monotonic
from icelane.core.clock import Instant, later
from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport

PATH = Path(SocketAddress("192.0.2.1", 1), SocketAddress("192.0.2.2", 2), Transport.UDP)


class Recorder:
    """An engine that only remembers, sends what it is told to and wants to be woken when it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.transmits: deque[Transmit] = deque()
        self.events: deque[str] = deque()
        self.deadline: Instant | None = None
        self.woken = asyncio.Event()

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        self.calls.append("datagram")
        self.transmits.append(Transmit(path, data))
        self.events.append(data.decode())

    def handle_timeout(self, now: Instant) -> None:
        self.calls.append("timeout")
        assert self.deadline is None or now >= self.deadline - 0.01
        self.deadline = None
        self.woken.set()

    def poll_transmit(self) -> Transmit | None:
        self.calls.append("poll_transmit")
        return self.transmits.popleft() if self.transmits else None

    def poll_event(self) -> str | None:
        self.calls.append("poll_event")
        return self.events.popleft() if self.events else None

    def next_timeout(self) -> Instant | None:
        self.calls.append("next_timeout")
        return self.deadline


def drive(engine: Recorder, on_event: Callable[[str], object]) -> tuple[Driver[str], list[bytes]]:
    sent: list[bytes] = []
    return Driver(engine, transmit=lambda transmit: sent.append(transmit.data), on_event=on_event), sent


def test_every_mutation_is_followed_by_one_whole_drain_and_one_look_at_the_clock() -> None:
    async def scenario() -> None:
        engine = Recorder()
        events: list[str] = []
        driver, sent = drive(engine, events.append)
        driver.handle_datagram(b"a", PATH)
        assert sent == [b"a"]
        assert events == ["a"]
        assert engine.calls == [
            "datagram",
            *("poll_transmit", "poll_transmit", "poll_event"),
            *("poll_transmit", "poll_event", "next_timeout"),
        ]
        driver.close()

    asyncio.run(scenario())


def test_a_verb_called_from_an_event_is_drained_after_it() -> None:
    async def scenario() -> None:
        engine = Recorder()
        order: list[str] = []

        def react(event: str) -> None:
            order.append(f"begin {event}")
            if event == "a":
                driver.run(lambda _: engine.events.append("b"))
            order.append(f"end {event}")

        driver, _ = drive(engine, react)
        driver.handle_datagram(b"a", PATH)
        assert order == ["begin a", "end a", "begin b", "end b"]
        assert engine.calls.count("next_timeout") == 1
        driver.close()

    asyncio.run(scenario())


def test_the_timer_follows_the_earliest_deadline() -> None:
    async def scenario() -> None:
        engine = Recorder()
        driver, _ = drive(engine, lambda _: None)
        engine.deadline = later(monotonic(), 3600)
        driver.run(lambda _: None)
        engine.deadline = later(monotonic(), 0.005)
        driver.run(lambda _: None)
        await asyncio.wait_for(engine.woken.wait(), 5)
        assert engine.calls.count("timeout") >= 1
        assert not driver._wakeup.armed
        driver.close()

    asyncio.run(scenario())


def test_an_exception_in_a_callback_reaches_the_caller_and_loses_nothing() -> None:
    async def scenario() -> None:
        engine = Recorder()
        events: list[str] = []

        def fail_once(event: str) -> None:
            events.append(event)
            if len(events) == 1:
                raise RuntimeError("handler")

        driver, _ = drive(engine, fail_once)
        engine.events.append("first")
        engine.deadline = later(monotonic(), 3600)
        with pytest.raises(RuntimeError):
            driver.handle_datagram(b"second", PATH)
        assert driver._wakeup.armed
        driver.run(lambda _: None)
        assert events == ["first", "second"]
        driver.close()

    asyncio.run(scenario())


def test_a_closed_driver_leaves_the_engine_alone() -> None:
    async def scenario() -> None:
        engine = Recorder()
        driver, sent = drive(engine, lambda _: None)
        engine.deadline = later(monotonic(), 3600)
        driver.run(lambda _: None)
        driver.close()
        driver.close()
        driver.handle_datagram(b"a", PATH)
        assert sent == []
        assert "datagram" not in engine.calls
        assert not driver._wakeup.armed

    asyncio.run(scenario())
