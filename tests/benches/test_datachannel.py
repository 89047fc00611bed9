"""The benchmark of data channels in its smoke mode: it works and prints its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benches.datachannel import LINK
from benches.peers import LOOPBACK, PEERS_PYTHON
from icelane.testing import link_program
from tests.benches import smoke

NETWORKS = {LOOPBACK} if link_program.missing() else {LOOPBACK, LINK}


def run_smoke(results: Path, *options: str) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """What it printed, the rows of throughput, and the row of latency."""
    printed, found = smoke.run_smoke("datachannel", results, *options, timeout=180)
    *rows, latency = found
    return printed, rows, latency


def test_ours_is_measured_over_every_network_that_can_be_made_here(tmp_path: Path) -> None:
    printed, rows, latency = run_smoke(tmp_path / "results.json", "--servers", "icelane")
    assert "One data channel, one way, two processes" in printed
    assert "Loopback, milliseconds" in printed
    assert {row["network"] for row in rows} == NETWORKS
    assert {row["size"] for row in rows} == {1200, 16384}
    assert all(sample["megabits_per_second"] > 0 for row in rows for sample in row["samples"]["icelane"])
    assert latency["opens"]["icelane"]
    if LINK in NETWORKS:
        assert f"{LINK}: the link itself carries" in printed
    else:
        assert f"left out: {LINK}" in printed


@pytest.mark.interop
@pytest.mark.once
@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="make .venv-peers/.installed makes the environment of the others")
@pytest.mark.skipif(link_program.missing() is not None, reason=f"the others need a namespace: {link_program.missing()}")
def test_the_others_are_measured_beside_ours(tmp_path: Path) -> None:
    printed, rows, latency = run_smoke(tmp_path / "results.json")
    assert "left out" not in printed
    for row in rows:
        assert set(row["samples"]) == {"icelane", "aiortc", "wrtc"}
    assert set(latency["round_trips"]) == {"icelane", "aiortc", "wrtc"}
