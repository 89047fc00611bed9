"""Whether what `make wheels` has built is whole, and works where nobody can compile.

    python -m tests.wheel contents              what the sdist and the wheel in dist hold
    python -m tests.wheel room [TEST ...]       the demo and the tests, from the wheel in a clean environment

Exits 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.wheel.archives import ROOT, Archives
from tests.wheel.left_out import LEFT_OUT, arguments_for, stale
from tests.wheel.room import Room


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.wheel", description="Tries what `make wheels` has built.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the sdist and the wheel are")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("contents", help="what the two hold")
    room = commands.add_parser("room", help="the demo and the tests, from the wheel")
    room.add_argument("--folder", type=Path, help="make the room there and leave it, and not below /tmp")
    room.add_argument("--no-demo", action="store_true", help="run the tests only")
    room.add_argument("--processes", default="auto", help="how many run tests; by default as many as processors")
    room.add_argument("tests", nargs="*", default=["tests"], metavar="TEST", help="what pytest is given: all of them")
    options = parser.parse_args(arguments)
    try:
        archives = Archives.of(options.dist)
    except FileNotFoundError as error:
        parser.error(f"{error}; make wheels builds them")
    if options.command == "contents":
        return _contents(archives)
    tests = ["--numprocesses", options.processes, *options.tests]
    try:
        if options.folder is not None:
            options.folder.mkdir(parents=True, exist_ok=True)
            return _room(Room(options.folder.resolve()), archives, tests, demo=not options.no_demo)
        # Machines of a lab see another /tmp for a moment, and would look for their programs in that.
        with tempfile.TemporaryDirectory(prefix="icelane-wheel-", dir="/var/tmp") as folder:
            return _room(Room(Path(folder)), archives, tests, demo=not options.no_demo)
    except subprocess.CalledProcessError as failed:
        print(f"failed with {failed.returncode}: {' '.join(map(str, failed.cmd))[:200]}", file=sys.stderr)
        return 1


def _contents(archives: Archives) -> int:
    faults = archives.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    for path in archives:
        print(f"{path.stat().st_size:>10,}  {path}")
    return 1 if faults else 0


def _room(room: Room, archives: Archives, tests: Sequence[str], *, demo: bool) -> int:
    print(f"installing {archives.wheel.name} where there is no compiler", flush=True)
    room.furnish(archives)
    room.show_what_runs()
    if gone := stale(room.tree):
        print(f"left out, and not there any more: {', '.join(gone)}", file=sys.stderr)
        return 1
    if demo:
        room.run_python(["-m", "demo"])
    for test, reason in LEFT_OUT.items():
        print(f"left out: {test}: {reason}", flush=True)
    selected = ["-m", "not interop and not long", *arguments_for(LEFT_OUT)]
    room.run_python(["-m", "pytest", "-p", "no:cacheprovider", *selected, *tests], ICELANE_REQUIRE_COMPILED="1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
