"""The demo's paths through a real browser."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.paths import PathResult, failed, of_call, skipped
from demo.server import BROWSER_NAME, HOST, DemoServer
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts, installed_certutil


async def browser_path(server: DemoServer, transport: str) -> PathResult:
    """Let two Chromium pages exchange data and video through `server`, by relay only."""
    path = f"Chromium pages, {transport.upper()}"
    missing = _missing(transport)
    if missing:
        return skipped(path, "; ".join(missing))
    # Imported here because playwright may not be there; everything else of the demo works without it.
    from demo.chromium import relayed_call

    entry = {
        "urls": [server.url(transport, BROWSER_NAME)],
        "username": server.user,
        "credential": server.password,
    }
    try:
        with TemporaryDirectory(prefix="icelane-demo-home-", ignore_cleanup_errors=True) as home:
            environment: Mapping[str, str] | None = None
            if transport == "tls":
                environment = environment_that_trusts(server.authority, Path(home))
            arguments = [f"--host-resolver-rules=MAP {BROWSER_NAME} {HOST}"]
            call = await relayed_call([entry], extra_arguments=arguments, environment=environment)
    except Exception as error:  # whatever a browser does, the other paths have their rows
        return failed(path, error)
    return of_call(path, transport, call)


def _missing(transport: str) -> Sequence[str]:
    """What this machine lacks for a browser path, each with the command that brings it."""
    if importlib.util.find_spec("playwright") is None:
        return ["the Python package playwright is not installed: pip install playwright"]
    from demo.chromium import PACKAGE, installed_chromium

    if installed_chromium() is None:
        return [f"Chromium is not installed: apt-get install {PACKAGE}"]
    if transport == "tls" and installed_certutil() is None:
        return [f"certutil is not installed: apt-get install {TRUST_PACKAGE}"]
    return []
