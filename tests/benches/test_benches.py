"""The benchmarks in their smoke mode: they work and print their tables. What the tables say is not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from benches.servers import COTURN, COTURN_PACKAGE
from icelane.server import batched
from tests.benches import smoke
from tests.interop.conftest import need_program

COMPILED = {"icelane, compiled", "icelane, no waiting"} if batched.available() else set()
SERVERS = {"coturn, default", "coturn, best", "icelane, pure"} | COMPILED


def run_smoke(name: str, results: Path) -> tuple[str, list[dict[str, Any]]]:
    """What `python -m benches.<name> --smoke` printed, without its line ends, and its raw results."""
    need_program(COTURN, COTURN_PACKAGE)
    need_program("cc", "gcc")
    printed, rows = smoke.run_smoke(name, results, timeout=120)
    return " ".join(printed.split()), rows


@pytest.mark.interop
@pytest.mark.once
def test_the_relay_benchmark_prints_what_every_server_costs_per_packet(tmp_path: Path) -> None:
    printed, rows = run_smoke("relay", tmp_path / "results.json")
    assert "CPU-seconds per million packets at a fixed rate" in printed
    assert "Saturated: packets per second that arrive" in printed
    assert all(server in printed for server in SERVERS)
    assert {(row["traffic"]["transport"], row["traffic"]["form"]) for row in rows} >= {
        ("UDP", "ChannelData"),
        ("UDP", "Send/Data"),
        ("TCP", "ChannelData"),
    }
    for row in rows:
        assert {trial["server"]["name"] for trial in row["trials"]} == SERVERS
        for trial in row["trials"]:
            assert all(sample["delivered_per_second"] > 0 for sample in trial["samples"])


@pytest.mark.interop
@pytest.mark.once
def test_the_allocation_benchmark_prints_what_every_server_costs_per_allocation(tmp_path: Path) -> None:
    printed, results = run_smoke("allocate", tmp_path / "results.json")
    assert "per CPU-second of the server" in printed
    assert "Resident memory per idle allocation" in printed
    assert {result["server"]["name"] for result in results} == SERVERS
    for result in results:
        assert all(rate > 0 for rate in result["per_cpu_second"])


@pytest.mark.interop
@pytest.mark.once
def test_the_benchmark_of_several_processes_prints_what_the_machine_carries(tmp_path: Path) -> None:
    printed, rows = run_smoke("workers", tmp_path / "results.json")
    assert "One process and two, on two CPUs that the generator shares" in printed
    for trials in rows:
        row = cast("list[dict[str, Any]]", trials)
        ours = {trial["server"]["name"] for trial in row if trial["server"]["name"].startswith("icelane")}
        assert len(ours) == (2 if batched.available() else 0)
        assert all(sample["delivered_per_second"] > 0 for trial in row for sample in trial["samples"])
