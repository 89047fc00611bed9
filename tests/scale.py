"""How much of a flood a run sends: `make test` a tenth, `make test-long` all of it."""

from __future__ import annotations

import os


def scaled(full: int) -> int:
    """`full` times FLOOD_SCALE (a tenth unless the environment says otherwise), and at least one."""
    return max(1, round(full * float(os.environ.get("FLOOD_SCALE", "0.1"))))
