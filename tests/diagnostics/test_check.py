"""Checks are run side by side, each with a deadline, and whatever one does the others are told of."""

from __future__ import annotations

import asyncio

import pytest

from icelane.diagnostics import Cause, Check, CheckResult, CheckStatus, Report, run_checks
from icelane.diagnostics.check import MAX_CHECKS, MAX_DETAIL, failed, passed
from icelane.errors import LocalProtocolError, ResolutionError


def check(name: str, *after: str, result: CheckResult | None = None, anyway: bool = False) -> Check:
    async def run() -> CheckResult:
        return result or passed(name, "well")

    return Check(name=name, run=run, after=after, anyway=anyway)


def run(*checks: Check) -> Report:
    return asyncio.run(run_checks(checks))


def statuses(report: Report) -> dict[str, str]:
    return {result.name: result.status.value for result in report.results}


def test_results_stand_in_the_order_of_the_list_whenever_they_came() -> None:
    async def story() -> None:
        gate, told = asyncio.Event(), []

        async def slow() -> CheckResult:
            await gate.wait()
            return passed("slow", "")

        async def quick() -> CheckResult:
            gate.set()
            return passed("quick", "")

        checks = [Check(name="slow", run=slow), Check(name="quick", run=quick)]
        report = await run_checks(checks, lambda result: told.append(result.name))
        assert [result.name for result in report.results] == ["slow", "quick"]
        assert told == ["quick", "slow"]

    asyncio.run(story())


def test_what_waits_for_a_failure_is_skipped_and_what_waits_for_that_runs() -> None:
    bad = failed("one", "no", Cause.NAME_UNKNOWN, "mend it")
    report = run(
        check("one", result=bad), check("two", "one"), check("three", "one", anyway=True), check("four", "two")
    )
    assert statuses(report) == {"one": "failed", "two": "skipped", "three": "passed", "four": "passed"}
    assert "one comes first" in report.results[1].detail


def test_a_check_that_does_not_end_fails_at_its_deadline_and_is_cancelled() -> None:
    async def story() -> None:
        cancelled = asyncio.Event()

        async def never() -> CheckResult:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        report = await run_checks([Check(name="never", run=never, deadline=0.01)])
        (result,) = report.results
        assert result.status is CheckStatus.FAILED
        assert result.cause is Cause.SERVER_SILENT
        assert cancelled.is_set()

    asyncio.run(story())


def test_a_check_that_raises_has_failed_with_what_it_said() -> None:
    async def broken() -> CheckResult:
        raise ResolutionError("nowhere.example: no such name")

    (result,) = asyncio.run(run_checks([Check(name="broken", run=broken)])).results
    assert result.cause is Cause.CHECK_BROKEN
    assert "nowhere.example" in result.detail


@pytest.mark.parametrize("error", [RecursionError("too deep"), KeyError("ip"), AssertionError("never")])
def test_a_check_with_a_mistake_of_ours_spoils_no_other(error: Exception) -> None:
    async def broken() -> CheckResult:
        raise error

    report = asyncio.run(run_checks([Check(name="broken", run=broken), check("one")]))
    assert statuses(report) == {"broken": "failed", "one": "passed"}
    assert report.results[0].cause is Cause.CHECK_BROKEN


@pytest.mark.parametrize(
    "checks",
    [
        [check("one"), check("one")],
        [check("one", "two"), check("two")],
        [check(str(number)) for number in range(MAX_CHECKS + 1)],
    ],
)
def test_a_list_that_cannot_be_run_is_our_callers_mistake(checks: list[Check]) -> None:
    with pytest.raises(LocalProtocolError):
        asyncio.run(run_checks(checks))


def test_what_servers_have_said_cannot_rule_a_terminal_or_fill_it() -> None:
    (result,) = run(check("one", result=passed("one", "\x1b[2J\n" + "x" * 10_000))).results
    assert result.detail.startswith("\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}x")
    assert len(result.detail) == MAX_DETAIL
