"""What runs as a service: one server in this process, or several in processes of their own."""

from __future__ import annotations

from typing import Protocol, Self

from icelane.core.clock import Instant
from icelane.server.admin import Answer, Request, Sessions
from icelane.server.config import Config
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.reload import Reloaded
from icelane.server.turn_server import TurnServer


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
        """Carry out one of the SESSION_COMMANDS. Raises RequestError or LocalProtocolError."""
        ...


class OneProcess:
    """A server in this process."""

    processes = 1

    def __init__(self, server: TurnServer) -> None:
        self._server = server
        self._sessions = Sessions(server)

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.close()

    @property
    def config(self) -> Config:
        """The configuration that counts."""
        return self._server.config

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound, with the ports that the system chose."""
        return self._server.listening

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
        return self._server.reload(config)

    def begin_drain(self) -> None:
        """Take no new allocation from now on; those that live go on."""
        self._server.begin_drain()

    async def drain(self) -> bool:
        """Wait until no allocation is left; False when the time for it was over before."""
        return await self._server.drain()

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out one of the SESSION_COMMANDS. Raises RequestError or LocalProtocolError."""
        return self._sessions.answer(request, now)
