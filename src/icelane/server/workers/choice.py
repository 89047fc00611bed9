"""In how many processes a server runs."""

from __future__ import annotations

import os
import socket
from typing import Final

from icelane.errors import ConfigurationError
from icelane.server.companion import CompanionProgram
from icelane.server.config import Config
from icelane.server.serving import OneProcess, Serving

KEY: Final = "turn.workers"


def serving(config: Config, program: CompanionProgram | None = None) -> Serving:
    """What serves by the configuration, not started; with `program` on the listeners of `[server]`.

    Raises ConfigurationError for workers that cannot be here.
    """
    workers = worker_count(config)
    program = program if config.server.listen else None
    if workers == 1:
        return OneProcess(config, program)
    missing = [name for name in ("memfd_create", "pidfd_open") if not hasattr(os, name)]
    if missing or not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigurationError("several processes need Linux; set it to 1", key=KEY)
    if len(config.turn.relay_ports.ports) < 2 * workers:
        raise ConfigurationError(f"{workers} workers need two relay ports each; widen turn.relay_ports", key=KEY)
    from icelane.server.workers.supervisor import Supervisor

    return Supervisor(config, workers, program=program)


def worker_count(config: Config) -> int:
    """The number of `turn.workers`; `auto` is a process for each processor that this one may use.

    Where there is nothing but `server.listen`, which one process has alone, the others would have nothing to do.
    """
    if config.turn.workers != "auto":
        return config.turn.workers
    if not config.listeners:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, min(usable, len(config.turn.relay_ports.ports) // 2))
