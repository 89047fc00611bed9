"""The demo's paths through a real browser."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from demo.paths import PathResult, failed, of_call, skipped


async def browser_path(url: str, user: str, password: str, transport: str) -> PathResult:
    """Let two Chromium pages exchange data and video through the TURN server at `url`, by relay only."""
    path = f"two Chromium pages, TURN over {transport.upper()}"
    missing = _missing()
    if missing:
        return skipped(path, "; ".join(missing))
    # Imported here because playwright may not be there; everything else of the demo works without it.
    from demo.chromium import relayed_call

    try:
        call = await relayed_call([{"urls": [url], "username": user, "credential": password}])
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
