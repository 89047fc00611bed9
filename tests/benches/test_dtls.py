"""The benchmark of DTLS in its smoke mode: it works and prints a row for everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_prints_what_packets_and_handshakes_cost() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benches.dtls", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for row in ("pyopenssl: OpenSSL", "send", "receive", "session: seal", "session: open", "handshake, both ends"):
        assert row in finished.stdout
