"""Runs commands in this process, as the shell would run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from icelane.cli.main import app


@dataclass(frozen=True)
class Finished:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Icelane = Callable[..., Finished]


@pytest.fixture
def icelane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Icelane:
    """`icelane ARGUMENTS` in an empty directory, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, **environ: str) -> Finished:
        result = CliRunner().invoke(app, list(arguments), env=environ, prog_name="icelane")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Finished(result.exit_code, result.stdout, result.stderr)

    return run
