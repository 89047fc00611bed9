"""What runs beside the relay in one process: an application on the listeners of `[server]`, and its end.

The server knows it by this protocol alone. Whoever composes a daemon has one made in the process that has those
listeners, by a function that is given what it may ask of the relay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from icelane.core.clock import Instant
from icelane.server.admin import Answer, Request
from icelane.server.config import Config
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.health import Readiness
from icelane.turn.access_list import AccessLists

if TYPE_CHECKING:  # who has no such listeners needs none of it
    from prometheus_client.metrics_core import Metric

    from icelane.server.http_server import HttpServer


class Relay(Protocol):
    """The relay, whether it runs in this process or in several."""

    async def readiness(self) -> Readiness:
        """Every check."""
        ...

    async def revoke(self, username: str) -> int:
        """Take a credential back, everywhere; how many allocations ended. Raises LocalProtocolError."""
        ...

    @property
    def lists(self) -> AccessLists:
        """Who may come at all: read once it has started, and then kept to what `[lists]` and its files say."""
        ...

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound for TURN, with the ports that the system chose."""
        ...

    @property
    def web_listening(self) -> list[WebListener]:
        """What is bound of `server.listen`."""
        ...


class Companion(Protocol):
    """Made before the relay starts, closed before it ends."""

    @property
    def web(self) -> HttpServer:
        """What carries it. Its lifespan begins with the relay's, and ends first."""
        ...

    def started(self) -> None:
        """The relay serves: what is bound is known from here on."""
        ...

    def families(self) -> Iterable[Metric]:
        """Its figures, for the page that the relay's are on. Asked for once it has started."""
        ...

    def prepare(self, config: Config) -> Callable[[], None]:
        """Look at another configuration; what is returned makes it count. Raises ConfigurationError."""
        ...

    def begin_drain(self) -> None:
        """Send everybody away, each at a time of his own. Again is harmless."""
        ...

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out one of its commands of the admin socket. Raises RequestError or LocalProtocolError."""
        ...


@dataclass(frozen=True, kw_only=True)
class CompanionProgram:
    """How one is made: by `make` in this process, or in the first worker, whose module is `worker_module` then.

    `commands` are those of the admin socket that it answers.
    """

    make: Callable[[Config, Relay], Companion]
    worker_module: str
    commands: tuple[str, ...] = ()
