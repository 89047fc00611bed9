"""`import aiortc` gives icelane, for libraries that import it by themselves."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

from icelane.errors import InvalidStateError

_OURS: Final = "icelane.compat.aiortc"
_THEIRS: Final = "aiortc"
_SUBMODULES: Final = (
    "codecs", "codecs.h264", "codecs.vpx", "contrib", "contrib.media", "contrib.signaling", "events", "exceptions",
    "jitterbuffer", "mediastreams", "rtcconfiguration", "rtcdatachannel", "rtcdtlstransport", "rtcicetransport",
    "rtcpeerconnection", "rtcrtpparameters", "rtcrtpreceiver", "rtcrtpsender", "rtcrtptransceiver", "rtcsctptransport",
    "rtcsessiondescription", "sdp", "stats",
)  # fmt: skip


def install() -> None:
    """Register this package as `aiortc`, with all its modules; call it before anything imports aiortc. Idempotent.

    Raises InvalidStateError when the real one is imported already: its classes are in other modules' hands then.
    """
    ours = {_THEIRS: importlib.import_module(_OURS)}
    for name in _SUBMODULES:
        ours[f"{_THEIRS}.{name}"] = importlib.import_module(f"{_OURS}.{name}")
    taken = [name for name, module in sys.modules.items() if _is_theirs(name) and _is_other(module, ours.get(name))]
    if taken:
        raise InvalidStateError(
            f"aiortc itself is imported already ({', '.join(sorted(taken))}): call install() before what imports it"
        )
    sys.modules.update(ours)


def _is_theirs(name: str) -> bool:
    return name == _THEIRS or name.startswith(f"{_THEIRS}.")


def _is_other(module: ModuleType | None, ours: ModuleType | None) -> bool:
    return module is not None and module is not ours
