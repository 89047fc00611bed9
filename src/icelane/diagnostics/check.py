"""A check, and how several are run: side by side where nothing stands between them, each with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from icelane.aio.system import monotonic
from icelane.core.clock import Duration
from icelane.diagnostics.report import Report
from icelane.diagnostics.result import Cause, CheckResult, CheckStatus, failed, passed, skipped, warned
from icelane.errors import LocalProtocolError

__all__ = [
    "Cause",
    "Check",
    "CheckResult",
    "CheckStatus",
    "failed",
    "passed",
    "run_checks",
    "skipped",
    "warned",
]

DEFAULT_DEADLINE: Final[Duration] = 10.0

MAX_CHECKS: Final = 64
"""In one run; more is a mistake of whoever made the list."""

MAX_DETAIL: Final = 500
"""Characters of a detail; the rest is cut off."""

# So many at once: more would measure this machine's own queues.
_PARALLEL: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check of a run. It begins when those named in `after` are over, and is skipped where one of them failed.

    With `anyway` it is not: it looks for itself what they came to.
    """

    name: str
    run: Callable[[], Awaitable[CheckResult]]
    after: Sequence[str] = ()
    deadline: Duration = DEFAULT_DEADLINE
    anyway: bool = False


async def run_checks(checks: Sequence[Check], on_result: Callable[[CheckResult], object] | None = None) -> Report:
    """Run all of them and join what they say; results stand in the order of `checks`, whenever they came.

    `on_result` is told of each as it comes. A check that raises or does not end in time has failed. Raises
    LocalProtocolError for more than MAX_CHECKS, two of one name, or one that waits for a later one.
    """
    _inspect(checks)
    results: dict[str, asyncio.Future[CheckResult]] = {}
    places = asyncio.Semaphore(_PARALLEL)

    async def run(check: Check) -> CheckResult:
        result = await _run(check, [await results[name] for name in check.after], places)
        if on_result is not None:
            on_result(result)
        return result

    async with asyncio.TaskGroup() as group:
        for check in checks:
            results[check.name] = group.create_task(run(check), name=check.name)
    return Report(results=tuple(results[check.name].result() for check in checks))


async def _run(check: Check, earlier: Sequence[CheckResult], places: asyncio.Semaphore) -> CheckResult:
    for result in earlier:
        if result.status is CheckStatus.FAILED and not check.anyway:
            return skipped(check.name, f"{result.name} comes first, and failed")
    async with places:
        began = monotonic()
        try:
            async with asyncio.timeout(check.deadline) as limit:
                result = await check.run()
        except TimeoutError:
            if not limit.expired():
                raise
            result = failed(
                check.name,
                f"no result within {check.deadline:g} s",
                Cause.SERVER_SILENT,
                "check that the server runs and that nothing on the way drops what it sends",
            )
        except Exception as error:  # also a mistake of ours: what the other checks found is told all the same
            mend = "run it again; when it stays so, report what it says"
            result = failed(check.name, f"{type(error).__name__}: {error}", Cause.CHECK_BROKEN, mend)
        return replace(result, name=check.name, duration=monotonic() - began, detail=_printable(result.detail))


def _printable(detail: str) -> str:
    """Servers had a part in it: nothing that a terminal would obey, and no novels."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in detail[:MAX_DETAIL])


def _inspect(checks: Sequence[Check]) -> None:
    if len(checks) > MAX_CHECKS:
        raise LocalProtocolError(f"{len(checks)} checks are more than {MAX_CHECKS}")
    before: set[str] = set()
    for check in checks:
        if check.name in before or not before.issuperset(check.after):
            raise LocalProtocolError(f"{check.name!r} stands twice, or before what it waits for")
        before.add(check.name)
