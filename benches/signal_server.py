"""A signaling server to be measured: `python benches/signal_server.py icelane|python-socketio PORT [unlimited]`.

Both under uvicorn, with the same protocols and loop, without TLS and without admission worth the name. It runs in
either environment, so it imports what it serves and nothing else.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import uvicorn


def icelane() -> Any:
    """Ours; whoever comes says who he is, and limits are far away, but for those that the bench is about."""
    from icelane.crypto.provider import SystemEntropy
    from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
    from icelane.signaling.admission.rate import Rate, RateSettings
    from icelane.signaling.admission.request import Allow, ConnectRequest
    from icelane.signaling.app import signaling_app
    from icelane.signaling.limits import SignalingLimits

    async def before_connect(request: ConnectRequest) -> Allow:
        return Allow(identity=request.token or "", rooms=("*",))

    free = Rate(per_second=0.0, burst=0.0)
    rates = RateSettings(
        connects_per_address=free,
        connects=free,
        messages_per_room=free,
        messages_per_identity={},
        connections_per_address=100_000,
        connections=100_000,
    )
    settings = AdmissionSettings(hooks=AdmissionHooks(before_connect=before_connect), rates=rates)
    is_limited = len(sys.argv) == 3
    limits = None if is_limited else SignalingLimits(frames_per_second=1e6, frame_burst=1_000_000)
    return signaling_app(AdmissionControl(settings, entropy=SystemEntropy()), limits=limits)


def socketio() -> Any:
    """Theirs, with what ours does: rooms, and messages to one or to all others of a room."""
    import socketio as library  # type: ignore[import-not-found]  # it is in .venv-peers

    server = library.AsyncServer(async_mode="asgi", transports=["websocket"], cors_allowed_origins=[])

    @server.event  # type: ignore[untyped-decorator]  # it has no types
    async def join(sid: str, room: str) -> None:
        await server.enter_room(sid, room)

    @server.event  # type: ignore[untyped-decorator]  # it has no types
    async def say(sid: str, to: str, data: object) -> None:
        await server.emit("message", data, to=to, skip_sid=sid)

    return library.ASGIApp(server)


def main() -> None:
    """The command."""
    logging.getLogger("icelane").addHandler(logging.NullHandler())  # who floods is refused; that is no news here
    app = {"icelane": icelane, "python-socketio": socketio}[sys.argv[1]]()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="h11",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_level="warning",
        access_log=False,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
