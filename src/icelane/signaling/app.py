"""Signaling as an ASGI application, for a program of one's own.

    app = FastAPI()
    app.mount("/rtc", signaling_app(gate, ice=ice))      # wss://.../rtc/v1/signal

Mounted applications get no lifespan of their own, so nothing depends on one: the service starts with the first
connection. When the outer server stops, connections break and come back; whoever wants to say goodbye first awaits
`app.state.signaling.close()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute

from icelane.signaling.engine import SignalEngine
from icelane.signaling.gate import Gate, IceSource
from icelane.signaling.http.endpoint import NothingHere
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import SIGNAL_PATH
from icelane.signaling.room_rule import RoomRule
from icelane.signaling.service import SignalService
from icelane.signaling.websocket import SignalEndpoint


def signaling_app(
    gate: Gate,
    *,
    ice: IceSource | None = None,
    engine: SignalEngine | None = None,
    limits: SignalingLimits | None = None,
    rules: tuple[RoomRule, ...] | None = None,
    service: SignalService | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """`GET /v1/signal`, and `routes` beside it. The SignalService is `app.state.signaling`.

    A `service` that is there already is used as it is: TypeError for arguments that would have made another one.
    """
    options = {"ice": ice, "engine": engine, "limits": limits, "rules": rules}
    given = [name for name, value in options.items() if value is not None]
    if service is not None and given:
        raise TypeError(f"a service has its own {', '.join(given)}: give them to SignalService")
    served = service or SignalService(gate, ice=ice, engine=engine, limits=limits, rules=rules or ())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await served.close()

    endpoint = SignalEndpoint(served, gate)
    app = Starlette(routes=[WebSocketRoute(SIGNAL_PATH, endpoint), *routes], lifespan=lifespan)
    # Starlette would send `/healthz/` on to `/healthz`, at whatever host the request names.
    app.router.redirect_slashes = False
    app.router.default = NothingHere(app.router.default)
    app.state.signaling = served
    return app
