"""Proves that the security checks bite: applies each break and expects the tests of its check to fail.

    python -m tests.broken                 every break
    python -m tests.broken TR-6 some_name  the breaks of a check, or one break
    python -m tests.broken --list          what there is

Exits 1 when a test passes on a broken product, when it could not run, or when a check that ships has no break.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.broken.registry import Break, all_breaks

ROOT: Final = Path(__file__).parents[2]
TIMEOUT: Final = 180.0

# The checks that nothing ships without; the rest may have breaks too.
PRIORITY_ZERO: Final = (
    *(f"ST-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12)),
    *(f"TA-{number}" for number in (1, 2, 3, 4, 8, 9, 11, 14)),
    *(f"TR-{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9)),
    *(f"TQ-{number}" for number in (1, 2, 3, 4, 5, 6)),
    *(f"TL-{number}" for number in (1, 2, 3, 4, 5, 7)),
    *(f"IC-{number}" for number in (1, 2, 3, 4, 5, 7, 8, 12)),
    *(f"DT-{number}" for number in (1, 2, 3, 4, 5, 6)),
    *(f"SC-{number}" for number in (1, 2, 3, 4, 5)),
    *(f"SD-{number}" for number in (1, 2, 3)),
    *(f"SR-{number}" for number in (1, 2, 3)),
    "SG-1", "SG-2", "SG-5", "SG-6",
    "SG-3", "SG-4", "SG-7", "SG-8", "SG-9", "SG-10", "SG-11", "SG-12", "SG-13", "OP-2", "OP-10",
    "FZ-1", "FZ-2", "FZ-4", "OP-1", "OP-3", "OP-4", "OP-5", "OP-7", "OP-8",
)  # fmt: skip


class Result(NamedTuple):
    """What became of some tests: `failed`, `passed`, `skipped` or why they did not run; and what the first one said."""

    outcome: str
    said: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description="Proves that the security checks bite.")
    parser.add_argument("wanted", nargs="*", metavar="CHECK-OR-NAME", help="only these checks or breaks")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="list the breaks and run nothing")
    options = parser.parse_args(arguments)
    chosen = _choose(options.wanted)
    if options.list:
        for found in chosen:
            print(f"{','.join(found.checks):12} {found.name}")
        return 0
    if not chosen:
        parser.error("no such check or break")
    return _prove(chosen, options.jobs, everything=not options.wanted)


def _choose(wanted: Sequence[str]) -> list[Break]:
    found = all_breaks().values()
    return [one for one in found if not wanted or one.name in wanted or set(one.checks) & set(wanted)]


def _prove(chosen: Sequence[Break], jobs: int, everything: bool) -> int:
    tests = sorted({test for one in chosen for test in one.tests})
    baseline = _run(None, tests)
    if baseline.outcome not in ("passed", "skipped"):
        print(f"the checks do not even pass on the product as it is: {baseline.outcome}\n{baseline.said}")
        return 1
    work = [(one, test) for one in chosen for test in one.tests]
    bad = 0
    with ThreadPoolExecutor(jobs) as pool:
        for (one, test), result in zip(work, pool.map(lambda pair: _run(*pair), work), strict=True):
            bad += result.outcome != "failed"
            print(_line(one, test, result), flush=True)
    covered = {check for one in chosen for check in one.checks}
    missing = [check for check in PRIORITY_ZERO if check not in covered] if everything else []
    if missing:
        print(f"checks without a break: {' '.join(missing)}")
    print(f"{len(work) - bad} of {len(work)} caught")
    return 1 if bad or missing else 0


def _line(one: Break, test: str, result: Result) -> str:
    verdict = "caught" if result.outcome == "failed" else f"NOT CAUGHT ({result.outcome})"
    # What the test said shows that it failed for the weakness and not for a mistake in the break.
    said = " ".join(result.said.split())[:80] if result.outcome != "passed" else ""
    return f"{verdict:7} {','.join(one.checks):10} {one.name}\n        {test.rpartition('::')[2]}: {said}"


def _run(one: Break | None, tests: str | Sequence[str]) -> Result:
    nodes = [tests] if isinstance(tests, str) else list(tests)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # Compiled modules call each other without looking names up, so their functions cannot be replaced.
        environment = os.environ | {"ICELANE_PURE": "1", "BREAK_REPORT": str(report)}
        environment["BREAK_NAME"] = one.name if one else ""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.broken.plugin", "-p", "no:cacheprovider", "-x"]
        try:
            finished = subprocess.run(
                [*command, *nodes], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_timeout(nodes)
            )
        except subprocess.TimeoutExpired:
            return Result("timeout", "")
        if not report.exists():
            return Result("pytest did not run", finished.stdout[-1000:] + finished.stderr[-1000:])
        return _summary(json.loads(report.read_text()))


def _timeout(nodes: Sequence[str]) -> float:
    return TIMEOUT * (1 + len(nodes) / 10)


def _summary(said_by_outcome: dict[str, list[str]]) -> Result:
    # An error outside the test proves nothing about the test; one that was skipped has not looked.
    for outcome in ("error", "failed", "skipped", "passed"):
        if said_by_outcome[outcome]:
            return Result(outcome, said_by_outcome[outcome][0])
    return Result("nothing ran", "")


if __name__ == "__main__":
    sys.exit(main())
