"""Tests of each pair of networks, whose calls run together, before the first of them."""

from __future__ import annotations

import pytest

from tests.lab.networks import ALL_CELLS, Cell

every_cell = pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda cell: f"{cell[0].slug}, {cell[1].slug}")


def wanted(request: pytest.FixtureRequest) -> list[Cell]:
    """The cells of the tests that will run and use a fixture, each once."""
    assert request.fixturename is not None
    cells: list[Cell] = [
        item.callspec.params["cell"]  # type: ignore[misc]  # which is what `every_cell` gives
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and request.fixturename in item.fixturenames
        and hasattr(item, "callspec")
        and "cell" in item.callspec.params
    ]
    return list(dict.fromkeys(cells)) or ALL_CELLS
