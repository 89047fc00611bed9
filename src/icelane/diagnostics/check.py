"""What a check says, and how several are run: side by side where nothing stands between them, each with a deadline."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from icelane.aio.system import monotonic
from icelane.core.clock import Duration
from icelane.errors import IcelaneError, LocalProtocolError

if TYPE_CHECKING:
    from icelane.diagnostics.report import Report

DEFAULT_DEADLINE: Final[Duration] = 10.0

MAX_CHECKS: Final = 64
"""In one run; more is a mistake of whoever made the list."""

# So many at once: more would measure this machine's own queues.
_PARALLEL: Final = 8


class CheckStatus(enum.StrEnum):
    """`skipped`: what it needs is missing, or an earlier check says it all. `warned`: calls work, with a catch."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"


class Cause(enum.StrEnum):
    """What is wrong, in words that programs may depend on. `report` has them in the order in which they explain."""

    NAME_UNKNOWN = "name-unknown"
    SERVER_SILENT = "server-silent"
    CLOCK_WRONG = "clock-wrong"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_WRONG_NAME = "certificate-wrong-name"
    CERTIFICATE_UNKNOWN_AUTHORITY = "certificate-unknown-authority"
    CERTIFICATE_CHAIN_INCOMPLETE = "certificate-chain-incomplete"
    CERTIFICATE_REFUSED = "certificate-refused"
    NOT_TLS = "not-tls"
    HTTPS_SILENT = "https-silent"
    HTTPS_WRONG = "https-wrong"
    WEBSOCKET_BLOCKED = "websocket-blocked"
    UDP_BLOCKED = "udp-blocked"
    TOKEN_REFUSED = "token-refused"  # noqa: S105
    CREDENTIAL_EXPIRED = "credential-expired"
    REALM_WRONG = "realm-wrong"
    SECRET_WRONG = "secret-wrong"  # noqa: S105  (a cause, and no secret)
    TURN_REFUSED = "turn-refused"
    TURN_SILENT = "turn-silent"
    EXTERNAL_ADDRESS_WRONG = "external-address-wrong"
    RELAY_RANGE_CLOSED = "relay-range-closed"
    RELAY_LOSES = "relay-loses"
    CREDENTIAL_SHORT = "credential-short"
    CERTIFICATE_ENDS_SOON = "certificate-ends-soon"
    CHECK_BROKEN = "check-broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """`duration` is in seconds. `detail` says what was found, `cause` and `mend` what is behind it and what to do."""

    name: str
    status: CheckStatus
    duration: Duration = 0.0
    detail: str = ""
    cause: Cause | None = None
    mend: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of a call."""
        return self.status is not CheckStatus.FAILED


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


def passed(name: str, detail: str) -> CheckResult:
    """It works."""
    return CheckResult(name=name, status=CheckStatus.PASSED, detail=detail)


def warned(name: str, detail: str, cause: Cause, mend: str) -> CheckResult:
    """It works, and something should be done."""
    return CheckResult(name=name, status=CheckStatus.WARNED, detail=detail, cause=cause, mend=mend)


def failed(name: str, detail: str, cause: Cause, mend: str) -> CheckResult:
    """It does not work."""
    return CheckResult(name=name, status=CheckStatus.FAILED, detail=detail, cause=cause, mend=mend)


def skipped(name: str, why: str) -> CheckResult:
    """Nothing was tried."""
    return CheckResult(name=name, status=CheckStatus.SKIPPED, detail=why)


async def run_checks(checks: Sequence[Check], on_result: Callable[[CheckResult], object] | None = None) -> Report:
    """Run all of them and join what they say; results stand in the order of `checks`, whenever they came.

    `on_result` is told of each as it comes. A check that raises or does not end in time has failed. Raises
    LocalProtocolError for more than MAX_CHECKS, two of one name, or one that waits for a later one.
    """
    from icelane.diagnostics.report import Report

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
        except (IcelaneError, OSError) as error:
            mend = "run it again; when it stays so, report what it says"
            result = failed(check.name, f"{type(error).__name__}: {error}", Cause.CHECK_BROKEN, mend)
        return replace(result, name=check.name, duration=monotonic() - began)


def _inspect(checks: Sequence[Check]) -> None:
    if len(checks) > MAX_CHECKS:
        raise LocalProtocolError(f"{len(checks)} checks are more than {MAX_CHECKS}")
    before: set[str] = set()
    for check in checks:
        if check.name in before or not before.issuperset(check.after):
            raise LocalProtocolError(f"{check.name!r} stands twice, or before what it waits for")
        before.add(check.name)
