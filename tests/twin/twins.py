"""The modules that have a compiled form, each loaded in both."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import build_ext

MODULES = tuple(filter(build_ext.has_python_form, build_ext.COMPILED_MODULES))


def running_form(name: str) -> ModuleType:
    """The module as everybody imports it: compiled where it was built, unless ICELANE_PURE=1."""
    return importlib.import_module(name)


def pure_form(name: str) -> ModuleType:
    """The same source, run by the interpreter under another name, over the same lower modules."""
    alias = "pure_form_of_" + name.replace(".", "_")
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, build_ext.ROOT / build_ext.source_of(name))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return sys.modules[alias]


def is_compiled(module: ModuleType) -> bool:
    """Whether this form of a module is machine code."""
    return module.__file__ is not None and not module.__file__.endswith(".py")
