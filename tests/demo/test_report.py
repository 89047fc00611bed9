"""The demo's table and JSON."""

from __future__ import annotations

import io
import json

from demo.paths import Outcome, PathResult, skipped
from demo.report import print_json, print_table

RESULTS = [
    PathResult(
        path="two clients",
        outcome=Outcome.CARRIED,
        set_up=0.0123,
        round_trip=0.0004,
        bytes_sent=2_400_000,
        bytes_received=2_400_000,
        packets=2000,
    ),
    skipped("two pages", "not installed: apt-get install chromium"),
]


def test_the_table_says_figures_reasons_and_the_verdict() -> None:
    output = io.StringIO()
    print_table(RESULTS, output)
    text = output.getvalue()
    for said in ("12.3 ms", "0.4 ms", "2,400,000", "0 %", "apt-get install chromium", "1 skipped"):
        assert said in text


def test_json_has_the_verdict_and_every_figure() -> None:
    output = io.StringIO()
    print_json(RESULTS, output)
    document = json.loads(output.getvalue())
    assert document["carried"] is True
    assert document["paths"][0]["bytes_received"] == 2_400_000
    assert document["paths"][1]["outcome"] == "skipped"
    assert document["paths"][1]["set_up"] is None
