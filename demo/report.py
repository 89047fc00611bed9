"""The demo's results, as a table for people or as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from demo.paths import Outcome, PathResult, all_carried

_STYLES = {Outcome.CARRIED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "yellow"}


def print_table(results: list[PathResult], output: TextIO) -> None:
    """One row per path, then what was skipped or failed, and the verdict."""
    console = Console(file=output)
    # Narrow enough for 80 columns, which is what a log has.
    table = Table(title="Traffic relayed by icelane's TURN server on this machine", box=box.SIMPLE)
    table.add_column("Path", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    for heading in ("Set-up", "Round trip", "Bytes", "Loss"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        style = _STYLES[result.outcome]
        table.add_row(result.path, f"[{style}]{result.outcome.value}[/{style}]", *_figures(result))
    console.print(table)
    for result in results:
        if result.remark:
            console.print(f"{result.path}: {result.remark}", highlight=False, markup=False)
    console.print(_verdict(results), highlight=False, markup=False)


def print_json(results: list[PathResult], output: TextIO) -> None:
    """`{"carried": bool, "paths": [...]}`: times in seconds, absent figures null."""
    paths = [dataclasses.asdict(result) | {"outcome": result.outcome.value} for result in results]
    json.dump({"carried": all_carried(results), "paths": paths}, output, indent=2)
    output.write("\n")


def _figures(result: PathResult) -> list[str]:
    if result.outcome is Outcome.SKIPPED:
        return ["-"] * 4
    arrived = f"{result.bytes_received:,}"
    return [
        _milliseconds(result.set_up),
        _milliseconds(result.round_trip),
        arrived if result.bytes_received == result.bytes_sent else f"{arrived} of {result.bytes_sent:,}",
        f"{100 * result.packets_lost / result.packets:.2g} %" if result.packets else "-",
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _verdict(results: list[PathResult]) -> str:
    if not all_carried(results):
        return "Not every path carried every byte."
    left_out = sum(result.outcome is Outcome.SKIPPED for result in results)
    note = f" {left_out} skipped, for the reasons above." if left_out else ""
    return f"Every path that was tried carried every byte.{note}"
