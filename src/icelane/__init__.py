"""icelane: real-time media and data through any network, securely.

`icelane.__compiled__` says whether the compiled form of the hot modules runs. `ICELANE_PURE=1` in the environment makes
every module load from its Python source, even where a compiled one lies beside it.
"""

from __future__ import annotations

import importlib.util
import os
import sys

__all__ = ["__compiled__", "__version__"]

__version__ = "0.1.0.dev0"

if os.environ.get("ICELANE_PURE") == "1":
    from icelane._pure import PureFinder

    sys.meta_path.insert(0, PureFinder())


def __getattr__(name: str) -> object:
    if name == "__compiled__":
        spec = importlib.util.find_spec("icelane.core.reader")
        return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    raise AttributeError(f"module 'icelane' has no attribute {name!r}")
