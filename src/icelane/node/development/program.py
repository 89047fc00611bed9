"""How a development node comes to run: the node of `icelane serve`, with guests and the page about trust."""

from __future__ import annotations

from collections.abc import Sequence

from icelane.node.development.guests import Guests
from icelane.node.program import PROGRAM
from icelane.server.companion import Companion, CompanionProgram, Relay
from icelane.server.config import Config
from icelane.signaling.http.endpoint import Endpoint


def development_program(guests: Guests, endpoints: Sequence[Endpoint] = ()) -> CompanionProgram:
    """Like that of a node, where `guests` are let in and `endpoints` served as well."""

    def make(config: Config, relay: Relay) -> Companion:
        from icelane.node.signaling import Signaling

        return Signaling(config, relay, before_connect=guests, endpoints=endpoints)

    return CompanionProgram(make=make, worker_module=PROGRAM.worker_module, commands=PROGRAM.commands)
