"""What must not stand anywhere in the tree, and what pyproject.toml must say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.audit.sources import ROOT, tracked_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

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


TREE = re.search(r"^## The tree$.*?```text\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL | re.MULTILINE)
# Those whose modules are named one by one.
SPELLED_OUT = ("turn", "server", "crypto", "diagnostics", "node", "cli")


def test_the_drawn_tree_has_every_package_once() -> None:
    assert TREE is not None
    begins = re.findall(r"^  ([a-z]\S*/(?:  \S+/)*)", TREE[1], re.MULTILINE)
    drawn = [name.strip("/") for line in begins for name in line.split()]
    assert sorted(path.parent.name for path in ROOT.glob("src/icelane/*/__init__.py")) == sorted(drawn)


@pytest.mark.parametrize("package", SPELLED_OUT)
def test_the_drawn_tree_names_the_modules(package: str) -> None:
    assert TREE is not None
    drawn = re.search(rf"^  {package}/(.*?)(?=^  [a-z]\S*/|\Z)", TREE[1], re.DOTALL | re.MULTILINE)
    assert drawn is not None
    modules = {path.stem for path in ROOT.glob(f"src/icelane/{package}/*.py")} - {"__init__"}
    assert sorted(modules - set(re.findall(r"\w+", drawn[1]))) == []


def test_the_drawn_tree_names_the_scripts_of_the_pages() -> None:
    assert TREE is not None
    drawn = re.search(r"^  web/(.*?)(?=^  [a-z]\S*/)", TREE[1], re.DOTALL | re.MULTILINE)
    assert drawn is not None
    scripts = {path.stem for path in ROOT.glob("src/icelane/web/pages/*.js")}
    assert sorted(scripts - set(re.findall(r"\w+", drawn[1]))) == []


BUILDING = {"gcc", "libc6-dev", "make", "python3-dev", "python3-venv"}
PROGRAMS_BY_PACKAGE = {
    "chromium": "chromium",
    "coturn": "turnserver",
    "firefox-esr": "firefox-esr",
    "iproute2": "ip",
    "libnss3-tools": "certutil",
    "mount": "mount",
    "nftables": "nft",
    "node-typescript": "tsc",
    "nodejs": "node",
    "openssl": "openssl",
    "tinyproxy": "tinyproxy",
    "util-linux": "unshare",
}


def test_every_package_that_is_installed_has_a_program_that_somebody_starts() -> None:
    lines = (line.partition("#")[0].strip() for line in (ROOT / ".ci/packages").read_text().splitlines())
    assert {line for line in lines if line} - BUILDING == PROGRAMS_BY_PACKAGE.keys()
    here = Path(__file__)
    sources = [path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix == ".py" and path != here]
    for program in PROGRAMS_BY_PACKAGE.values():
        assert any(re.search(rf'"(/usr/s?bin/)?{program}"', text) for text in sources), program


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
