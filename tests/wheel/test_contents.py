"""What `make wheels` looks for, on archives that it must and must not report."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from build_ext import COMPILED_MODULES
from tests.wheel.contents import DATA_OF_WHEEL, faults_of_sdist, faults_of_tag, faults_of_wheel

ROOT = Path(__file__).resolve().parents[2]

TRACKED = [
    "Makefile",
    "build_ext.py",
    "src/icelane/__init__.py",
    "src/icelane/core/reader.pxd",
    "src/icelane/core/reader.py",
    "src/icelane/dtls/libssl.pyi",
    "src/icelane/dtls/libssl.pyx",
    "src/icelane/py.typed",
    "src/icelane/server/batched/relay_core.c",
    "src/icelane/server/batched/relay_core.h",
    "src/icelane/signaling/documents/openapi.json",
    "src/icelane/testing/link_core.c",
    "src/icelane/web/icelane.js",
    "src/icelane/web/pages/style.css",
]
SDIST = ["PKG-INFO", "setup.cfg", "src/icelane.egg-info/SOURCES.txt", *TRACKED]
PLAIN = [
    "icelane/__init__.py",
    "icelane/core/reader.pxd",
    "icelane/core/reader.py",
    "icelane/dtls/libssl.pyi",
    "icelane/py.typed",
    "icelane/signaling/documents/openapi.json",
    "icelane/testing/link_core.c",
    "icelane/web/icelane.js",
    "icelane/web/pages/style.css",
    "icelane-1.dist-info/RECORD",
]
COMPILED = [f"{module.replace('.', '/')}.cpython-311-x86_64-linux-gnu.so" for module in COMPILED_MODULES]


def wheel_of(*, without: str = "", and_also: str = "") -> dict[str, bytes]:
    """A wheel that is right but for what is taken out of it and put into it."""
    names = [*PLAIN, *COMPILED, *filter(None, [and_also])]
    return {name: b"\x7fELF .text" for name in names if not without or not name.startswith(without)}


def test_an_sdist_that_is_the_tree_is_well() -> None:
    assert faults_of_sdist(SDIST, TRACKED) == []


@pytest.mark.parametrize("name", TRACKED)
def test_a_source_that_the_sdist_lacks_is_named(name: str) -> None:
    assert faults_of_sdist([one for one in SDIST if one != name], TRACKED) == [f"not in the sdist: {name}"]


@pytest.mark.parametrize(
    "name",
    ["build/cython/src/icelane/core/reader.c", "src/icelane/core/reader.so", "src/icelane/server/batched/core.c"],
)
def test_what_was_generated_is_named_when_the_sdist_holds_it(name: str) -> None:
    assert faults_of_sdist([*SDIST, name], TRACKED) == [f"in the sdist and not under version control: {name}"]


def test_a_wheel_with_every_module_in_both_forms_is_well() -> None:
    assert faults_of_wheel(wheel_of(), TRACKED) == []


@pytest.mark.parametrize("name", ["icelane/core/reader.py", "icelane/py.typed", "icelane/dtls/libssl.pyi"])
def test_what_the_wheel_lacks_is_named(name: str) -> None:
    assert faults_of_wheel(wheel_of(without=name), TRACKED) == [f"not in the wheel: {name}"]


def test_a_module_that_was_not_compiled_is_named() -> None:
    assert faults_of_wheel(wheel_of(without="icelane/server/batched/core"), TRACKED) == [
        "not compiled: icelane.server.batched.core"
    ]


@pytest.mark.parametrize(
    "name", ["icelane/dtls/libssl.pyx", "icelane/server/batched/relay_core.c", "tests/conftest.py"]
)
def test_what_nobody_needs_to_run_is_named_when_the_wheel_holds_it(name: str) -> None:
    assert faults_of_wheel(wheel_of(and_also=name), TRACKED) == [f"in the wheel for nothing: {name}"]


def test_debug_symbols_are_found() -> None:
    files = wheel_of()
    files[COMPILED[0]] += b" .debug_info"
    assert faults_of_wheel(files, TRACKED) == [f"has debug symbols: {COMPILED[0]}"]


def test_a_wheel_that_was_not_repaired_is_found_by_its_name() -> None:
    assert faults_of_tag("icelane-1-cp311-cp311-manylinux_2_34_x86_64.whl") == []
    assert faults_of_tag("icelane-1-cp311-cp311-linux_x86_64.whl") != []
    assert faults_of_tag("icelane-1-py3-none-any.whl") != []


def test_what_is_installed_beside_the_modules_is_what_the_wheel_may_hold() -> None:
    """A page that is new is found here, and not when the wheel is made."""
    package = ROOT / "src/icelane"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["icelane"]
    installed = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    expected = {
        path
        for path in package.rglob("*")
        if path.is_file() and DATA_OF_WHEEL.fullmatch(path.relative_to(package.parent).as_posix())
    }
    assert installed == expected
