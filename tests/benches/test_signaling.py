"""The benchmark of signaling in its smoke mode: it works and prints its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benches.peers import PEERS_PYTHON
from benches.signaling import CONDITIONS, OURS, THEIRS
from tests.benches import smoke


def run_smoke(results: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    """What it printed, without its line ends, and its raw results."""
    printed, found = smoke.run_smoke("signaling", results, *options, timeout=240)
    return " ".join(printed.split()), found


def check(printed: str, results: list[dict[str, Any]], names: set[str]) -> None:
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
