"""What runs as a service: one server in this process, or several in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self

from icelane.core.clock import Instant
from icelane.server.access import WatchedLists
from icelane.server.admin import SESSION_COMMANDS, Answer, Request, Sessions
from icelane.server.companion import Companion, CompanionProgram
from icelane.server.config import Config
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.health import Readiness
from icelane.server.reload import Reloaded, changed_keys, with_values_of
from icelane.server.turn_server import TurnServer
from icelane.turn.access_list import AccessLists
from icelane.turn.revocation import Revocation


class Serving(Protocol):
    """Started as an asynchronous context, and ended by leaving it."""

    @property
    def config(self) -> Config:
        """The configuration that counts."""
        ...

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound, with the ports that the system chose."""
        ...

    @property
    def web_listening(self) -> list[WebListener]:
        """The same of `server.listen`."""
        ...

    @property
    def commands(self) -> tuple[str, ...]:
        """What `administer` carries out."""
        ...

    @property
    def plane(self) -> str:
        """The name of the relay plane."""
        ...

    @property
    def processes(self) -> int:
        """How many processes relay."""
        ...

    @property
    def allocation_count(self) -> int:
        """How many allocations live."""
        ...

    async def __aenter__(self) -> Self:
        """Bind everything and serve. Raises ConfigurationError."""
        ...

    async def __aexit__(self, *exception: object) -> None:
        """End every allocation and close every socket."""
        ...

    async def reload(self, config: Config) -> Reloaded:
        """Go by another configuration as far as may be. Raises ConfigurationError, and then changes nothing."""
        ...

    def begin_drain(self) -> None:
        """Take no new allocation from now on; those that live go on."""
        ...

    async def drain(self) -> bool:
        """Wait until no allocation is left; False when the time for it was over before."""
        ...

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out one of `commands`. Raises RequestError or LocalProtocolError."""
        ...


class OneProcess:
    """A server in this process, with what runs beside it."""

    processes = 1

    def __init__(self, config: Config, program: CompanionProgram | None = None) -> None:
        """Raises ConfigurationError when the companion cannot be made."""
        self._access = WatchedLists()
        self._companion = program.make(config, self) if program is not None else None
        self.commands = (*SESSION_COMMANDS, *(program.commands if program is not None else ()))
        web = self._companion.web if self._companion is not None else None
        self._server = TurnServer(config, web=web, access=self._access)
        if self._companion is not None:
            self._server.observation.metrics.add(self._companion.families)
        self._sessions = Sessions(self._server)

    async def __aenter__(self) -> Self:
        await self._server.start()
        if self._companion is not None:
            self._companion.started()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.close()

    @property
    def config(self) -> Config:
        """The configuration that counts."""
        return self._server.config

    @property
    def lists(self) -> AccessLists:
        """Who may come at all: for the companion."""
        return self._access.lists

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound, with the ports that the system chose."""
        return self._server.listening

    @property
    def web_listening(self) -> list[WebListener]:
        """The same of `server.listen`."""
        return self._server.web_listening

    @property
    def plane(self) -> str:
        """The name of the relay plane."""
        return self._server.plane.name

    @property
    def allocation_count(self) -> int:
        """How many allocations live."""
        return len(self._server.allocations)

    async def reload(self, config: Config) -> Reloaded:
        """Go by another configuration as far as may be. Raises ConfigurationError, and then changes nothing."""
        commit = prepare_companion(self._server, self._companion, config)
        reloaded = self._server.reload(config)
        commit()
        return reloaded

    def begin_drain(self) -> None:
        """Take no new allocation from now on; those that live go on."""
        if self._companion is not None:
            self._companion.begin_drain()
        self._server.begin_drain()

    async def drain(self) -> bool:
        """Wait until no allocation is left; False when the time for it was over before."""
        return await self._server.drain()

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out one of `commands`. Raises RequestError or LocalProtocolError."""
        if self._companion is not None and request["command"] not in SESSION_COMMANDS:
            return await self._companion.administer(request, now)
        return self._sessions.answer(request, now)

    async def readiness(self) -> Readiness:
        """Every check: for the companion."""
        return await self._server.observation.readiness()

    async def revoke(self, username: str) -> int:
        """Take a credential back; how many allocations ended. Raises LocalProtocolError."""
        return self._server.revoke(Revocation(name=username))


def prepare_companion(server: TurnServer, companion: Companion | None, config: Config) -> Callable[[], None]:
    """Make what the companion needs to go by another configuration; what is returned makes it count.

    The companion sees what a running server takes over, and not what waits for a restart. Raises ConfigurationError.
    """
    if companion is None:
        return lambda: None
    changed, _ = changed_keys(server.config, config)
    return companion.prepare(with_values_of(server.config, config, changed))
