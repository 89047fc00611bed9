"""Every pair of networks is connected, by the path that theory says: two processes behind the kernel's own NATs.

The calls run some at a time, before the first test of each kind; each test looks at those of its pair.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from icelane.testing.lab import Lab
from tests.lab.expected import EXPECTED, REASONS
from tests.lab.networks import ALL_CELLS, Cell, Kind, Side
from tests.lab.stage import Outcome, Policy, Stage, members, stage
from tests.testing.lab.sockets import need_lab

RUNS = 20
"""In `make test-long`."""

every_cell = pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda cell: f"{cell[0].slug}, {cell[1].slug}")

Sent = dict[str, set[tuple[str, str, int]]]


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What came of all calls of one kind, and to whom each host sent anything meanwhile: protocol, address, port."""

    outcomes: dict[Cell, list[Outcome]]
    sent: Sent
    lab: Lab


def wanted(request: pytest.FixtureRequest) -> list[Cell]:
    """The cells of the tests that will run and use a fixture."""
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
    return cells or ALL_CELLS


def make_calls(folder: Path, cells: list[Cell], *, runs: int = 1, policy: Policy = "all") -> Calls:
    """All of them, in a lab of their own."""
    need_lab(*members())

    async def run() -> Calls:
        async with stage(folder) as found:
            with capturing_all(found, cells) as sent:
                outcomes = await found.calls(cells, runs, policy)
            return Calls(outcomes=outcomes, sent=sent, lab=found.lab)

    return asyncio.run(run())


@contextlib.contextmanager
def capturing_all(stage: Stage, cells: list[Cell]) -> Iterator[Sent]:
    """Capture on every host that takes part; the result is there when the block is over."""
    sent: Sent = {}
    hosts = {Side.OFFERER.host(offerer) for offerer, _ in cells} | {Side.ANSWERER.host(other) for _, other in cells}
    with contextlib.ExitStack() as stack:
        captures = {host: stack.enter_context(stage.lab[host].capture()) for host in sorted(hosts)}
        yield sent
        sent.update({host: capture.sent() for host, capture in captures.items()})


@pytest.fixture(scope="module")
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    return make_calls(tmp_path_factory.mktemp("calls"), wanted(request))


@pytest.fixture(scope="module")
def many_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    return make_calls(tmp_path_factory.mktemp("many"), wanted(request), runs=RUNS)


@pytest.fixture(scope="module")
def relayed_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    return make_calls(tmp_path_factory.mktemp("relayed"), wanted(request), policy="relay")


def test_theory_has_a_path_and_a_reason_for_every_pair() -> None:
    assert set(EXPECTED) == set(ALL_CELLS)
    assert {frozenset(pair) for pair in REASONS} == {frozenset(cell) for cell in ALL_CELLS}
    for offerer, answerer in ALL_CELLS:
        assert EXPECTED[answerer, offerer] == EXPECTED[offerer, answerer].mirrored


@every_cell
def test_two_networks_are_connected_by_the_path_that_theory_says(calls: Calls, cell: Cell) -> None:
    (outcome,) = calls.outcomes[cell]
    assert outcome.error == ""
    assert str(outcome.route) == str(EXPECTED[cell])


@pytest.mark.long
@every_cell
def test_twenty_calls_in_a_row_are_all_connected_by_that_path(many_calls: Calls, cell: Cell) -> None:
    outcomes = many_calls.outcomes[cell]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert [str(outcome.route) for outcome in outcomes] == [str(EXPECTED[cell])] * RUNS


@every_cell
def test_relay_only_connects_every_pair_through_the_relay(relayed_calls: Calls, cell: Cell) -> None:
    (outcome,) = relayed_calls.outcomes[cell]
    assert outcome.error == ""
    assert [(end["local"], end["remote"]) for end in outcome.ends] == [("relay", "relay")] * 2


@pytest.mark.parametrize("side", Side, ids=lambda side: side.value)
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.slug)
def test_relay_only_sends_to_the_turn_server_only(relayed_calls: Calls, kind: Kind, side: Side) -> None:
    """IC-8: captured on the host's interface, through all calls of its row or column; the proxy is the way there."""
    lab, host = relayed_calls.lab, side.host(kind)
    server = {lab["server"].ipv4, lab["server"].ipv6}
    ways = {("udp", 3478), ("tcp", 3478), ("tcp", 5349), ("tcp", 443), ("icmp", 0)}
    if host not in relayed_calls.sent:
        pytest.skip("no call of it was chosen")
    sent = relayed_calls.sent[host]
    proxy = lab[host].proxy
    others = {row for row in sent if row[1] not in server or (row[0], row[2]) not in ways}
    assert others == (set() if proxy is None else {("tcp", lab[host].proxy_host, proxy.port)})
    assert len(sent) > len(others)
