"""`icelane serve`: the STUN and TURN server in the foreground."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icelane.aio.loops import loop_factory
from icelane.cli.extras import require_extra
from icelane.cli.output import ConfigFile, JsonFlag, Output, speaking

if TYPE_CHECKING:
    from icelane.server.config import Config

EXAMPLE = "Example: `icelane serve -c icelane.toml --listen udp://192.0.2.1:3478`"


def serve(
    file: ConfigFile = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Take clients here instead of turn.listen. May be given several times."),
    ] = None,
    realm: Annotated[str | None, typer.Option(help="Instead of turn.realm.")] = None,
    log_format: Annotated[str | None, typer.Option(metavar="human|json", help="Instead of log.format.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the STUN and TURN server, and signaling where [server] has listeners, until SIGINT or SIGTERM.

    SIGHUP reads the configuration again. SIGTERM and SIGINT take no new clients and end the server when the last call
    is over, or after turn.drain_deadline; a second one ends it at once.

    A service manager is told when it is ready, when it reloads and when it ends, and that it is alive (sd_notify); a
    unit for systemd is written by `icelane init --systemd`.

    Prints what it listens on when it is ready. Records go to standard error; with --json the first line of standard
    output is one JSON document with the listeners.
    """
    # Until the server listens to it, SIGHUP would end us. Not SIG_IGN, which the programs that we run would inherit.
    signal.signal(signal.SIGHUP, lambda *_: None)
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.server.config import advise, load_config
        from icelane.server.descriptors import allow_many_descriptors
        from icelane.server.events import report
        from icelane.server.logs import configure_logging

        flags = {"turn.listen": listen, "turn.realm": realm, "log.format": log_format}
        # An empty text was said and is judged; an option that may come several times and did not is an empty list.
        chosen = {key: value for key, value in flags.items() if value not in (None, [])}

        def load() -> Config:
            return load_config(file, flags=chosen, serving=True)

        config = load()
        configure_logging(config.log)
        allow_many_descriptors()
        for piece in advise(config):
            report("config.advice", logging.WARNING, key=piece.key, advice=piece.message)
        _run(_serve(config, load, output))


async def _serve(config: Config, load: Callable[[], Config], output: Output) -> None:
    from icelane.node.program import PROGRAM
    from icelane.server.garbage import look_for_garbage_rarely
    from icelane.server.ice_servers import advertised, turn_url
    from icelane.server.logs import configure_logging
    from icelane.server.service import Service
    from icelane.server.service_manager import ServiceManager
    from icelane.server.workers.choice import serving

    # Before anything is started, so that no worker and no program of turn.external_address_from inherits it.
    manager = ServiceManager.of(os.environ)
    server = serving(config, PROGRAM)

    def started() -> None:
        look_for_garbage_rarely()
        listening = [str(listener) for listener in (*server.listening, *server.web_listening)]
        clients = [turn_url(listener) for listener in advertised(config)]
        for url in listening:
            output.line(f"listening on {url}")
        for url in clients:
            output.line(f"clients use  {url}")
        processes = f", in {server.processes} processes" if server.processes > 1 else ""
        output.line(f"relaying by the {server.plane} plane{processes}")
        running = {"listening": listening, "clients": clients, "plane": server.plane, "workers": server.processes}
        output.result({"ok": True, "realm": config.turn.realm, **running})

    service = Service(server, load, reloaded=lambda config: configure_logging(config.log), manager=manager)
    await service.run(started)
    output.line("stopping")


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main)
