"""Connections come and go in one process, and leave it as it was.

`make test` opens a share of them, `make test-long` all 500, twice. What is compared is the second time with the first:
what a process opens once and keeps is no growth.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.scale import scaled
from tests.server.namespaces import ROOT

CONNECTIONS = 500
MIB = 1 << 20

SHARES = pytest.mark.parametrize(
    "connections", [scaled(CONNECTIONS), pytest.param(CONNECTIONS, marks=pytest.mark.long)], ids=["some", "all"]
)


@SHARES
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_five_hundred_connections_twice_leave_nothing_behind(loop: str, connections: int) -> None:
    """OP-8: descriptors, tasks, timers and collections are back, memory stays level."""
    command = [sys.executable, "-m", "tests.aio.many_connections", str(connections), loop]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    told = json.loads(finished.stdout)
    start, first, second = told["holdings"]
    print(f"{connections} connections twice: {[round(one['resident'] / MIB, 1) for one in (start, first, second)]} MiB")
    assert told["unhandled"] == []
    for name in ("descriptors", "tasks", "timers", "alive"):
        assert start[name] == first[name] == second[name], name
    assert second["objects"] <= first["objects"]
    assert second["resident"] - first["resident"] <= 2 * MIB
