"""Where rooms are kept, as `[engine]` has it: one maker for each scheme of `engine.url`."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from typing import Final

from icelane.core.clock import Instant
from icelane.errors import ConfigurationError
from icelane.server.config import Config
from icelane.signaling.engine import SignalEngine
from icelane.signaling.engine_memory import MemoryEngine

EngineMaker = Callable[[str, str, Instant], SignalEngine]
"""Of the URL, the name of this node, and now. Raises ConfigurationError for a URL that it cannot go by."""

_NO_PART_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_NAME: Final = 64


def _memory(url: str, node: str, now: Instant) -> SignalEngine:
    del url  # it says no more than its scheme
    return MemoryEngine(now, node)


ENGINES: Final[Mapping[str, EngineMaker]] = {"memory": _memory}
"""By scheme; `icelane.server.config.values` has the same words, to refuse others where the file is known."""


def signal_engine(config: Config, now: Instant) -> SignalEngine:
    """The engine of `engine.url`. Raises ConfigurationError."""
    scheme = config.engine.url.partition("://")[0]
    make = ENGINES.get(scheme)
    if make is None:
        raise ConfigurationError(f"there is no engine for {scheme}://", key="engine.url")
    return make(config.engine.url, node_name(config), now)


def node_name(config: Config) -> str:
    """`engine.node`, or what the machine is called."""
    return config.engine.node or _NO_PART_OF_A_NAME.sub("-", socket.gethostname())[:_MAX_NAME]
