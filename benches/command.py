"""What the benchmark commands share: their options, the notes above the tables, and the file of raw results."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches.measure import Processors
from benches.servers import Server, ServerFailedError, default_servers
from benches.table import console
from benches.turn_client import TurnError


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    smoke: bool
    full: bool
    json: Path | None
    coturn: Sequence[str]
    servers: str
    only: str
    rounds: int | None
    seconds: float | None


def parse_options(description: str, name: str) -> Options:
    """Read the command line of `python -m benches.<name>`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benches.{name}", description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a few seconds that only show that it works")
    size.add_argument("--full", action="store_true", help="everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument(
        "--coturn", action="append", default=[], metavar="PATH", help="another turnserver to run (may be repeated)"
    )
    parser.add_argument("--servers", default="", metavar="TEXT", help="only servers whose name contains TEXT")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains TEXT")
    parser.add_argument("--rounds", type=int, help="instead of the usual number; at least 2")
    parser.add_argument("--seconds", type=float, help="length of one run, instead of the usual")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 2:
        parser.error("--rounds: the first round is dropped, so at least 2 are needed")
    return Options(**vars(arguments))


@dataclass(kw_only=True)
class Session:
    """One run of a command, and what its reader should know."""

    processors: Processors
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say something that matters for reading the figures."""
        self.notes.append(text)
        console().print(f"note: {text}", markup=False)

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell a waiting person how far it is; not part of the results."""
        print(f"{done}/{total} {what}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def announce(options: Options) -> Iterator[Session]:
    """Name the machine, take our own CPU, and turn failures of servers and signals into a clean end."""
    processors = Processors.available()
    session = Session(processors=processors)
    session.note(
        f"{_cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"
    )
    if not processors.are_separate:
        session.note("one CPU only: server and load share it, the figures say little")
    if options.smoke:
        session.note("smoke mode: these figures show that the benchmark works, and nothing else")
    os.sched_setaffinity(0, {processors.load})
    signal.signal(signal.SIGTERM, _end_cleanly)
    try:
        yield session
    except (ServerFailedError, TurnError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def choose_servers(options: Options, session: Session) -> list[Server]:
    """The servers that the options ask for; those that are not installed are named and left out."""
    chosen = []
    for server in default_servers(options.coturn):
        if options.servers in server.name:
            reason = server.missing()
            if reason is None:
                chosen.append(server)
            else:
                session.note(f"left out: {server.name}: {reason}")
    if not chosen:
        sys.exit("no server to measure")
    return chosen


def write_json(options: Options, session: Session, results: Sequence[object]) -> None:
    """Write the dataclasses in `results` with the notes, if a file was asked for."""
    if options.json is not None:
        document = {"notes": session.notes, "results": results}
        options.json.write_text(json.dumps(document, default=_plain, indent=1) + "\n")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {member.name: getattr(value, member.name) for member in dataclasses.fields(value)}
    return str(value)


def _end_cleanly(_number: int, _frame: object) -> None:
    sys.exit(143)


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
