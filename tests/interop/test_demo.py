"""The main job, as `make demo` runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo.__main__ import PATHS
from tests.interop.conftest import need_program

pytestmark = [pytest.mark.interop, pytest.mark.once]

ROOT = Path(__file__).parents[2]
TIMEOUT = 180.0  # seconds; it takes 15


def test_every_path_carries_every_byte() -> None:
    need_program("chromium", "chromium")
    run = subprocess.run(
        [sys.executable, "-m", "demo", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert run.returncode == 0, run.stdout + run.stderr
    document = json.loads(run.stdout)
    assert document["carried"] is True
    assert [(path["path"], path["outcome"]) for path in document["paths"]] == [(path, "carried") for path in PATHS]
    for path in document["paths"][:2]:
        assert path["security"]["protocol"] == "DTLSv1.2"
        assert path["security"]["path"] == "relay to relay, TURN over TLS"
        assert set(path["carried"]["codecs"]) == {"VP8", "opus"}


def test_without_a_browser_the_demo_says_what_it_skipped_and_how_to_get_it() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Chromium pages, UDP: Chromium is not installed: apt-get install chromium" in run.stdout
    assert "Chromium page in a room: Chromium is not installed: apt-get install chromium" in run.stdout
    assert "4 skipped" in run.stdout
