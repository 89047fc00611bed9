"""The SCTP bench works and prints its table."""

from __future__ import annotations

import subprocess
import sys

from tests.audit.sources import ROOT


def test_the_bench_prints_both_forms_of_every_case() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benches.sctp", "--smoke"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "us/packet" in output
    assert output.count("pure") == 4
