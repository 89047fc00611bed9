"""What docs/explanation/networks.md says of theory is what the matrix asserts, and what it measured has all pairs."""

from __future__ import annotations

import json

import pytest

from tests.lab import matrix
from tests.lab.expected import EXPECTED, Leg, Route
from tests.lab.networks import ALL_CELLS, Kind
from tests.lab.stage import Outcome

TEXT = matrix.PAGE.read_text(encoding="utf-8")


def part(marks: tuple[str, str]) -> str:
    return TEXT.partition(marks[0])[2].partition(marks[1])[0].strip()


def test_the_reasons_are_those_of_the_matrix() -> None:
    """After changing them: `make matrix`."""
    assert part(matrix.THEORY) == matrix.markdown(matrix.reasons())


def test_every_kind_of_network_is_explained_and_measured_both_ways() -> None:
    for kind in Kind:
        assert f"\n| {kind.value} | " in TEXT.partition("## What was measured")[0]
        assert part(matrix.MEASURED).count(f"\n| {kind.value} | ") == 2


def test_what_was_measured_is_what_theory_says() -> None:
    assert matrix.markdown(matrix.path_grid()) in part(matrix.MEASURED)


def outcomes(route: Route | None) -> dict[tuple[Kind, Kind], list[Outcome]]:
    """Two calls for each pair: one as expected, and one of a pair in which something else came about."""
    found = {
        cell: [Outcome(route=EXPECTED[cell], setup=0.1), Outcome(route=EXPECTED[cell], setup=0.3)] for cell in ALL_CELLS
    }
    found[Kind.OPEN, Kind.IPV6][1] = Outcome(route=route, setup=0.5, error="" if route else "refused")
    return found


@pytest.mark.parametrize(
    ("route", "words", "setup"),
    [
        (Route(True, Leg.UDP, Leg.TCP), "direct UDP 1/2, else relay UDP-TCP", "300 ms"),
        (None, "direct UDP 1/2, else no path", "100 ms"),
    ],
)
def test_a_call_that_took_another_path_is_shown(route: Route | None, words: str, setup: str) -> None:
    found = outcomes(route)
    assert matrix.path_grid(found)[1][7] == words
    assert matrix.path_grid(found)[1][6] == str(EXPECTED[Kind.OPEN, Kind.ONLY_PROXY]) == "relay UDP-TLS"
    assert matrix.setup_of(found[Kind.OPEN, Kind.IPV6]) == setup
    assert "127 of 128 calls" in matrix.page(found)
    objects = json.loads(json.dumps(list(matrix.as_json(found))))
    assert len(objects) == 128
    assert [one["connected"] for one in objects].count(False) == (1 if route is None else 0)


def test_a_pair_that_was_never_connected_has_no_set_up_time() -> None:
    assert matrix.setup_of([Outcome(route=None, setup=20.0, error="refused")]) == "-"


def test_a_part_of_the_page_is_replaced_and_the_rest_stays() -> None:
    assert matrix.written("a\nB\nold\nE\nz\n", ("B\n", "E\n"), "new") == "a\nB\n\nnew\n\nE\nz\n"


def test_where_the_lab_cannot_be_built_the_command_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix, "missing", lambda *_: "needs root")
    assert matrix.main([]) == 2
    assert capsys.readouterr().err == "the lab needs root\n"
