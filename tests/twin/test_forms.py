"""Which form runs, and that the switch between them works."""

from __future__ import annotations

import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import build_ext
import icelane
from tests.twin.twins import MODULES, is_compiled, pure_form, running_form

pytestmark = pytest.mark.twin

PURE_ASKED_FOR = os.environ.get("ICELANE_PURE") == "1"
PRINT_FORMS = """
import importlib, icelane
print(icelane.__compiled__, *(importlib.import_module(name).__file__ for name in %r))
"""


def test_the_form_that_was_asked_for_runs() -> None:
    """A broken build must not pass as a compiled one."""
    if PURE_ASKED_FOR:
        assert icelane.__compiled__ is False
    elif os.environ.get("ICELANE_REQUIRE_COMPILED") == "1":
        assert icelane.__compiled__ is True
    for name in MODULES:
        assert is_compiled(running_form(name)) == icelane.__compiled__, name


@pytest.mark.parametrize("name", build_ext.COMPILED_MODULES)
def test_no_compiled_form_is_older_than_its_source(name: str) -> None:
    """A compiled module wins the import, so an old one would hide what is being tested. Run `make` to build again."""
    source = build_ext.ROOT / build_ext.source_of(name)
    newest = max(path.stat().st_mtime for path in (source, source.with_suffix(".pxd")) if path.exists())
    for compiled in build_ext.compiled_forms_of(name):
        assert compiled.stat().st_mtime >= newest, f"{compiled.name} is older than its source"


@pytest.mark.parametrize("name", build_ext.COMPILED_MODULES)
def test_every_module_of_the_list_has_a_source(name: str) -> None:
    assert (build_ext.ROOT / build_ext.source_of(name)).is_file()


@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_environment_chooses_the_form_at_run_time(pure: str) -> None:
    """One environment can run both forms."""
    output = subprocess.run(
        [sys.executable, "-c", PRINT_FORMS % (MODULES,)],
        env={**os.environ, "ICELANE_PURE": pure},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    built = all(build_ext.compiled_forms_of(name) for name in MODULES)
    assert output[0] == str(built and pure == "0")
    for path in output[1:]:
        assert (pathlib.Path(path).suffix == ".py") == (pure == "1" or not built)


@pytest.mark.parametrize("name", [name for name in build_ext.COMPILED_MODULES if name not in MODULES])
@pytest.mark.parametrize("pure", ["0", "1"])
def test_a_module_without_a_python_form_is_there_only_when_compiled_forms_run(name: str, pure: str) -> None:
    """Whoever imports it must be ready to do without."""
    finished = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        env={**os.environ, "ICELANE_PURE": pure},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (finished.returncode == 0) == (pure == "0" and bool(build_ext.compiled_forms_of(name)))
    if finished.returncode:
        assert finished.stderr.splitlines()[-1].startswith("ModuleNotFoundError")


@pytest.mark.parametrize("name", MODULES)
def test_no_public_name_is_lost_in_the_compiled_form(name: str) -> None:
    """A constant typed `cdef` vanishes from Python; only private ones may be."""
    running, pure = vars(running_form(name)), vars(pure_form(name))
    # What another module defines is public there; a compiled module that binds to it early has no name for it.
    own = {key for key, value in pure.items() if getattr(value, "__module__", None) in (None, pure_form(name).__name__)}
    public = {key for key in own if not key.startswith("_")}
    assert public <= set(running)
    for key in public:
        if isinstance(pure[key], int | str | bytes | tuple | frozenset):
            assert running[key] == pure[key]
        if inspect.isclass(pure[key]) and pure[key].__module__ == pure_form(name).__name__:
            members = [member for member in vars(pure[key]) if not member.startswith("_")]
            assert all(hasattr(running[key], member) for member in members), key


@pytest.mark.parametrize("name", MODULES)
def test_contracts_are_the_same_in_both_forms(name: str) -> None:
    running, pure = running_form(name), pure_form(name)
    assert running.__doc__ == pure.__doc__
    for key, value in vars(pure).items():
        if inspect.isfunction(value) and value.__module__ == pure.__name__ and not key.startswith("_"):
            assert getattr(running, key).__doc__ == value.__doc__, key
