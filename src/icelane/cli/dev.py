"""`icelane dev`: a whole node for this machine and its LAN, with nothing to edit."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.style import Style
from rich.text import Text

from icelane.aio.loops import loop_factory
from icelane.cli.extras import require_extra
from icelane.cli.output import JsonFlag, Output, speaking, usage
from icelane.errors import ConfigurationError

if TYPE_CHECKING:
    from icelane.diagnostics.check import CheckResult
    from icelane.diagnostics.report import Report
    from icelane.node.development.places import Places
    from icelane.node.development.preparation import Prepared, Wishes
    from icelane.server.serving import Serving

EXAMPLE = "Example: `icelane dev blue-otter`"

# Between finding a port free and binding it another program may take it.
_TRIES: Final = 3
_BOUND: Final = ("turn.listen", "server.listen")
_FOR_THE_WORLD: Final = "icelane init --hostname NAME, then icelane serve"
_STYLES: Final = {"passed": "green", "warned": "yellow", "failed": "bold red", "skipped": "dim"}


def dev(
    room: Annotated[
        str | None, typer.Argument(metavar="ROOM", help="The room of the link. Default: a colour and an animal.")
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Listen on this private address alone; as often as you like. Default: loopback and every private one.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="HTTPS; the next free one where it is taken.")] = 8443,
    hostname: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What pages reach TURN over TLS by. Default: this machine's name, and `.local`."
        ),
    ] = None,
    no_qr: Annotated[bool, typer.Option("--no-qr", help="Show no QR code.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Write a record of each allocation and refusal.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run signaling, call page, STUN and TURN for this machine and its LAN, with secrets of this run alone.

    Nothing is to be edited and nothing is kept but a certificate authority, which `icelane certs trust` explains. Who
    has the link gets in. A public address is refused. Ctrl-C ends it; again ends it at once.

    Shows links, a QR code on a terminal, and what a test of every path found. With --json that is one JSON document.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.node.development.addresses import NotPrivateError
        from icelane.node.development.places import Places
        from icelane.node.development.preparation import Wishes

        wishes = Wishes(
            room=_room(room),
            listen=tuple(listen or ()),
            port=port,
            hostname=hostname,
            level="info" if verbose else "warning",
        )
        try:
            _run(_dev(wishes, Places.here(), output, show_code=not no_qr, verbose=verbose))
        except NotPrivateError as error:
            raise usage(error.message, _FOR_THE_WORLD) from None


def _room(text: str | None) -> str | None:
    """A room whose name a link can have."""
    from icelane.signaling.limits import MAX_ROOM_NAME

    if text is not None and not (0 < len(text) <= MAX_ROOM_NAME and text.isprintable() and "*" not in text):
        raise usage(f"a room has 1 to {MAX_ROOM_NAME} printable characters, and no *", "icelane dev blue-otter")
    return text


async def _dev(wishes: Wishes, places: Places, output: Output, *, show_code: bool, verbose: bool) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await _serve(wishes, places, output, show_code=show_code, verbose=verbose)
        except ConfigurationError as error:
            if left == 0 or error.key not in _BOUND:
                raise
        else:
            return


async def _serve(wishes: Wishes, places: Places, output: Output, *, show_code: bool, verbose: bool) -> None:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.crypto.provider import SystemEntropy
    from icelane.node.development.preparation import prepare, prepared_folder
    from icelane.server.descriptors import allow_many_descriptors
    from icelane.server.logs import configure_logging
    from icelane.server.machine import Machine
    from icelane.server.workers.choice import serving

    with prepared_folder(places) as folder:
        prepared = await prepare(
            wishes,
            folder,
            places=places,
            entropy=SystemEntropy(),
            machine=Machine.here(),
            unix_time=SystemWallClock().unix_time(monotonic()),
        )
        configure_logging(prepared.config.log)
        if not verbose:
            # A browser on this very machine asks the relay for what it refuses, in every call.
            logging.getLogger("icelane").setLevel(logging.ERROR)
        allow_many_descriptors()
        await _run_service(prepared, serving(prepared.config, prepared.program), output, show_code=show_code)


async def _run_service(prepared: Prepared, server: Serving, output: Output, *, show_code: bool) -> None:
    from icelane.server.service import Service

    testing: list[asyncio.Task[None]] = []

    def started() -> None:
        # Whose terminal is closed wants no server left behind; there is no file to read again either.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.stop)
        _show(output, prepared, show_code=show_code)
        testing.append(asyncio.create_task(_test(output, prepared, server), name="self-test"))

    service = Service(server, lambda: prepared.config)
    try:
        await service.run(started)
    finally:
        for task in testing:
            task.cancel()
        await asyncio.gather(*testing, return_exceptions=True)
    output.line("stopped; the links of this run lead nowhere now")


def _show(output: Output, prepared: Prepared, *, show_code: bool) -> None:
    """What to open."""
    urls = prepared.urls()
    output.line("icelane dev: this machine and its LAN, secrets of this run; do not expose it", "bold")
    for old, new in prepared.moved.items():
        output.note(f"port {old} is taken; {new} is used instead")
    if prepared.public:
        output.note(f"left out, since they are public: {', '.join(prepared.public)}")
    rows = [
        ("Call page", _link(urls["call"])),
        *([("Here", _link(urls["here"]))] if "here" in urls else []),
        ("Diagnose", _link(urls["diagnose"])),
        ("Trust, once", _link(urls["trust"])),
        *(
            ("" if index else "  SHA-256", Text(line))
            for index, line in enumerate(prepared.authority.fingerprint_lines(2))
        ),
        ("Signaling", Text(urls["signal"])),
        *(("TURN", Text(url)) for url in prepared.turn_urls()),
        ("Relays on", Text(f"{prepared.ports.relay.first}-{prepared.ports.relay.last}, UDP")),
    ]
    for name, value in rows:
        if not output.as_json:
            output.console.print(Text(f" {name:<12}"), value, sep="")
    if show_code and output.terminal and not output.as_json:
        from icelane.cli.qr_code import qr_code

        output.console.print(qr_code(urls["call"]))
        output.console.print(Text("Scan it with a phone on this network: whoever has the link is let in.", style="dim"))


async def _test(output: Output, prepared: Prepared, server: Serving) -> None:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.node.development.self_test import self_test

    bound = len(server.listening) + len(server.web_listening)
    report = await self_test(prepared.subject(bound, SystemWallClock().unix_time(monotonic())))
    output.result(_document(prepared, report))
    output.table(("", "self-test", "found"), [_row(result, folded=output.terminal) for result in report.results])
    if report.ok:
        output.line("every path works; Ctrl-C ends it", "green")


def _row(result: CheckResult, *, folded: bool) -> tuple[Text, str, Text]:
    """The mend stands below what it is for, or behind it where programs read."""
    from icelane.diagnostics.report import mark

    found = Text(result.detail)
    if result.mend is not None:
        found.append("\n" if folded else "; ").append("mend: ", style="green").append(result.mend)
    return Text(mark(result.status), style=_STYLES[result.status.value]), result.name, found


def _link(url: str) -> Text:
    """Clickable where the terminal can, by an escape sequence that a pipe does not get."""
    return Text(url, style=Style(color="cyan", link=url))


def _document(prepared: Prepared, report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "room": prepared.room,
        "urls": prepared.urls(),
        "turn": prepared.turn_urls(),
        "turnsPort": prepared.ports.turns,
        "relayPorts": f"{prepared.ports.relay.first}-{prepared.ports.relay.last}",
        "movedPorts": {str(old): new for old, new in prepared.moved.items()},
        "leftOut": list(prepared.public),
        "authority": {"file": str(prepared.authority.file), "sha256": prepared.authority.fingerprint},
        "adminSocket": str(prepared.config.admin.socket),
        "selfTest": report.document(),
    }


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main)
