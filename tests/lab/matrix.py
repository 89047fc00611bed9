"""Every pair of networks, called in real: prints which path each takes and how long it takes to be there.

    python -m tests.lab.matrix                 once each, as tables; --json for programs
    python -m tests.lab.matrix --runs 20       twenty times each: how many took the path that theory says, and medians
    python -m tests.lab.matrix --write         and puts the tables into docs/explanation/networks.md

It exits with 1 when a call did not take the path that theory says, with 2 where the lab cannot be built.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from icelane.testing.lab import missing
from tests.lab.expected import EXPECTED, REASONS
from tests.lab.networks import ALL_CELLS, Cell, Kind
from tests.lab.stage import Outcome, members, stage

PAGE: Final = Path(__file__).parents[2] / "docs/explanation/networks.md"
# Between these lines, the page is written by us.
MEASURED: Final = "<!-- what `make matrix` measured -->\n", "<!-- end of what it measured -->\n"
THEORY: Final = "<!-- what theory says -->\n", "<!-- end of what theory says -->\n"

Outcomes = Mapping[Cell, Sequence[Outcome]]


async def measure(runs: int) -> dict[Cell, list[Outcome]]:
    """All cells, one call at a time."""
    with tempfile.TemporaryDirectory(prefix="icelane-matrix-") as folder:
        async with stage(Path(folder), abreast=1) as found:
            await found.warm_up(ALL_CELLS)
            return await found.calls(ALL_CELLS, runs)


def as_expected(cell: Cell, outcomes: Sequence[Outcome]) -> int:
    """How many of the calls took the path that theory says."""
    return sum(outcome.route == EXPECTED[cell] for outcome in outcomes)


def path_of(cell: Cell, outcomes: Sequence[Outcome]) -> str:
    """The path in words; when not all calls took the expected one, how many did, and what the others did."""
    if as_expected(cell, outcomes) == len(outcomes):
        return str(EXPECTED[cell])
    others = sorted({str(outcome.route or "no path") for outcome in outcomes if outcome.route != EXPECTED[cell]})
    return f"{EXPECTED[cell]} {as_expected(cell, outcomes)}/{len(outcomes)}, else {', '.join(others)}"


def setup_of(outcomes: Sequence[Outcome]) -> str:
    """The median of those that were connected."""
    times = [outcome.setup for outcome in outcomes if outcome.route is not None]
    return f"{statistics.median(times) * 1000:.0f} ms" if times else "-"


def grid(text: Callable[[Cell], str], corner: str) -> list[list[str]]:
    """A table with a row for each offerer and a column for each answerer."""
    rows = [[corner, *(kind.value for kind in Kind)]]
    return rows + [[one.value, *(text((one, other)) for other in Kind)] for one in Kind]


def plain(rows: Sequence[Sequence[str]]) -> str:
    """For a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """For a page."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def path_grid(outcomes: Outcomes | None = None) -> list[list[str]]:
    """What happened, or without outcomes what theory says."""
    if outcomes is None:
        return grid(lambda cell: str(EXPECTED[cell]), "offers, answers")
    return grid(lambda cell: path_of(cell, outcomes[cell]), "offers, answers")


def reasons() -> list[list[str]]:
    """Why there is a direct path or none, a row for each pair."""
    rows = [["one", "the other", "direct", "because"]]
    for (one, other), reason in REASONS.items():
        route = EXPECTED[one, other]
        rows.append([one.value, other.value, "no" if route.is_relayed else route.offerer.value, reason])
    return rows


def page(outcomes: Outcomes) -> str:
    """The part of the page that is measured."""
    runs = len(outcomes[ALL_CELLS[0]])
    good = sum(as_expected(cell, found) for cell, found in outcomes.items())
    return "\n\n".join(
        (
            f"Written by `python -m tests.lab.matrix --runs {runs} --write`.",
            f"{good} of {runs * len(outcomes)} calls took the path that theory says:",
            markdown(path_grid(outcomes)),
            "Set-up, from the offer to a channel that is open at both ends; medians:",
            markdown(grid(lambda cell: setup_of(outcomes[cell]), "offers, answers")),
        )
    )


def written(text: str, marks: tuple[str, str], part: str) -> str:
    """The page with a part of it replaced."""
    begin, end = marks
    new, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{part}\n\n{end}", text, flags=re.DOTALL)
    assert count == 1, begin
    return new


def write(outcomes: Outcomes) -> None:
    """Replace both parts."""
    text = written(PAGE.read_text(encoding="utf-8"), MEASURED, page(outcomes))
    PAGE.write_text(written(text, THEORY, markdown(reasons())), encoding="utf-8")


def as_json(outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    """One object for each call."""
    for (offerer, answerer), found in outcomes.items():
        for outcome in found:
            yield {
                "offerer": offerer.value,
                "answerer": answerer.value,
                "connected": outcome.route is not None,
                "path": outcome.route and str(outcome.route),
                "expected": str(EXPECTED[offerer, answerer]),
                "setup": round(outcome.setup, 4),
                "ends": outcome.ends,
                "error": outcome.error,
            }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1, help="calls for each pair of networks")
    parser.add_argument("--json", action="store_true", help="one JSON array of all calls instead of tables")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}, too")
    given = parser.parse_args(arguments)
    if given.runs < 1:
        parser.error("--runs is at least 1")
    if (lacking := missing(*members())) is not None:
        print(f"the lab {lacking}", file=sys.stderr)
        return 2
    outcomes = asyncio.run(measure(given.runs))
    if given.json:
        print(json.dumps(list(as_json(outcomes)), indent=1))
    else:
        print(plain(path_grid(outcomes)))
        print(f"\nSet-up, medians of {given.runs}:\n")
        print(plain(grid(lambda cell: setup_of(outcomes[cell]), "offers, answers")))
    if given.write:
        write(outcomes)
    wrong = {cell: found for cell, found in outcomes.items() if as_expected(cell, found) < len(found)}
    for (offerer, answerer), found in wrong.items():
        errors = {outcome.error or str(outcome.route) for outcome in found}
        print(f"{offerer.value} to {answerer.value}: {'; '.join(sorted(errors))}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
