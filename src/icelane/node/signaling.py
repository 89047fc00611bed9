"""Signaling of one node beside its relay: admission, rooms, TURN credentials and their HTTP surface.

It is a `Companion`: made before the relay starts, told to drain, reloaded with it or not at all, and closed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration, Instant, UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.errors import LocalProtocolError
from icelane.node.admission import ConfiguredAdmission, signaling_limits
from icelane.node.diagnosis import NodeDiagnosis
from icelane.node.engine import node_name, signal_engine
from icelane.node.figures import SignalingFigures
from icelane.node.ice import ice_settings
from icelane.node.invitation import INVITE, Invitations
from icelane.node.room_commands import RoomCommands
from icelane.server.admin import Answer, Request
from icelane.server.companion import Relay
from icelane.server.config import Config
from icelane.server.http_server import HttpServer
from icelane.server.public_url import public_url
from icelane.signaling.admission.hook import Hook
from icelane.signaling.admission.join_token import create_token
from icelane.signaling.admission.request import ConnectRequest
from icelane.signaling.admitted import Admission, Grant, IceTransportPolicy
from icelane.signaling.app import signaling_app
from icelane.signaling.http.admission_callers import AdmissionCallers
from icelane.signaling.http.endpoint import Endpoint, routes
from icelane.signaling.http.hub_rooms import HubRooms
from icelane.signaling.http.surface import HttpSurface
from icelane.signaling.http.token_endpoints import TokenOrder
from icelane.signaling.ice_servers import IceServers
from icelane.signaling.messages import SIGNAL_PATH
from icelane.signaling.service import SignalService

# Whoever is sent away comes back somewhere else; so that not all come at once, they leave over so long (OP-2).
DRAIN_SPREAD: Final[Duration] = 5.0


class Signaling:
    """Satisfies `Companion`. Raises ConfigurationError for what cannot work."""

    def __init__(
        self,
        config: Config,
        relay: Relay,
        *,
        before_connect: Hook[ConnectRequest] | None = None,
        endpoints: Sequence[Endpoint] = (),
    ) -> None:
        """`before_connect` is asked as one of `[hooks]` is, before those; `endpoints` are served beside ours."""
        self._config = config
        self._relay = relay
        self._wall_clock = SystemWallClock()
        self._entropy = SystemEntropy()
        self.admission = ConfiguredAdmission(
            config, relay.lists, entropy=self._entropy, node=node_name(config), before_connect=before_connect
        )
        self.ice = IceServers(ice_settings(config), wall_clock=self._wall_clock)
        self.service = SignalService(
            self.admission.control,
            ice=self.ice,
            engine=signal_engine(config, monotonic()),
            limits=signaling_limits(config),
            entropy=self._entropy,
            wall_clock=self._wall_clock,
        )
        self._figures = SignalingFigures(self.service.hub.figures, self.admission.control.hook_times, self.ice.issued)
        self._callers = AdmissionCallers(self.admission.control)
        self._rooms = HubRooms(self.service)
        self._commands = RoomCommands(self._rooms)
        self._invitations = Invitations(self.admission.control.invite, self._page_url, self._wall_clock)
        self._diagnosis = NodeDiagnosis(config, relay, self._entropy) if config.diag.enabled else None
        table = routes([*self._surface().endpoints(), *endpoints], self._callers)
        self.app: Starlette = signaling_app(self.admission.control, service=self.service, routes=table)
        self.web = HttpServer(self.app, hsts=config.server.hsts)
        self.web.on_closing = self.service.close
        self.web.on_close = self._close
        self._draining = False

    # For the relay

    def started(self) -> None:
        """The relay serves: what is bound is known from here on."""
        self.ice.settings = ice_settings(self._config, self._relay)

    def families(self) -> Iterable[Metric]:
        """For the page that the relay's figures are on."""
        return self._figures.families()

    def prepare(self, config: Config) -> Callable[[], None]:
        """Look at another configuration; what is returned makes it count. Raises ConfigurationError."""
        commit_admission = self.admission.prepare(config)
        ice = ice_settings(config, self._relay)

        def commit() -> None:
            commit_admission()
            self._config, self.ice.settings = config, ice
            if self._diagnosis is not None:
                self._diagnosis.config = config

        return commit

    def begin_drain(self) -> None:
        """Send everybody away, each at a time of his own. Again is harmless."""
        if not self._draining:
            self._draining = True
            self.service.drain(DRAIN_SPREAD)

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out a command about rooms, or an invitation. Raises RequestError."""
        if request["command"] == INVITE:
            return self._invitations.answer(request, now)
        return await self._commands.answer(request)

    async def _close(self) -> None:
        if self._diagnosis is not None:
            await self._diagnosis.close()
        await self.admission.close()

    # For the endpoints

    def _surface(self) -> HttpSurface:
        server = self._config.server
        return HttpSurface(
            callers=self._callers,
            readiness=self._readiness,
            signal_url=self._signal_url,
            ice=self.ice,
            revoker=self._relay,
            tokens=self if self.admission.signer is not None else None,
            tickets=_Tickets(self.admission),
            rooms=self._rooms,
            compat=server.compat,
            public_url=lambda: self._config.server.public_url,
            pages=server.pages,
            diagnosis=self._diagnosis,
        )

    async def _readiness(self) -> tuple[bool, Mapping[str, object]]:
        readiness = await self._relay.readiness()
        return readiness.ok and not self._draining, readiness.document()

    def _page_url(self) -> str:
        return public_url(self._config, self._relay.web_listening) or ""

    def _signal_url(self) -> str:
        return "ws" + self._page_url().removeprefix("http") + SIGNAL_PATH

    def make(self, order: TokenOrder) -> tuple[str, UnixSeconds]:
        """A join token: a TokenMaker. Raises LocalProtocolError."""
        signer = self.admission.signer
        if signer is None:
            raise LocalProtocolError("no entry of [[auth.jwt]] can sign any more")
        now = self._wall_clock.unix_time(monotonic())
        token = create_token(
            signer,
            identity=order.identity,
            rooms=order.rooms,
            valid_for=order.ttl,
            unix_time=now,
            entropy=self._entropy,
            name=order.name,
            grants=None if order.grants is None else [_grant(word) for word in order.grants],
            meta=order.meta,
            ice=None if order.policy is None else _policy(order.policy),
        )
        return token, UnixSeconds(float(int(now) + order.ttl))


class _Tickets:
    """A TicketMaker."""

    def __init__(self, admission: ConfiguredAdmission) -> None:
        self._admission = admission

    def make(self, admission: Admission) -> str | None:
        """A ticket; None when too many are out."""
        return self._admission.control.issue_ticket(admission)


def _grant(word: str) -> Grant:
    try:
        return Grant(word)
    except ValueError:
        raise LocalProtocolError(f"a grant is one of {', '.join(grant.value for grant in Grant)}") from None


def _policy(word: str) -> IceTransportPolicy:
    try:
        return IceTransportPolicy(word)
    except ValueError:
        raise LocalProtocolError("ice.policy is `all` or `relay`") from None
