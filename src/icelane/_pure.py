"""Loads icelane's modules from their Python source where a compiled module of the same name lies beside it."""

from __future__ import annotations

import importlib.machinery
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class PureFinder:
    """A meta path finder for `icelane.*` that knows source files only."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The source of `name`, or None for what is not a part of icelane.

        Raises ModuleNotFoundError for a module that has no Python form: it is as if it had not been compiled.
        """
        if path is None or not name.startswith("icelane."):
            return None
        for folder in path:
            finder = FileFinder(folder, (SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES))
            spec = finder.find_spec(name, target)
            if spec is not None:
                return spec
            finder = FileFinder(folder, (ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES))
            if finder.find_spec(name, target) is not None:
                raise ModuleNotFoundError(f"{name} has no Python form", name=name)
        return None
