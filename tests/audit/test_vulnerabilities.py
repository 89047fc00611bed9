from __future__ import annotations

import json
import sys

import pytest

from tests.audit import vulnerabilities
from tests.audit.vulnerabilities import main, read_report

CLEAN = {"name": "rich", "version": "15.0.0", "vulns": []}
SKIPPED = {"name": "typer", "skip_reason": "Dependency not found and could not be audited"}
HOLE = {"id": "CVE-2026-27448", "fix_versions": ["26.0.0"], "aliases": [], "description": "..."}
VULNERABLE = {"name": "pyopenssl", "version": "25.0.0", "vulns": [HOLE]}


def report(*packages: object) -> str:
    """What pip-audit prints."""
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_vulnerability_fails_and_is_named() -> None:
    """FZ-4: the gate bites."""
    verdict = read_report(report(CLEAN, VULNERABLE, SKIPPED))
    assert verdict.exit_code == 1
    assert "audited 2 packages, 1 known vulnerabilities; 1 could not be looked up" in str(verdict)
    assert "pyopenssl 25.0.0: CVE-2026-27448, fixed in 26.0.0" in str(verdict)


def test_a_clean_environment_passes() -> None:
    """FZ-4: and says how much was looked at."""
    verdict = read_report(report(CLEAN))
    assert verdict.exit_code == 0
    assert str(verdict) == "audited 1 packages, 0 known vulnerabilities"


@pytest.mark.parametrize("said", ["", "Traceback", "{}", "[]", "null", report(SKIPPED, SKIPPED)])
def test_a_service_that_answers_for_nothing_is_not_taken_for_a_clean_environment(said: str) -> None:
    """FZ-4: no failure, as no network is no fault of the tree, and no all-clear."""
    verdict = read_report(said)
    assert verdict.exit_code == 0
    assert str(verdict).startswith("NOT AUDITED")


@pytest.mark.parametrize(("package", "code"), [(CLEAN, 0), (SKIPPED, 0), (VULNERABLE, 1)])
def test_the_command_ends_with_the_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: object, code: int
) -> None:
    """FZ-4: pip-audit's own status is not used: it is the same for a hole and for a missing network."""
    said = report(package)
    monkeypatch.setattr(vulnerabilities, "COMMAND", (sys.executable, "-c", f"print({said!r}); raise SystemExit(1)"))
    assert main() == code
    assert capsys.readouterr().out == f"{read_report(said)}\n"


def test_the_command_survives_a_machine_without_pip_audit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """FZ-4: it could not be installed without a network either."""
    monkeypatch.setattr(vulnerabilities, "COMMAND", (sys.executable, "-m", "no_such_module_here"))
    assert main() == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("NOT AUDITED")
    assert "no_such_module_here" in captured.err
