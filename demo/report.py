"""The demo's results, as a table for people or as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.paths import CarriedResult, Outcome, PathResult, SecurityResult, all_carried

_STYLES = {Outcome.CARRIED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "yellow"}


def print_table(results: list[PathResult], output: TextIO) -> None:
    """One row per path, then what was skipped or failed, and the verdict."""
    console = Console(file=output)
    # Narrow enough for 80 columns, which is what a log has.
    title = "Traffic relayed by icelane's TURN server on this machine"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.add_column("Path", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    for heading in ("Set-up", "Round trip", "Bytes", "Loss"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        style = _STYLES[result.outcome]
        table.add_row(result.path, f"[{style}]{result.outcome.value}[/{style}]", *_figures(result))
    console.print(table)
    if any(result.security is not None for result in results):
        console.print(_negotiated_table(results))
    for result in results:
        if result.remark:
            console.print(f"{result.path}: {result.remark}", highlight=False, markup=False)
    console.print(_verdict(results), highlight=False, markup=False)


def _negotiated_table(results: list[PathResult]) -> Table:
    """What was negotiated and carried in a room, as both ends say."""
    table = Table(title="Negotiated and carried, compared at both ends", box=box.SIMPLE, pad_edge=False)
    table.show_header = False
    for result in results:
        if result.security is None or result.carried is None:
            continue
        table.add_row(Text(result.path, style="bold"), "")
        rows = _negotiated(result, result.security, result.carried)
        for name, value in rows:
            # As Text, because in markup the :AB: of a fingerprint is an emoji.
            table.add_row(Text(f"  {name}"), Text(value), end_section=name == rows[-1][0])
    return table


def _negotiated(result: PathResult, found: SecurityResult, carried: CarriedResult) -> list[tuple[str, str]]:
    loss = f"{100 * result.packets_lost / result.packets:.2g} %" if result.packets else "-"
    return [
        ("protocol", found.protocol),
        ("cipher suite", found.cipher_suite),
        ("SRTP profile", found.srtp_profile or "-"),
        ("path", found.path),
        ("caller's fingerprint", _shortened(found.caller_fingerprint)),
        ("callee's fingerprint", _shortened(found.callee_fingerprint)),
        ("code at both ends", found.code),
        ("codecs", ", ".join(carried.codecs)),
        ("files", f"{carried.files_forth:,} bytes forth, {carried.files_back:,} back, hashes right"),
        ("pictures", f"{carried.pictures_forth} decoded forth, {carried.pictures_back} back"),
        ("in all", f"{carried.bytes_forth:,} bytes forth, {carried.bytes_back:,} back"),
        ("round trip, loss", f"{_milliseconds(result.round_trip)}, {loss}"),
    ]


def _shortened(fingerprint: str) -> str:
    """Enough of it to compare; --json has the whole."""
    algorithm, _, value = fingerprint.partition(" ")
    return f"{algorithm} {value[:11]} ... {value[-11:]}"


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
    if seconds is None:
        return "-"
    milliseconds = seconds * 1000
    return f"{milliseconds:,.{0 if milliseconds >= 100 else 1}f} ms"


def _verdict(results: list[PathResult]) -> str:
    if not all_carried(results):
        return "Not every path carried every byte."
    left_out = sum(result.outcome is Outcome.SKIPPED for result in results)
    note = f" {left_out} skipped, for the reasons above." if left_out else ""
    return f"Every path that was tried carried every byte.{note}"
