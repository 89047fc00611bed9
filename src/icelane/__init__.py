"""icelane: real-time media and data through any network, securely.

    from icelane import connect_turn

    async with await connect_turn("turn:turn.example.org", username="alice", password="wonderland") as relay:
        await relay.permit(peer)
        relay.send(b"hello", peer)

What is exported here is imported when it is first used, so `import icelane` alone costs next to nothing.

`icelane.__compiled__` says whether the compiled form of the hot modules runs. `ICELANE_PURE=1` in the environment makes
every module load from its Python source, even where a compiled one lies beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icelane.aio.turn_client import connect_turn
    from icelane.aio.turn_relay import TurnRelay

__all__ = ["TurnRelay", "__compiled__", "__version__", "connect_turn"]

__version__ = "0.1.0.dev0"

_HOMES = {"connect_turn": "icelane.aio.turn_client", "TurnRelay": "icelane.aio.turn_relay"}

if os.environ.get("ICELANE_PURE") == "1":
    from icelane._pure import PureFinder

    sys.meta_path.insert(0, PureFinder())


def __getattr__(name: str) -> object:
    if name == "__compiled__":
        spec = importlib.util.find_spec("icelane.core.reader")
        return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    if name in _HOMES:
        found: object = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'icelane' has no attribute {name!r}")
