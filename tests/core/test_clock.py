"""Timers by key, and the virtual clock that tests are told time by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import NEVER, Instant, TimerTable, earliest, later
from icelane.testing.clock import DEFAULT_EPOCH, VirtualClock

pytestmark = pytest.mark.twin

START = Instant(100.0)


def test_later_moves_an_instant() -> None:
    assert later(START, 2.5) == 102.5
    assert later(START, 1e9) < NEVER


def test_the_earliest_of_some_deadlines_is_found() -> None:
    assert earliest() is None
    assert earliest(None, None) is None
    assert earliest(None, later(START, 2), START, None) == START


def test_the_earliest_deadline_comes_next() -> None:
    timers: TimerTable[str] = TimerTable()
    assert timers.next() is None
    timers.set("b", later(START, 2))
    timers.set("a", later(START, 1))
    timers.set("c", later(START, 3))
    assert timers.next() == 101.0
    assert len(timers) == 3
    assert "a" in timers
    assert timers.deadline("c") == 103.0
    assert timers.deadline("x") is None


def test_due_timers_are_popped_earliest_first_and_only_when_due() -> None:
    timers: TimerTable[str] = TimerTable()
    for key, delay in (("late", 5.0), ("second", 2.0), ("first", 1.0)):
        timers.set(key, later(START, delay))
    assert timers.pop_due(later(START, 0.999)) is None
    assert timers.pop_due(later(START, 2)) == "first"
    assert timers.pop_due(later(START, 2)) == "second"
    assert timers.pop_due(later(START, 2)) is None
    assert timers.next() == 105.0
    assert "first" not in timers


def test_timers_of_the_same_instant_fire_in_the_order_they_were_armed() -> None:
    timers: TimerTable[int] = TimerTable()
    for key in (3, 1, 2):
        timers.set(key, START)
    assert [timers.pop_due(START) for _ in range(4)] == [3, 1, 2, None]


def test_a_timer_that_is_set_again_fires_once_at_its_new_time() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("a", later(START, 1))
    timers.set("a", later(START, 9))
    assert timers.next() == 109.0
    assert timers.pop_due(later(START, 8)) is None
    timers.set("a", later(START, 2))
    assert timers.pop_due(later(START, 3)) == "a"
    assert timers.pop_due(later(START, 100)) is None
    assert len(timers) == 0


def test_a_cancelled_timer_does_not_fire() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("a", START)
    timers.set("b", later(START, 1))
    timers.cancel("a")
    timers.cancel("never set")
    assert timers.next() == 101.0
    assert timers.pop_due(later(START, 5)) == "b"
    assert timers.pop_due(later(START, 5)) is None


def test_clear_disarms_everything() -> None:
    timers: TimerTable[int] = TimerTable()
    for key in range(10):
        timers.set(key, START)
    timers.clear()
    assert timers.next() is None
    assert timers.pop_due(NEVER) is None


def test_a_deadline_of_never_is_never_due() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("a", NEVER)
    assert timers.pop_due(later(START, 1e12)) is None


def test_timers_that_are_moved_for_ever_keep_memory_flat() -> None:
    """OP-8, the timer half: refreshes leave stale entries behind, and their number is bounded."""
    timers: TimerTable[int] = TimerTable()
    for turn in range(20_000):
        timers.set(turn % 10, later(START, float(turn)))
        assert len(timers._heap) <= 2 * len(timers) + 66
    for turn in range(20_000):
        timers.set(turn, START)
        timers.cancel(turn)
        assert len(timers._heap) <= 2 * len(timers) + 100


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "cancel", "pop"]), st.integers(0, 7), st.integers(0, 50)),
        max_size=120,
    )
)
def test_a_timer_table_agrees_with_a_plain_dictionary(steps: list[tuple[str, int, int]]) -> None:
    timers: TimerTable[int] = TimerTable()
    model: dict[int, tuple[float, int]] = {}
    for order, (step, key, at) in enumerate(steps):
        if step == "set":
            timers.set(key, Instant(float(at)))
            model[key] = (float(at), order)
        elif step == "cancel":
            timers.cancel(key)
            model.pop(key, None)
        else:
            due = sorted((when, set_at, name) for name, (when, set_at) in model.items() if when <= at)
            expected = due[0][2] if due else None
            assert timers.pop_due(Instant(float(at))) == expected
            if expected is not None:
                del model[expected]
        assert len(timers) == len(model)
        earliest: float | None = min((when for when, _ in model.values()), default=None)
        assert timers.next() == earliest


# -- the virtual clock


def test_the_virtual_clock_moves_only_when_told() -> None:
    clock = VirtualClock()
    before = clock.now
    assert clock.now == before
    assert clock.advance(1.5) == before + 1.5
    assert clock.unix_time(before) == DEFAULT_EPOCH
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-0.1)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_step_moves_the_calendar_and_no_timer(step: float) -> None:
    """OP-7: the test's own tool."""
    clock = VirtualClock()
    before = clock.now
    clock.step_wall(step)
    assert clock.now == before
    assert clock.unix_time(clock.now) == DEFAULT_EPOCH + step
