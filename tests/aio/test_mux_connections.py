"""Two hundred connections on one UDP port: all at once, and one after the other."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.server.namespaces import ROOT

CONNECTIONS = 200
MIB = 1 << 20


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_two_hundred_connections_on_one_port_carry_data_and_leave_nothing_behind(loop: str) -> None:
    """OP-8: the tables of the port are empty afterwards; descriptors, tasks, timers and objects are back."""
    command = [sys.executable, "-m", "tests.aio.mux_connections", str(CONNECTIONS), loop]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    told = json.loads(finished.stdout)
    print(f"{CONNECTIONS} connections on one port: {told['seconds']} s")
    assert told["ports"] == 1
    assert told["together"] == CONNECTIONS
    assert told["carried"] == [CONNECTIONS, CONNECTIONS]
    assert told["in_a_row"] == [CONNECTIONS, CONNECTIONS]
    assert told["held"] == [0, 0, 0]
    assert told["unhandled"] == []
    start, together, once, twice = told["holdings"]
    for name in ("descriptors", "tasks", "timers", "alive", "objects"):
        assert start[name] == together[name] == once[name] == twice[name], name
    # What is kept of each connection shows in both rounds; where a heap has its holes differs by that much in one.
    growth = [after["resident"] - before["resident"] for before, after in ((together, once), (once, twice))]
    assert min(growth) <= 2 * MIB
