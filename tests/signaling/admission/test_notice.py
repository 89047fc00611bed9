"""What programs are told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from icelane.signaling.admission import notice
from icelane.signaling.admission.hook import Notice
from icelane.signaling.admission.hook_times import HookTimes
from icelane.signaling.admission.notice import Notices
from icelane.signaling.admission.request import Connected, Left
from tests.loops import Run, run
from tests.signaling.admission.entrance import NOW

__all__ = ["run"]


def connected(number: int) -> Connected:
    return Connected(identity=str(number), session="s", ip="203.0.113.7", at=NOW)


def test_notices_come_in_order_and_nobody_waits(run: Run) -> None:
    async def scenario() -> None:
        got: list[Notice] = []

        async def hook(event: Notice) -> object:
            await asyncio.sleep(0)
            got.append(event)
            return None

        notices = Notices({Connected: hook, Left: hook})
        sent: list[Notice] = [connected(1), Left(identity="1", session="s", reason="closed", at=NOW), connected(2)]
        for one in sent:
            notices.tell(one)
        assert got == []
        await notices.close()
        assert got == sent
        notices.tell(sent[0])
        await notices.close()
        assert got == [*sent, sent[0]]

    run(scenario())


def test_what_became_of_each_is_counted(run: Run) -> None:
    async def scenario() -> None:
        async def fails_once(_: Notice) -> object:
            if not times.times:
                raise RuntimeError
            return None

        times = HookTimes()
        notices = Notices({Connected: fails_once}, times=times)
        for number in range(3):
            notices.tell(connected(number))
        await notices.close()
        counts = {key: time.cumulative[-1] for key, time in times.times.items()}
        assert counts == {("on_connected", "failed"): 1, ("on_connected", "told"): 2}

    run(scenario())


def test_nothing_is_queued_for_nobody() -> None:
    notices = Notices({})
    notices.tell(connected(1))
    assert len(notices) == 0


def test_the_queue_has_an_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-10: a hook that does not read costs the oldest notices and no memory."""
    monkeypatch.setattr(notice, "MAX_QUEUED", 5)
    monkeypatch.setattr(notice, "_LINGER", 0.05)

    async def scenario() -> None:
        async def hangs(_: Notice) -> object:
            await asyncio.Event().wait()
            return None

        times = HookTimes()
        notices = Notices({Connected: hangs}, timeout=30, times=times)
        for number in range(100):
            notices.tell(connected(number))
        assert len(notices) == 5
        assert times.dropped == {"on_connected": 95, "on_left": 0}
        await notices.close()

    run(scenario())


def test_a_hook_that_fails_is_said_and_the_next_notice_goes_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """SG-3: an exception, a cancellation and a hang each end only themselves."""
    got: list[str] = []

    async def scenario() -> None:
        async def hook(event: Notice) -> object:
            match event.identity:
                case "1":
                    raise RuntimeError("hunter2")
                case "2":
                    raise asyncio.CancelledError
                case "3":
                    await asyncio.Event().wait()
            got.append(event.identity)
            return None

        notices = Notices({Connected: hook}, timeout=0.02)
        for number in range(1, 5):
            notices.tell(connected(number))
        await notices.close()

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert got == ["4"]
    assert [record.message for record in caplog.records] == ["signaling.notice_failed"] * 3
    assert "hunter2" not in caplog.text
