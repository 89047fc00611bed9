"""How signaling comes to run beside a relay: in one process, or in the first of several workers.

python -m icelane.node.program DESCRIPTOR        is what those workers run
"""

from __future__ import annotations

from typing import Final

from icelane.node.invitation import INVITE
from icelane.node.room_commands import COMMANDS
from icelane.server.companion import Companion, CompanionProgram, Relay
from icelane.server.config import Config


def _make(config: Config, relay: Relay) -> Companion:
    # Here, so that workers without these listeners import none of it.
    from icelane.node.signaling import Signaling

    return Signaling(config, relay)


PROGRAM: Final = CompanionProgram(make=_make, worker_module="icelane.node.program", commands=(*COMMANDS, INVITE))

if __name__ == "__main__":
    from icelane.server.workers.worker import main

    main(PROGRAM)
