"""What must not stand anywhere in the tree, and what pyproject.toml must say."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.audit.sources import ROOT, tracked_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"^[A-Za-z0-9._-]+")
FLOOR = re.compile(r">=\s*(\d+)(\.\d+)*")

# Put together here, because this file is part of the tree too.
FOREIGN = [
    ".".join(host)
    for host in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo1", "maven", "org"),
        ("deb", "debian", "org"),
    )
] + ["/".join(("", "work", "")), "/".join(("", "root", "")), "/".join(("", "home", ""))]


def requirements() -> dict[str, str]:
    """Every requirement that pyproject.toml names, by where it stands and its name."""
    project = PYPROJECT["project"]
    groups = {
        "build": PYPROJECT["build-system"]["requires"],
        "core": project["dependencies"],
        **project["optional-dependencies"],
        **PYPROJECT["dependency-groups"],
    }
    return {f"{group}: {line}": line for group, lines in groups.items() for line in lines}


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_has_a_floor(requirement: str) -> None:
    """FZ-4: what was never tested is not accepted, and no old release with known holes."""
    assert FLOOR.search(requirements()[requirement]), "name the oldest version that is known to work: >="


def test_the_floor_of_pyopenssl_is_above_its_known_holes() -> None:
    """FZ-4: 26 fixes CVE-2026-27448 and CVE-2026-27459."""
    for line in requirements().values():
        name = NAME.match(line)
        if name and name[0].lower() == "pyopenssl":
            floor = FLOOR.search(line)
            assert floor is not None
            assert int(floor[1]) >= 26


def test_nobody_needs_a_python_that_is_not_tested() -> None:
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"


def test_no_file_names_a_registry_or_a_place_on_somebody_s_machine() -> None:
    """The tree stands alone: it works from any directory and with any mirror."""
    guilty = []
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        guilty += [f"{path.relative_to(ROOT)}: {word}" for word in FOREIGN if word in text]
    assert not guilty


def test_no_file_holds_a_private_key() -> None:
    """DT-12, the part that holds already."""
    begins = "-----" + "BEGIN"
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not re.search(begins + r" ([A-Z]+ )?PRIVATE KEY", text), path
