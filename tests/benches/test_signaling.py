"""The benchmark of signaling in its smoke mode: it works and prints its tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benches.peers import PEERS_PYTHON
from benches.signaling import CONDITIONS, OURS, THEIRS

ROOT = Path(__file__).parents[2]


def run_smoke(results: Path, *options: str) -> tuple[str, list[dict[str, object]]]:
    """What it printed, and its raw results."""
    finished = subprocess.run(
        [sys.executable, "-m", "benches.signaling", "--smoke", "--json", str(results), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return " ".join(finished.stdout.split()), json.loads(results.read_text())["results"]


def check(printed: str, results: list[dict[str, object]], names: set[str]) -> None:
    """Every figure of every server is there."""
    assert "us of CPU per message" in printed
    assert "Delay of messages between two others" in printed
    assert {result["name"] for result in results} == names
    for result in results:
        assert result["connects_per_cpu_second"]
        assert result["microseconds_per_message"]
        delays = result["delays"]
        assert isinstance(delays, dict)
        assert all(delays[condition] for condition in CONDITIONS)


def test_the_benchmark_prints_what_our_signaling_costs(tmp_path: Path) -> None:
    check(*run_smoke(tmp_path / "results.json", "--servers", OURS), {OURS})


@pytest.mark.interop
@pytest.mark.once
@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="make .venv-peers/.installed makes the environment of the others")
def test_the_benchmark_prints_what_both_cost(tmp_path: Path) -> None:
    check(*run_smoke(tmp_path / "results.json"), {OURS, THEIRS})
