"""The demo's paths through a real browser."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from demo.paths import PathResult, failed, of_call, skipped
from demo.server import DemoServer


async def browser_path(server: DemoServer, transport: str) -> PathResult:
    """Let two Chromium pages exchange data and video through `server`, by relay only."""
    path = f"Chromium pages, {transport.upper()}"
    missing = _missing()
    if missing:
        return skipped(path, "; ".join(missing))
    # Imported here because playwright may not be there; everything else of the demo works without it.
    from demo.chromium import relayed_call

    try:
        entry = {"urls": [server.url(transport)], "username": server.user, "credential": server.password}
        call = await relayed_call([entry])
    except Exception as error:  # whatever a browser does, the other paths have their rows
        return failed(path, error)
    return of_call(path, transport, call)


def _missing() -> Sequence[str]:
    """What this machine lacks for a browser path, each with the command that brings it."""
    if importlib.util.find_spec("playwright") is None:
        return ["the Python package playwright is not installed: pip install playwright"]
    from demo.chromium import PACKAGE, installed_chromium

    if installed_chromium() is None:
        return [f"Chromium is not installed: apt-get install {PACKAGE}"]
    return []
