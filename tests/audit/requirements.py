"""The oldest releases that pyproject.toml may accept."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.audit.sources import ROOT

SAFE_SINCE: Final = {
    "pyopenssl": Version("26"),  # CVE-2026-27448, CVE-2026-27459
    "joserfc": Version("1.6.8"),  # CVE-2026-27932, CVE-2026-48990, CVE-2026-49852
    "pylibsrtp": Version("1.0"),  # no known hole; the series before it is no longer maintained
}
"""Floors of what handles keys and strangers' bytes, whenever somebody names it."""

_FLOOR_OPERATORS: Final = {">=", ">", "==", "~="}


def project_requirements() -> list[str]:
    """Every requirement that pyproject.toml names: to build, at run time, the extras, the groups."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    sections = [
        content["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *content["dependency-groups"].values(),
    ]
    # What is no text includes another group, which is listed by itself.
    return [line for section in sections for line in section if isinstance(line, str)]


def faults_of(requirements: Iterable[str]) -> list[str]:
    """What is wrong with the floors, one sentence for each requirement that has none or one below SAFE_SINCE."""
    return [fault for line in requirements if (fault := _fault_of(line))]


def _fault_of(line: str) -> str | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"{line}: not a requirement"
    floor = _floor_of(requirement)
    if floor is None:
        return f"{line}: name the oldest version that is known to work, with >="
    needed = SAFE_SINCE.get(canonicalize_name(requirement.name))
    if needed is not None and floor < needed:
        return f"{line}: releases before {needed} have known holes or were never tried"
    return None


def _floor_of(requirement: Requirement) -> Version | None:
    """The highest version below which nothing is accepted; None also for a floor that lets everything in."""
    bounds = [one for one in requirement.specifier if one.operator in _FLOOR_OPERATORS]
    versions = [Version(one.version.removesuffix(".*")) for one in bounds]
    floor = max(versions, default=None)
    return floor if floor is not None and floor.release != (0,) * len(floor.release) else None
