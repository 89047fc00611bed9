"""deploy/grafana/icelane.json asks for figures that exist, and leaves none out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from icelane.core.clock import UnixSeconds
from icelane.server.metrics import ServerMetrics
from tests.server.test_metrics import Idle, refused, samples, signaling

DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/icelane.json"
NAME = re.compile(r"\b(?:icelane|process)_[a-z_]+\b")
SELECTED = re.compile(r"by \(([^)]*)\)|\{\{(\w+)\}\}")


def dashboard() -> dict[str, Any]:
    """The document as Grafana imports it."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def served() -> tuple[set[str], set[str]]:
    """The names on the page of a server, and the labels."""
    server = Idle()
    server.certificate_expires_at = UnixSeconds(0)
    metrics = ServerMetrics(server)
    metrics.count(refused("expired"))
    metrics.add(signaling().families)
    found = samples(metrics)
    page = metrics.page()[0].decode()
    return set(NAME.findall(page)), {name for _, labels in found for name, _ in labels} | {"instance", "job"}


def expressions() -> list[tuple[str, str]]:
    """Every question that the dashboard asks, with its legend."""
    return [(target["expr"], target["legendFormat"]) for panel in dashboard()["panels"] for target in panel["targets"]]


def test_every_figure_that_it_asks_for_is_served() -> None:
    names, labels = served()
    for expression, legend in expressions():
        assert set(NAME.findall(expression)) <= names, expression
        for listed, shown in SELECTED.findall(f"{expression} {legend}"):
            assert set(re.split(r",\s*", listed or shown)) <= labels, expression


def test_every_figure_of_ours_is_on_it() -> None:
    names, _ = served()
    asked = {name for expression, _ in expressions() for name in NAME.findall(expression)}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names if name.startswith("icelane_")}
    ours = {name for name in ours if not name.endswith("_created")}
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert {name for name in ours - asked if f"{name}_total" not in asked and f"{name}_info" not in asked} == set()


def test_every_panel_says_what_it_shows_and_none_covers_another() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert panel["title"]
        assert panel["description"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        cells |= own
