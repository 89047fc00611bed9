from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.audit.requirements import SAFE_SINCE, faults_of, project_requirements
from tests.audit.sources import ROOT


def test_every_dependency_has_a_floor_above_its_known_holes() -> None:
    """FZ-4: what was never tested is not accepted, and no old release with known holes."""
    requirements = project_requirements()
    assert len(requirements) > 10
    assert faults_of(requirements) == []


@pytest.mark.parametrize(
    "bad",
    [
        "rich",
        "rich<15",
        "rich!=14.0",
        "rich>=0",
        "rich @ https://downloads.example/rich.whl",
        "rich; python_version < '3.12'",
        "what is this",
        "pyOpenSSL",
        "pyOpenSSL>=25.3",
        "pyopenssl>=25,<27",
        "PyOpenSSL[extra]>=24; sys_platform == 'linux'",
        "pyopenssl==25.1.0",
        "joserfc>=1",
        "joserfc>=1.6.7",
        "pylibsrtp",
        "pylibsrtp>=0.12",
    ],
)
def test_a_requirement_without_a_safe_floor_is_found(bad: str) -> None:
    """FZ-4: the check itself, on lines that it must report."""
    [fault] = faults_of(["rich>=14", bad, "typer>=0.16"])
    assert fault.startswith(bad)


def test_a_requirement_with_a_safe_floor_is_not_reported() -> None:
    """FZ-4: the check itself, on lines that it must not report."""
    good = ["pyOpenSSL>=26", "pyopenssl >= 26.1, < 28", "joserfc~=1.7", "pylibsrtp>=1.0", "uvloop>=0.21; os_name=='x'"]
    assert faults_of(good) == []
    assert faults_of(f"{name}>={version}" for name, version in SAFE_SINCE.items()) == []


@pytest.mark.parametrize(("name", "oldest"), [("uvicorn", (0, 54)), ("websockets", (17,))])
def test_what_the_server_reaches_into_is_as_new_as_what_is_tested(name: str, oldest: tuple[int, ...]) -> None:
    """Older ones lack the module that `icelane.server.http_websocket` imports, or read its headers differently."""
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["server"]
    [floor] = [Requirement(text).specifier for text in server if Requirement(text).name == name]
    [one] = floor
    assert one.operator == ">="
    assert Version(one.version).release >= oldest
    assert Version(version(name)) in floor


def test_continuous_integration_audits_what_is_installed() -> None:
    """FZ-4: `make audit` is part of what runs for every change."""
    recipe = re.search(r"^audit:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    assert "-m tests.audit.vulnerabilities" in recipe[1]
    assert "make audit" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
