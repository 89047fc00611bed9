"""The modules that have a compiled form, each loaded in both."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import build_ext
import icelane

PACKAGE = Path(icelane.__file__).parent


def python_form_of(name: str) -> Path:
    """Where the source of a module is: it lies beside the compiled form, in an installation too."""
    return PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")


# What drives the core that is written in C is compiled with it, and without it is not there either.
MODULES = tuple(
    name
    for name in build_ext.COMPILED_MODULES
    if python_form_of(name).exists() and not name.startswith("icelane.server.batched.")
)


def running_form(name: str) -> ModuleType:
    """The module as everybody imports it: compiled where it was built, unless ICELANE_PURE=1."""
    return importlib.import_module(name)


def pure_form(name: str) -> ModuleType:
    """The same source, run by the interpreter under another name, over the same lower modules."""
    alias = "pure_form_of_" + name.replace(".", "_")
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, python_form_of(name))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return sys.modules[alias]


def is_compiled(module: ModuleType) -> bool:
    """Whether this form of a module is machine code."""
    return module.__file__ is not None and not module.__file__.endswith(".py")
