"""Watches one server: its figures, its health, how late its loop is, and the port that tells of all that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icelane.core.clock import Duration
from icelane.core.net import SocketAddress
from icelane.errors import ConfigurationError
from icelane.server.config import Config
from icelane.server.health import Check, Health, Readiness
from icelane.server.loop_lag import LoopLag
from icelane.server.metrics import Observed, ServerMetrics
from icelane.turn.server import Event

if TYPE_CHECKING:
    from icelane.server.monitoring import Figures, MonitoringServer

# A packet that waits this long in the server is late for a call: the loop is then as full as it may get.
FULL_LAG: Final[Duration] = 0.1


class Observation:
    """Made with the server, started after it, closed before it."""

    def __init__(self, server: Observed, config: Config) -> None:
        self.metrics = ServerMetrics(server)
        self.health = Health()
        self._server = server
        self._config = config
        self._lag = LoopLag(self.metrics.observe_lag)
        self._http: MonitoringServer | None = None
        self.health.add("turn", lambda: Check(server.ready))
        self.health.add("load", self._check_load)

    @property
    def listening(self) -> SocketAddress | None:
        """Where the pages are served, with the port that the system chose; None without `metrics.listen`."""
        return self._http.local if self._http is not None else None

    def count(self, event: Event) -> None:
        """Count what the engine reports."""
        self.metrics.count(event)

    def load(self) -> dict[str, float]:
        """How full the server is, 1.0 being all there is, by what could run out first."""
        return {
            "allocations": self._server.allocation_load,
            "relayPorts": self._server.port_load,
            "loopLag": self._lag.average / FULL_LAG,
        }

    def reconfigure(self, config: Config) -> None:
        """Judge the load by other limits from now on."""
        self._config = config

    def listen(self) -> None:
        """Bind what `metrics.listen` says, so that it is known where that is. Raises ConfigurationError."""
        self._http = open_monitoring(self._config, self)

    async def page(self, accept: str | None) -> tuple[bytes, str]:
        """The figures and their content type."""
        return self.metrics.page(accept)

    async def readiness(self) -> Readiness:
        """Every check."""
        return self.health.readiness()

    async def start(self) -> None:
        """Begin to measure, and to answer where `listen` has bound."""
        self._lag.start()
        if self._http is not None:
            await self._http.start()

    async def close(self) -> None:
        """End it; again is harmless."""
        self._lag.stop()
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _check_load(self) -> Check:
        limit = self._config.metrics.ready_load_percent
        percent = {name: round(100 * share) for name, share in self.load().items()}
        return Check(not limit or max(percent.values()) < limit, {"percent": percent})


def open_monitoring(config: Config, figures: Figures) -> MonitoringServer | None:
    """Bind what `metrics.listen` says, if it says something. Raises ConfigurationError."""
    address = config.metrics.listen
    if address is None:
        return None
    from icelane.server.monitoring import MonitoringServer

    try:
        return MonitoringServer(address, figures)
    except OSError as error:
        raise ConfigurationError(f"{address}: {error.strerror or error}", key="metrics.listen") from error
