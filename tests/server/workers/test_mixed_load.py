"""Ten seconds of clients of every kind, or a minute, or as long as LOAD_SECONDS says, while processes are killed."""

from __future__ import annotations

import asyncio
import os
import statistics
from pathlib import Path

import pytest

from icelane.aio.loops import loop_factory
from tests.server.workers.mixed_load import (
    FLOWS_OF_A_KIND,
    KILL_EVERY,
    KINDS,
    PACE,
    RELOAD_EVERY,
    RESTART_WITHIN,
    document,
    load,
)
from tests.server.workers.ways import WORKERS

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="several processes need Linux")

LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "60"))


@pytest.mark.parametrize("seconds", [10.0, pytest.param(LOAD_SECONDS, marks=pytest.mark.long)], ids=["short", "long"])
def test_clients_lose_nothing_while_the_processes_of_others_are_killed(tmp_path: Path, seconds: float) -> None:
    """OP-5: one process after the other, again and again, and reloads in between."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        told = runner.run(load(seconds, tmp_path))
    print(document(told))
    assert not told.lost
    assert len(told.away) >= 0.2 * seconds / KILL_EVERY
    # The first death of each; later ones may meet a machine that is still busy with the one before.
    assert max(told.away[:WORKERS]) < RESTART_WITHIN
    assert statistics.median(told.away) < RESTART_WITHIN
    assert told.reloads >= 0.5 * seconds / RELOAD_EVERY
    # A quarter of what is sent when nobody is killed: new clients of a worker that is away wait for it.
    assert all(told.carried[kind] > FLOWS_OF_A_KIND * PACE * seconds / 4 for kind in KINDS)
    # Everybody has left, so nothing is held for anybody, whoever of the processes had it.
    assert told.left == {
        "icelane_turn_relay_ports": 0,
        "icelane_turn_peer_connections": 0,
        "icelane_workers": 2,
        "allocations": 0,
    }
