"""Functions of a program that a setting names: `package.module:function`, an `async def`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import cast

from icelane.errors import ConfigurationError


def load_function(name: str, key: str) -> Callable[[object], Awaitable[object]]:
    """The `async def` function that the setting `key` names, or an object that is called like one.

    Raises ConfigurationError, whatever its module does; what that says of itself is not repeated, since it may hold a
    password.
    """
    module_name, _, function_name = name.partition(":")
    found: object = _module(module_name, key)
    for part in function_name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{name} cannot be imported: it has no {part}", key=key)
        found = getattr(found, part)
    if not callable(found) or not (
        inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004
    ):
        raise ConfigurationError(f"{name} is not an `async def` function", key=key)
    return cast("Callable[[object], Awaitable[object]]", found)


def _module(name: str, key: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        problem = f"there is no module {error.name}"
    except (Exception, SystemExit) as error:
        problem = f"its import raised {type(error).__name__}; `python -c 'import {name}'` shows where"
    # Raised out here, so that the exception of somebody else's module is no context of ours.
    raise ConfigurationError(f"{name} cannot be imported: {problem}", key=key)
