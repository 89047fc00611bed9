"""Where breaks are kept. A break weakens one thing on purpose; the check that guards it must then fail.

To add one, write in any `breaks_*.py` of this folder:

    @breaks("TR-6", test="tests/turn/test_peer_policy.py::test_the_deny_list_wins_over_the_allow_list")
    def the_allow_list_is_asked_first() -> None:
        swap(peer_policy.PeerPolicy, "_refusal", ...)

and run `python -m tests.broken the_allow_list_is_asked_first`. It is applied in a fresh process before any test is
imported, so nothing needs to be put back.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Break:
    """One weakness: the checks that must notice it, by the tests that carry them."""

    name: str
    checks: tuple[str, ...]
    tests: tuple[str, ...]
    apply: Callable[[], None]


_breaks_by_name: dict[str, Break] = {}


def breaks(*checks: str, test: str | tuple[str, ...]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that weakens what `checks` are about. Each of the tests alone has to fail then."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        name = function.__name__
        assert name not in _breaks_by_name, f"two breaks are called {name}"
        tests = (test,) if isinstance(test, str) else test
        _breaks_by_name[name] = Break(name, checks, tests, function)
        return function

    return register


def all_breaks() -> dict[str, Break]:
    """Every break by its name."""
    for path in sorted(HERE.glob("breaks_*.py")):
        importlib.import_module(f"tests.broken.{path.stem}")
    return dict(_breaks_by_name)


def swap(owner: object, name: str, new: object) -> None:
    """Put `new` in place of an attribute of a module or class, and wherever icelane imported it by name."""
    old = getattr(owner, name)
    setattr(owner, name, new)
    if not isinstance(owner, ModuleType) or not callable(old):
        return
    for module in _icelane_modules():
        for key, value in list(vars(module).items()):
            if value is old:
                setattr(module, key, new)


def _icelane_modules() -> list[ModuleType]:
    root = importlib.import_module("icelane")
    for found in pkgutil.walk_packages(root.__path__, "icelane.", onerror=lambda _: None):
        if found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
        except ImportError:  # an extra that is not installed: then no test can need it either
            continue
    return [module for name, module in sys.modules.items() if name.partition(".")[0] == "icelane"]
