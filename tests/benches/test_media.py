"""The benchmark of calls in its smoke mode: it works and prints its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benches.links import may_make_namespaces
from benches.media import LOADS
from benches.peers import PEERS_PYTHON
from tests.benches.smoke import run_smoke


def test_ours_is_measured_under_every_load(tmp_path: Path) -> None:
    printed, rows = run_smoke("media", tmp_path / "results.json", "--servers", "icelane", timeout=240)
    assert "A call over loopback" in printed
    assert "From glass to glass, milliseconds" in printed
    assert [row["load"]["name"] for row in rows] == [load.name for load in LOADS]
    for row in rows:
        (sample,) = row["samples"]["icelane"]
        assert sample["sent"] > 0
        assert sample["received"] > 0
        assert bool(sample["ages"]) == (row["load"]["kind"] == "clock")


@pytest.mark.interop
@pytest.mark.once
@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="make .venv-peers/.installed makes the environment of the others")
@pytest.mark.skipif(not may_make_namespaces(), reason="aiortc needs a namespace, which needs root")
def test_aiortc_is_measured_beside_ours(tmp_path: Path) -> None:
    printed, rows = run_smoke("media", tmp_path / "results.json", timeout=240)
    assert "left out" not in printed
    for row in rows:
        assert set(row["samples"]) == {"icelane", "aiortc"}
