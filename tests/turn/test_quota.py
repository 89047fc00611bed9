from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icelane.turn.quota import AllocationQuota, LocalTally, QuotaRefusal, QuotaSlot


def reserved(quota: AllocationQuota, user: str, count: int) -> list[QuotaSlot]:
    return [slot for slot in (quota.reserve(user) for _ in range(count)) if isinstance(slot, QuotaSlot)]


def test_the_thirteenth_allocation_of_a_user_is_refused() -> None:
    """TQ-5: 486, and only for that user."""
    quota = AllocationQuota(per_user=12, total=100)
    assert len(reserved(quota, "alice", 12)) == 12
    assert quota.reserve("alice") is QuotaRefusal.USER
    assert QuotaRefusal.USER.code == 486
    assert len(reserved(quota, "bob", 1)) == 1


def test_the_server_as_a_whole_has_a_limit() -> None:
    """TQ-8: total quota; 508."""
    quota = AllocationQuota(per_user=0, total=3)
    assert len(reserved(quota, "alice", 5)) == 3
    assert quota.reserve("bob") is QuotaRefusal.TOTAL
    assert QuotaRefusal.TOTAL.code == 508


def test_allocations_that_are_still_being_made_count() -> None:
    """TQ-5: 200 concurrent Allocates never pass the limit; one that fails gives its slot back."""
    quota = AllocationQuota(per_user=12, total=0)
    pending = reserved(quota, "alice", 200)
    assert len(pending) == 12
    quota.release(pending.pop())
    assert len(reserved(quota, "alice", 200)) == 1


def test_a_slot_is_given_back_once() -> None:
    """TQ-5: disconnecting twice does not make room for two."""
    tally = LocalTally()
    quota = AllocationQuota(per_user=2, total=2, tally=tally)
    first, second = reserved(quota, "alice", 2)
    for _ in range(3):
        quota.release(first)
    assert len(quota) == tally.count_of("alice") == 1
    quota.release(second)
    assert (len(quota), len(tally), tally.count_of("alice")) == (0, 0, 0)


def test_a_limit_of_zero_is_none() -> None:
    quota = AllocationQuota(per_user=0, total=0)
    assert len(reserved(quota, "alice", 1000)) == 1000


@given(st.integers(1, 4), st.integers(1, 8), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_no_order_of_coming_and_going_passes_a_limit(per_user: int, total: int, steps: list[tuple[str, bool]]) -> None:
    """TQ-5."""
    tally, held = LocalTally(), list[QuotaSlot]()
    quota = AllocationQuota(per_user, total, tally)
    for user, coming in steps:
        if coming:
            held += reserved(quota, user, 1)
        elif held:
            quota.release(held.pop(0))
        assert len(quota) == len(held) <= total
        assert all(tally.count_of(name) == sum(slot.user_key == name for slot in held) <= per_user for name in "abc")
    for slot in held:
        quota.release(slot)
    assert (len(quota), len(tally)) == (0, 0)
