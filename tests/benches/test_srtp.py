"""The benchmark of SRTP in its smoke mode: it works and prints a row for everybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_prints_what_packets_cost_whom() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benches.srtp", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for row in ("python, batch", "python, single", "pylibsrtp", "AES128_CM_HMAC_SHA1_80, 172 bytes", "1200 bytes"):
        assert row in finished.stdout
