"""Hooks that fail in every way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from icelane.signaling.admission.hook import (
    BREAKER_FAILURES,
    BREAKER_PAUSE,
    BREAKER_TRIALS,
    MAX_CACHE_TIME,
    MAX_FAILED_SOURCES,
    MAX_RUNNING_PER_ADDRESS,
    GuardedHook,
    HookFailedError,
    chained,
    refined,
)
from icelane.signaling.admission.hook_times import BOUNDS, HookTimes
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny
from icelane.signaling.admitted import Grant
from tests.loops import Run, run
from tests.signaling.admission.entrance import NOW, StandingClock

__all__ = ["run"]

YES = Allow(identity="alice")
REQUEST = ConnectRequest(ip="203.0.113.7")

Hook = Callable[[ConnectRequest], Awaitable[object]]


def guarded(
    hook: Hook, *, timeout: float = 0.05, cache_time: float = 0.0, clock: StandingClock | None = None
) -> GuardedHook[ConnectRequest]:
    return GuardedHook("before_connect", hook, timeout=timeout, cache_time=cache_time, clock=clock or StandingClock())


async def reason(hook: GuardedHook[ConnectRequest], ip: str = "203.0.113.7") -> str:
    """Why it counted for nothing; "" when it gave an answer."""
    try:
        await hook.ask(REQUEST, ip=ip)
    except HookFailedError as error:
        return error.reason
    return ""


async def yes(_: ConnectRequest) -> object:
    return YES


async def says_nothing(_: ConnectRequest) -> object:
    return None


async def says_true(_: ConnectRequest) -> object:
    return True


async def says_a_table(_: ConnectRequest) -> object:
    return {"allow": {}}


async def says_its_class(_: ConnectRequest) -> object:
    return Allow


async def raises(_: ConnectRequest) -> object:
    raise RuntimeError("hunter2")


async def is_cancelled(_: ConnectRequest) -> object:
    raise asyncio.CancelledError


async def hangs(_: ConnectRequest) -> object:
    await asyncio.Event().wait()
    return YES


def is_no_coroutine(_: ConnectRequest) -> Awaitable[object]:
    return YES  # type: ignore[return-value]  # as untyped code may


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (says_nothing, "wrong-answer"),
        (says_true, "wrong-answer"),
        (says_a_table, "wrong-answer"),
        (says_its_class, "wrong-answer"),
        (raises, "exception"),
        (is_no_coroutine, "exception"),
        (is_cancelled, "cancelled"),
        (hangs, "timeout"),
    ],
)
def test_whatever_is_no_answer_lets_nobody_in(
    run: Run, hook: Hook, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SG-3: None, True, a table, an exception, a cancellation, no coroutine, silence: a failure each, said once."""

    async def scenario() -> None:
        found = guarded(hook)
        assert await reason(found) == expected
        await found.close()
        assert len(found) == 0

    with caplog.at_level(logging.ERROR):
        run(scenario())
    record = next(record for record in caplog.records if record.message == "signaling.hook_failed")
    assert record.__dict__["reason"] == expected
    assert "hunter2" not in repr(record.__dict__)


def test_an_answer_is_passed_on(run: Run) -> None:
    async def no(_: ConnectRequest) -> object:
        return Deny("banned")

    async def scenario() -> None:
        assert await guarded(yes).ask(REQUEST, ip="203.0.113.7") is YES
        assert await guarded(no).ask(REQUEST, ip="203.0.113.7") == Deny("banned")

    run(scenario())


async def takes_a_tenth(clock: StandingClock, answer: object) -> object:
    clock.pass_by(0.1)
    return answer


@pytest.mark.parametrize(
    ("answer", "outcome"), [(YES, "allowed"), (Deny(code="any word"), "denied"), (None, "failed"), (True, "failed")]
)
def test_how_long_it_took_is_counted_under_words_of_ours(run: Run, answer: object, outcome: str) -> None:
    """OP-14: and what was remembered took nothing and counts for nothing."""

    async def scenario() -> None:
        clock, times = StandingClock(), HookTimes()
        hook: GuardedHook[ConnectRequest] = GuardedHook(
            "before_connect", lambda _: takes_a_tenth(clock, answer), cache_time=10, clock=clock, times=times
        )
        for _ in range(2 if answer is YES else 1):
            with contextlib.suppress(HookFailedError):
                await hook.ask(REQUEST, ip=REQUEST.ip, cache_key=b"the same")
        ((key, time),) = times.times.items()
        assert key == ("before_connect", outcome)
        assert time.total == pytest.approx(0.1)
        assert dict(zip(BOUNDS, time.cumulative, strict=False))[0.25] == time.cumulative[-1] == 1

    run(scenario())


def test_a_thousand_that_hang_do_not_keep_others_out(run: Run) -> None:
    """SG-3: hangs x 1,000 from one address: bounded, all refused, and somebody from elsewhere is let in meanwhile."""

    async def some_hang(request: ConnectRequest) -> object:
        return await (hangs(request) if request.token == "hang" else yes(request))

    async def scenario() -> None:
        found = guarded(some_hang, timeout=0.3)
        stuck = ConnectRequest(ip="203.0.113.7", token="hang")
        tasks = [asyncio.create_task(found.ask(stuck, ip=f"::ffff:{stuck.ip}")) for _ in range(1000)]
        await asyncio.sleep(0.01)
        assert len(found) == MAX_RUNNING_PER_ADDRESS
        for number in range(50):
            assert await found.ask(REQUEST, ip=f"198.51.100.{number}") is YES
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, HookFailedError) for outcome in outcomes)
        await asyncio.sleep(0)
        assert len(found) == 0
        assert await found.ask(REQUEST, ip=stuck.ip) is YES
        assert not found._running_by_source

    run(scenario())


def test_no_more_than_so_many_run_at_once(run: Run) -> None:
    """SG-3: concurrency is bounded for all addresses together."""

    async def scenario() -> None:
        found = guarded(hangs, timeout=30)
        tasks = [asyncio.create_task(reason(found, f"10.0.{number >> 8}.{number & 255}")) for number in range(306)]
        await asyncio.sleep(0.01)
        assert len(found) == 256
        assert sum(task.done() and task.result() == "busy" for task in tasks) == 50
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await found.close()
        assert len(found) == 0

    run(scenario())


def test_a_hook_that_does_not_end_counts_until_it_does(run: Run) -> None:
    """SG-3: one that swallows its cancellation holds its place, so that they cannot pile up."""
    release = asyncio.Event()

    async def stubborn(_: ConnectRequest) -> object:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("late")

    async def scenario() -> None:
        found = guarded(stubborn, timeout=0.01)
        for _ in range(MAX_RUNNING_PER_ADDRESS):
            assert await reason(found) == "timeout"
        assert await reason(found) == "busy"
        release.set()
        await asyncio.sleep(0.01)
        assert len(found) == 0

    run(scenario())


def test_a_caller_that_goes_away_takes_its_call_with_it(run: Run) -> None:
    async def scenario() -> None:
        found = guarded(hangs, timeout=30)
        task = asyncio.create_task(reason(found))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(found) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        assert len(found) == 0

    run(scenario())


def test_a_hook_that_is_down_is_left_alone_for_a_while(run: Run) -> None:
    asked: list[str] = []
    broken = True

    async def hook(request: ConnectRequest) -> object:
        asked.append(request.ip)
        if broken:
            raise OSError
        return YES

    async def scenario() -> None:
        nonlocal broken
        clock = StandingClock()
        found = guarded(hook, clock=clock)
        for number in range(BREAKER_FAILURES):
            assert await reason(found, f"198.51.100.{number}") == "exception"
        for number in range(BREAKER_FAILURES * 20):
            assert await reason(found, f"198.51.100.{number % BREAKER_FAILURES}") == "circuit-open"
        assert len(asked) == BREAKER_FAILURES
        clock.pass_by(BREAKER_PAUSE)
        assert await reason(found, "198.51.100.0") == "exception"
        assert await reason(found, "198.51.100.0") == "circuit-open"
        broken = False
        assert await reason(found, "198.51.100.1") == ""
        assert await reason(found, "198.51.100.0") == ""

    run(scenario())


def test_a_few_addresses_cannot_close_a_hook_for_all(run: Run) -> None:
    """SG-3: whoever has made nothing fail is asked about, though the hook looks down."""

    async def hook(request: ConnectRequest) -> object:
        return await hangs(request) if request.token == "bad" else YES

    async def scenario() -> None:
        found = guarded(hook)
        for number in range(BREAKER_FAILURES * 2):
            bad = ConnectRequest(ip=f"203.0.113.{number % 4}", token="bad")
            with pytest.raises(HookFailedError):
                await found.ask(bad, ip=bad.ip)
        assert await reason(found, "198.51.100.1") == ""

    run(scenario())


def test_a_hook_that_looks_down_is_asked_by_a_few_at_a_time(run: Run) -> None:
    """SG-3: though thousands of addresses come, each for the first time, no more wait than that."""

    async def scenario() -> None:
        found = guarded(hangs, timeout=0.2)
        await asyncio.gather(*(reason(found, f"198.51.100.{number}") for number in range(BREAKER_FAILURES)))
        crowd = [reason(found, f"10.0.{number >> 8}.{number & 255}") for number in range(1000)]
        reasons = Counter(await asyncio.gather(*crowd))
        assert reasons == {"timeout": BREAKER_TRIALS, "circuit-open": 1000 - BREAKER_TRIALS}
        assert len(found._breaker._paused_until) <= MAX_FAILED_SOURCES

    run(scenario())


def test_one_address_cannot_close_a_hook_for_all(run: Run) -> None:
    """SG-3: other users are unaffected by one whose requests make it fail."""

    async def hook(request: ConnectRequest) -> object:
        if request.token == "bad":
            raise ValueError
        return YES

    async def scenario() -> None:
        found = guarded(hook)
        bad = ConnectRequest(ip="203.0.113.7", token="bad")
        for _ in range(50):
            with pytest.raises(HookFailedError):
                await found.ask(bad, ip=bad.ip)
        assert await reason(found, "198.51.100.1") == ""

    run(scenario())


def test_what_was_allowed_is_remembered_and_what_was_not_is_not(run: Run) -> None:
    asked: list[bytes] = []

    async def scenario() -> None:
        clock = StandingClock()
        answers: dict[str, object] = {"now": YES}

        async def hook(_: ConnectRequest) -> object:
            asked.append(b"")
            return answers["now"]

        found = guarded(hook, cache_time=1000.0, clock=clock)
        for _ in range(5):
            assert await found.ask(REQUEST, ip="203.0.113.7", cache_key=b"k") is YES
        assert len(asked) == 1
        await found.ask(REQUEST, ip="203.0.113.7", cache_key=b"other")
        await found.ask(REQUEST, ip="203.0.113.7")
        assert len(asked) == 3
        answers["now"] = Deny()
        assert await found.ask(REQUEST, ip="203.0.113.7", cache_key=b"k") is YES
        clock.pass_by(MAX_CACHE_TIME)
        for _ in range(2):
            assert await found.ask(REQUEST, ip="203.0.113.7", cache_key=b"k") == Deny()
        assert len(asked) == 5
        answers["now"] = YES
        assert await found.ask(REQUEST, ip="203.0.113.7", cache_key=b"k") is YES

    run(scenario())


def test_two_hooks_are_asked_in_turn(run: Run) -> None:
    async def rooms(_: ConnectRequest) -> object:
        return Allow(rooms=("a",), expires_at=NOW)

    async def no(_: ConnectRequest) -> object:
        return Deny("banned")

    async def scenario() -> None:
        found = await guarded(chained((yes, rooms))).ask(REQUEST, ip="203.0.113.7")
        assert found == Allow(identity="alice", rooms=("a",), expires_at=NOW)
        assert await guarded(chained((yes, no, hangs))).ask(REQUEST, ip="203.0.113.7") == Deny("banned")
        assert await reason(guarded(chained((yes, says_nothing)))) == "wrong-answer"
        assert chained((yes,)) is yes

    run(scenario())


def test_what_a_later_answer_says_counts_but_the_earlier_expiry() -> None:
    base = Allow(identity="a", name="A", rooms=("x",), grants=frozenset({Grant.JOIN}), expires_at=NOW)
    later = type(NOW)(NOW + 1)
    assert refined(base, Allow()) == base
    assert refined(base, Allow(identity="b", rooms=(), expires_at=later)) == Allow(
        identity="b", name="A", rooms=(), grants=frozenset({Grant.JOIN}), expires_at=NOW
    )
