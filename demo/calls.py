"""The demo's calls between two Chromium pages, which need nothing of ours but the relay."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from demo.call import CallReport, End, run_call
from demo.paths import PathResult, failed, of_call, problems_of, skipped
from demo.server import BROWSER_NAME, HOST, DemoServer
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts, installed_certutil

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from demo.chromium import PageEnd

PAGES_PAYLOAD = 1 << 20  # bytes each way
FRAMES = 30  # pictures that each page decodes
TIMEOUT = 60.0  # seconds for one call
PROBLEMS_TIMEOUT = 5.0  # seconds in which an end of a failed call says what went wrong


@dataclass(frozen=True, kw_only=True)
class DemoBrowser:
    """A Chromium for all calls, or why there is none. It trusts the server's authority where certutil is installed."""

    browser: Browser | None = None
    missing: str = ""
    error: Exception | None = None

    def missing_for(self, transport: str) -> str:
        """What this machine lacks for a call over `transport`, with the command that brings it."""
        if self.missing or transport != "tls" or installed_certutil() is not None:
            return self.missing
        return f"certutil is not installed: apt-get install {TRUST_PACKAGE}"


@asynccontextmanager
async def demo_browser(server: DemoServer) -> AsyncIterator[DemoBrowser]:
    """Start Chromium, if there is one, and end it."""
    missing = _missing()
    if missing:
        yield DemoBrowser(missing=missing)
        return
    # Imported here because playwright may not be there; everything else of the demo works without it.
    from demo.chromium import chromium

    async with AsyncExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="icelane-demo-home-", ignore_cleanup_errors=True))
        try:
            environment: Mapping[str, str] | None = None
            if installed_certutil() is not None:
                environment = environment_that_trusts(server.authority, Path(home))
            arguments = [f"--host-resolver-rules=MAP {BROWSER_NAME} {HOST}"]
            started = chromium(extra_arguments=arguments, environment=environment)
            found = DemoBrowser(browser=await stack.enter_async_context(started))
        except Exception as error:  # whatever a browser does, the other paths have their rows
            found = DemoBrowser(error=error)
        yield found


async def pages_path(server: DemoServer, chromium: DemoBrowser, transport: str) -> PathResult:
    """Let two Chromium pages exchange data and video through `server`, by relay only."""

    async def call() -> CallReport:
        caller, callee = [await _page(server, chromium, transport) for _ in range(2)]
        async with aclosing(caller), aclosing(callee):
            return await _run_call(caller, callee, payload=PAGES_PAYLOAD, frames=FRAMES)

    path = f"Chromium pages, {transport.upper()}"
    if missing := chromium.missing_for(transport):
        return skipped(path, missing)
    return await _result(path, transport, call)


async def _run_call(caller: End, callee: End, *, payload: int, frames: int = 0) -> CallReport:
    """`run_call` for TIMEOUT at most; what it raises has a note for each problem of the ends with their server."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await run_call(caller, callee, payload=payload, frames=frames)
    except Exception as error:
        if isinstance(error, TimeoutError):
            error = TimeoutError(f"not finished after {TIMEOUT:g} s")
        for name, end in (("caller", caller), ("callee", callee)):
            for note in problems_of(name, await _problems(end)):
                error.add_note(note)
        raise error from None


async def _problems(end: End) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(PROBLEMS_TIMEOUT):
            return await end.problems()
    except Exception as error:  # the browser may be what failed
        return (f"does not say what went wrong: {type(error).__name__}",)


async def _result(path: str, transport: str, call: Callable[[], Awaitable[CallReport]]) -> PathResult:
    try:
        report = await call()
    except Exception as error:  # the row says what happened; the other paths have theirs
        return failed(path, error)
    return of_call(path, transport, report)


async def _page(server: DemoServer, chromium: DemoBrowser, transport: str) -> PageEnd:
    from demo.chromium import PageEnd

    if chromium.browser is None:
        raise chromium.error or RuntimeError("there is no browser")
    entry: Mapping[str, str | Sequence[str]] = {
        "urls": [server.url(transport, BROWSER_NAME)],
        "username": server.user,
        "credential": server.password,
    }
    return await PageEnd.open(chromium.browser, [entry])


def _missing() -> str:
    """What this machine lacks for a browser, with the command that brings it."""
    if importlib.util.find_spec("playwright") is None:
        return "the Python package playwright is not installed: pip install playwright"
    from demo.chromium import PACKAGE, installed_chromium

    if installed_chromium() is None:
        return f"Chromium is not installed: apt-get install {PACKAGE}"
    return ""
