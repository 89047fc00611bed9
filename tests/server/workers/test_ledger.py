"""What several processes count together."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.aio.system import monotonic
from icelane.core.clock import Instant
from icelane.server.bandwidth import Bandwidth, BandwidthLimits, PythonBucket
from icelane.server.workers.ledger import Kind, Ledger, SharedCells, SharedTally
from icelane.testing.entropy import SeededEntropy
from icelane.turn.quota import Limit, LocalTally

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shared memory needs Linux")

WORKERS: Final = 3
PACKET: Final = 1000


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create(workers=WORKERS, names=64, entropy=SeededEntropy(1))
    yield made
    made.close()


steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, WORKERS - 1), st.sampled_from(["enter", "leave", "clear"])),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(per_name=st.integers(0, 4), total=st.integers(0, 8), steps=steps)
def test_workers_count_together_as_one_would(per_name: int, total: int, steps: list[tuple[str, int, str]]) -> None:
    """TQ-5: whatever they do, and whoever of them dies, what is held stays within the limits, and is what was taken."""
    ledger = Ledger.create(workers=WORKERS, names=64, entropy=SeededEntropy(1))
    tallies = [SharedTally(ledger, Kind.ALLOCATIONS, worker) for worker in range(WORKERS)]
    model = LocalTally()
    held: Counter[tuple[str, int]] = Counter()
    for name, worker, what in steps:
        if what == "enter":
            refused = tallies[worker].enter(name, per_key=per_name, total=total)
            assert refused == model.enter(name, per_key=per_name, total=total)
            held[name, worker] += refused is None
        elif what == "leave" and held[name, worker]:
            tallies[worker].leave(name)
            model.leave(name)
            held[name, worker] -= 1
        elif what == "clear":
            ledger.clear(worker)
            for mine, count in held.items():
                if mine[1] == worker:
                    for _ in range(count):
                        model.leave(mine[0])
                    held[mine] = 0
        assert tallies[worker].total == model.total == held.total()
        assert ledger.count_of(Kind.ALLOCATIONS, name) == model.count_of(name)
    ledger.close()


def test_kinds_are_counted_each_for_itself(ledger: Ledger) -> None:
    allocations, connections = (SharedTally(ledger, kind, 0) for kind in (Kind.ALLOCATIONS, Kind.CONNECTIONS))
    assert allocations.enter("alice", per_key=1, total=0) is None
    assert allocations.enter("alice", per_key=1, total=0) is Limit.KEY
    assert connections.enter("alice", per_key=1, total=0) is None
    assert (allocations.total, connections.total) == (1, 1)


def test_names_come_and_go_without_end(ledger: Ledger) -> None:
    """TQ-5: rows that nobody is counted in make room; a flood of names fills nothing."""
    tally = SharedTally(ledger, Kind.CONNECTIONS, 1)
    for number in range(5000):
        assert tally.enter(f"source {number}", per_key=2, total=0) is None
        if number >= 20:
            tally.leave(f"source {number - 20}")
    assert tally.total == 20


def test_a_full_ledger_refuses_and_breaks_nothing(ledger: Ledger) -> None:
    tally = SharedTally(ledger, Kind.ALLOCATIONS, 0)
    outcomes = [tally.enter(f"user {number}", per_key=0, total=0) for number in range(2000)]
    entered = outcomes.count(None)
    assert 64 <= entered < 2000
    assert set(outcomes) == {None, Limit.TOTAL}
    assert tally.total == entered
    for number, outcome in enumerate(outcomes):
        if outcome is None:
            tally.leave(f"user {number}")
    assert tally.total == 0
    assert tally.enter("late", per_key=1, total=1) is None


def test_a_user_who_is_back_finds_the_debt_that_was_left(ledger: Ledger) -> None:
    """TQ-9: as long as it is one. Then the row may be anybody's."""
    tally, cells = SharedTally(ledger, Kind.ALLOCATIONS, 0), SharedCells(ledger)
    limits = BandwidthLimits(per_user=10 * PACKET)
    now = monotonic()
    tally.enter("alice", per_key=0, total=0)
    first = Bandwidth(limits, PythonBucket, cells)
    meter = first.open("a", "alice")
    assert sum(meter.admit(PACKET, now) for _ in range(20)) == 10
    first.close("a", now)
    tally.leave("alice")
    other = SharedTally(ledger, Kind.ALLOCATIONS, 2)
    for number in range(500):
        other.enter(f"user {number}", per_key=0, total=0)
        other.leave(f"user {number}")
    other.enter("alice", per_key=0, total=0)
    assert not Bandwidth(limits, PythonBucket, cells).open("b", "alice").admit(PACKET, now)


def test_everybody_draws_on_one_bucket_of_all(ledger: Ledger) -> None:
    limits = BandwidthLimits(total=10 * PACKET)
    cells = SharedCells(ledger)
    meters = [Bandwidth(limits, PythonBucket, cells).open(number, "user") for number in range(3)]
    now = Instant(1e6)
    assert sum(meters[number % 3].admit(PACKET, now) for number in range(30)) == 10


def _take_many(descriptor: int, secret: bytes, worker: int, results: multiprocessing.Queue[int]) -> None:
    ledger = Ledger(descriptor, workers=WORKERS, names=64, secret=secret)
    tally = SharedTally(ledger, Kind.ALLOCATIONS, worker)
    taken = 0
    for number in range(3000):
        if tally.enter("alice", per_key=50, total=0) is None:
            taken += 1
            if number % 3:
                tally.leave("alice")
                taken -= 1
    results.put(taken)


def test_processes_that_count_at_the_same_time_never_pass_a_limit(ledger: Ledger) -> None:
    """CR-4."""
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = context.Queue()
    processes = [
        context.Process(target=_take_many, args=(os.dup(ledger.fileno()), ledger.secret, worker, results))
        for worker in range(WORKERS)
    ]
    for process in processes:
        process.start()
    taken = sum(results.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert taken == ledger.count_of(Kind.ALLOCATIONS, "alice") == ledger.total(Kind.ALLOCATIONS) == 50


def _die_with_the_lock(descriptor: int, secret: bytes) -> None:
    ledger = Ledger(descriptor, workers=WORKERS, names=64, secret=secret)
    with ledger._locked():
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_lock_of_a_process_that_died_is_nobodys(ledger: Ledger) -> None:
    """OP-5."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_die_with_the_lock, args=(os.dup(ledger.fileno()), ledger.secret))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert SharedTally(ledger, Kind.ALLOCATIONS, 0).enter("alice", per_key=1, total=1) is None
