"""Role conflicts."""

from __future__ import annotations

import pytest

from icelane.ice.check import Check
from icelane.ice.event import IceRole
from icelane.ice.role import MAX_ROLE_CHANGES, RoleArbiter
from icelane.testing.entropy import SeededEntropy

BOTH = list(IceRole)


def check(role: IceRole | None, tie_breaker: int) -> Check:
    return Check(priority=1, use_candidate=False, role=role, tie_breaker=tie_breaker)


def arbiter(role: IceRole, *, fixed: bool = False) -> RoleArbiter:
    made = RoleArbiter(role, SeededEntropy(1), fixed=fixed)
    made.tie_breaker = 100
    return made


@pytest.mark.parametrize("role", BOTH)
def test_there_is_no_conflict_with_the_other_role_or_none(role: IceRole) -> None:
    ours = arbiter(role)
    assert ours.admits(check(role.other, 2**64 - 1))
    assert ours.admits(check(None, 0))
    assert ours.role is role


@pytest.mark.parametrize(
    ("role", "theirs", "admitted", "after"),
    [
        (IceRole.CONTROLLING, 99, False, IceRole.CONTROLLING),
        (IceRole.CONTROLLING, 100, False, IceRole.CONTROLLING),
        (IceRole.CONTROLLING, 101, True, IceRole.CONTROLLED),
        (IceRole.CONTROLLED, 99, True, IceRole.CONTROLLING),
        (IceRole.CONTROLLED, 100, True, IceRole.CONTROLLING),
        (IceRole.CONTROLLED, 101, False, IceRole.CONTROLLED),
    ],
)
def test_the_larger_tie_breaker_is_in_control(role: IceRole, theirs: int, admitted: bool, after: IceRole) -> None:
    """RFC 8445 section 7.3.1.1."""
    ours = arbiter(role)
    assert ours.admits(check(role, theirs)) is admitted
    assert ours.role is after


@pytest.mark.parametrize("role", BOTH)
def test_a_refused_check_changes_the_role_once_and_the_tie_breaker(role: IceRole) -> None:
    """RFC 8445 section 7.2.5.1."""
    ours = arbiter(role)
    assert ours.handle_refusal(role)
    assert ours.role is role.other
    assert ours.tie_breaker != 100
    # A second refusal of a check from before the change changes nothing more.
    assert ours.handle_refusal(role)
    assert ours.role is role.other
    assert not ours.handle_refusal(None)


@pytest.mark.parametrize("role", BOTH)
def test_a_storm_of_conflicts_changes_the_role_only_so_often(role: IceRole) -> None:
    """IC-11: whoever refuses everything, or always claims our role, moves us MAX_ROLE_CHANGES times at most."""
    ours = arbiter(role)
    changes = 0
    for number in range(1000):
        before = ours.role
        if number % 2:
            ours.handle_refusal(ours.role)
        else:
            ours.admits(check(ours.role, 2**64 - 1 if ours.role is IceRole.CONTROLLING else 0))
        changes += before is not ours.role
    assert changes == MAX_ROLE_CHANGES
    assert not ours.handle_refusal(ours.role)
    ours.forgive()
    assert ours.handle_refusal(ours.role)


def test_a_fixed_role_stays() -> None:
    ours = arbiter(IceRole.CONTROLLED, fixed=True)
    assert not ours.admits(check(IceRole.CONTROLLED, 0))
    assert not ours.handle_refusal(IceRole.CONTROLLED)
    assert ours.role is IceRole.CONTROLLED
