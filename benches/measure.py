"""What a server costs, read from /proc, and the statistics of repeated rounds.

CPU time comes from `/proc/PID/task/*/schedstat`, which counts nanoseconds that a thread ran; the utime and stime of
`/proc/PID/stat` are sampled by a tick and would hide short bursts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

SETTLE_STEP, SETTLE_TIMEOUT = 0.05, 30.0
IDLE_SHARE = 0.05


def process_tree(pid: int) -> Iterator[int]:
    """`pid` and all its descendants that live now."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed = children.read_text().split()
        except OSError:  # the thread ended meanwhile
            continue
        for child in listed:
            yield from process_tree(int(child))


def cpu_nanoseconds(pid: int) -> int:
    """CPU time that the threads of the process tree have used; threads that ended are not in it."""
    total = 0
    for process in process_tree(pid):
        for schedstat in Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                total += int(schedstat.read_text().split()[0])
            except OSError:
                continue
    return total


def settle(pid: int) -> None:
    """Wait until the process tree is idle: what one run left in queues shall not be charged to the next.

    Gives up after SETTLE_TIMEOUT seconds; a server that is never idle shows in its figures.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while time.monotonic() < deadline:
        before = cpu_nanoseconds(pid)
        time.sleep(SETTLE_STEP)
        if cpu_nanoseconds(pid) - before < IDLE_SHARE * SETTLE_STEP * 1e9:
            return


def busy_nanoseconds(cpu: int) -> int:
    """Time that `cpu` spent on anything, in the steps of the tick that it is sampled by."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, _idle, _iowait, interrupts, soft_interrupts, *_ = map(int, values)
            return (user + nice + system + interrupts + soft_interrupts) * (1_000_000_000 // TICKS_PER_SECOND)
    raise ValueError(f"no CPU {cpu}")


def resident_bytes(pid: int) -> int:
    """Resident memory of the process tree."""
    return sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_SIZE for process in process_tree(pid))


@dataclass(frozen=True, slots=True)
class Summary:
    """A median and how far the samples lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """The summary of at least one sample."""
        return cls(statistics.median(samples), min(samples), max(samples))

    @property
    def spread(self) -> float:
        """(high - low) / median; 0 when the median is 0."""
        return (self.high - self.low) / self.median if self.median else 0.0


def cpu_list(cpus: Iterable[int]) -> str:
    """CPUs as `taskset --cpu-list` takes them."""
    return ",".join(map(str, cpus))


@dataclass(frozen=True, slots=True)
class Processors:
    """Where the two sides run. With a single CPU they share it, and the figures are worth less."""

    server: int
    load: int

    @classmethod
    def available(cls) -> Processors:
        """The first two CPUs that this process may use."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])

    @property
    def are_separate(self) -> bool:
        """Whether server and load have a CPU each."""
        return self.server != self.load
