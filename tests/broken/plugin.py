"""pytest plugin that applies one break and writes down what became of the tests.

BREAK_NAME says which break (none: the tests as they are), BREAK_REPORT where to write.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.broken.registry import all_breaks


class Recorder:
    """Sorts tests into failed, error (outside the test itself), skipped and passed, and keeps what each one said."""

    def __init__(self) -> None:
        self.tests_by_outcome: dict[str, list[str]] = {"failed": [], "error": [], "skipped": [], "passed": []}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            outside = report.failed and report.when != "call"
            self.tests_by_outcome["error" if outside else report.outcome].append(_said(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tests_by_outcome["error"].append(_said(report))

    def pytest_sessionfinish(self) -> None:
        Path(os.environ["BREAK_REPORT"]).write_text(json.dumps(self.tests_by_outcome))


def pytest_configure(config: pytest.Config) -> None:
    """Weaken the product before anything imports it."""
    name = os.environ.get("BREAK_NAME")
    if name:
        all_breaks()[name].apply()
    config.pluginmanager.register(Recorder())


def _said(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr or report.nodeid)
