"""A benchmark in its smoke mode."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_smoke(name: str, results: Path, *options: str, timeout: float) -> tuple[str, list[dict[str, Any]]]:
    """What `python -m benches.<name> --smoke` printed, and its raw results, which it leaves in the file `results`."""
    finished = subprocess.run(
        [sys.executable, "-m", f"benches.{name}", "--smoke", "--json", str(results), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if finished.returncode != 0:
        raise AssertionError(finished.stderr)
    return finished.stdout, json.loads(results.read_text())["results"]
