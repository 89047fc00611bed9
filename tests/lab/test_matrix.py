"""Every pair of networks is connected, by the path that theory says: two processes behind the kernel's own NATs.

The calls run some at a time, before the first test of each kind; each test looks at those of its pair.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.lab.chosen import every_cell, wanted
from tests.lab.expected import EXPECTED, REASONS
from tests.lab.networks import ALL_CELLS, Cell
from tests.lab.stage import Outcome, members, stage
from tests.testing.lab.sockets import need_lab

RUNS = 20
"""In `make test-long`."""

Outcomes = dict[Cell, list[Outcome]]


def make_calls(folder: Path, cells: list[Cell], runs: int = 1) -> Outcomes:
    """All of them, in a lab of their own."""
    need_lab(*members())

    async def run() -> Outcomes:
        async with stage(folder) as found:
            return await found.calls(cells, runs)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return make_calls(tmp_path_factory.mktemp("calls"), wanted(request))


@pytest.fixture(scope="module")
def many_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return make_calls(tmp_path_factory.mktemp("many"), wanted(request), RUNS)


def test_theory_has_a_path_and_a_reason_for_every_pair() -> None:
    assert set(EXPECTED) == set(ALL_CELLS)
    assert {frozenset(pair) for pair in REASONS} == {frozenset(cell) for cell in ALL_CELLS}
    for offerer, answerer in ALL_CELLS:
        assert EXPECTED[answerer, offerer] == EXPECTED[offerer, answerer].mirrored


@every_cell
def test_two_networks_are_connected_by_the_path_that_theory_says(calls: Outcomes, cell: Cell) -> None:
    (outcome,) = calls[cell]
    assert outcome.error == ""
    assert str(outcome.route) == str(EXPECTED[cell])


@pytest.mark.long
@every_cell
def test_twenty_calls_in_a_row_are_all_connected_by_that_path(many_calls: Outcomes, cell: Cell) -> None:
    outcomes = many_calls[cell]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert [str(outcome.route) for outcome in outcomes] == [str(EXPECTED[cell])] * RUNS
