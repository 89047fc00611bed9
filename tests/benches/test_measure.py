from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benches.measure import Processors, Summary, busy_nanoseconds, cpu_nanoseconds, process_tree, resident_bytes

BURN_AND_WAIT = "x = sum(range(10**6)); print('done', flush=True); import sys; sys.stdin.read()"


def test_a_summary_has_the_median_and_the_spread_around_it() -> None:
    summary = Summary.of([4.0, 1.0, 2.0])
    assert (summary.median, summary.low, summary.high) == (2.0, 1.0, 4.0)
    assert summary.spread == 1.5


def test_the_spread_of_nothing_but_zeros_is_zero() -> None:
    assert Summary.of([0.0, 0.0]).spread == 0.0


def test_the_tree_and_its_cpu_time_include_the_children_of_children() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN_AND_WAIT!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        tree = list(process_tree(process.pid))
        assert len(tree) == 2
        assert cpu_nanoseconds(process.pid) > cpu_nanoseconds(tree[1]) > 1_000_000
        assert resident_bytes(process.pid) > resident_bytes(tree[1]) > 1 << 20
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


def test_cpu_time_counts_what_ran_and_not_what_slept() -> None:
    before = cpu_nanoseconds(os.getpid())
    burnt = time.thread_time_ns()
    sum(range(2_000_000))
    burnt = time.thread_time_ns() - burnt
    assert cpu_nanoseconds(os.getpid()) - before >= burnt * 0.9


def test_the_busy_time_of_a_cpu_that_is_not_there_is_an_error() -> None:
    assert busy_nanoseconds(Processors.available().load) >= 0
    with pytest.raises(ValueError, match="no CPU 9999"):
        busy_nanoseconds(9999)
