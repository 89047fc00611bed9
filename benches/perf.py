"""What `perf record` (Debian package linux-perf) sees of a program: where its CPU time goes, symbol by symbol."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

PERF: Final = "perf"
PERF_PACKAGE: Final = "linux-perf"

BEGIN: Final = 0.5
"""Seconds that perf takes to begin, at most."""

_LINE: Final = re.compile(r"^\s*(\d+\.\d+)%\s+(\S+)\s+\[([k.])\]\s+(.+?)\s*$")


class Line(NamedTuple):
    """One symbol. `share` is of the CPU time, 0 to 1; `kind` is k in the kernel, else a dot."""

    share: float
    binary: str
    kind: str
    symbol: str


def require() -> None:
    """End the program where perf is not installed."""
    if shutil.which(PERF) is None:
        sys.exit(f"perf is not installed: apt-get install {PERF_PACKAGE}")


@contextmanager
def watching(pid: int, hertz: int, samples: Path) -> Iterator[None]:
    """Look so often in a second of its CPU time at what a program is doing, into the file `samples`."""
    command = [PERF, "record", "-q", "-e", "cpu-clock", "-F", str(hertz), "-p", str(pid), "-o", str(samples)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recording:
        try:
            time.sleep(BEGIN)
            yield
        finally:
            recording.terminate()


def report(samples: Path) -> str:
    """What was seen, as perf prints it."""
    return subprocess.run(
        [PERF, "report", "-i", str(samples), "--stdio", "-g", "none", "-F", "overhead,dso,sym"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def parse_report(printed: str) -> Iterator[Line]:
    """The symbols, the largest first."""
    for line in printed.splitlines():
        if (found := _LINE.match(line)) is not None:
            yield Line(float(found[1]) / 100, found[2], found[3], found[4])
