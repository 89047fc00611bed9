"""The entry point `icelane`: one module for each command."""

from __future__ import annotations

from typing import Annotated

import typer

import icelane
from icelane.cli import (
    certs,
    config,
    dev,
    doctor,
    health,
    ice,
    init,
    join,
    keys,
    peer,
    room,
    serve,
    stun,
    token,
    top,
    transfer,
    turn,
)
from icelane.cli.switches import tell_no_types
from icelane.cli.usage_errors import Commands

_EPILOG = (
    "Example: `icelane serve -c icelane.toml`\n\n"
    "Exit codes: 0 well; 1 the check failed; 2 the command line or the configuration is wrong;"
    " 3 something is missing here, such as an extra; 4 the network or the peer."
)

app = typer.Typer(
    name="icelane",
    cls=Commands,
    help="WebRTC from the command line: run a STUN and TURN server, try one, and send a file from peer to peer.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # The pretty form prints the local variables of every frame, and those hold passwords.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=dev.EXAMPLE)(dev.dev)
app.command(epilog=serve.EXAMPLE)(serve.serve)
app.command(epilog=init.EXAMPLE)(init.init)
app.command(epilog=stun.EXAMPLE)(stun.stun)
app.command(epilog=ice.EXAMPLE)(ice.ice)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=health.EXAMPLE)(health.health)
app.command(epilog=join.EXAMPLE)(join.join)
app.command(epilog=transfer.SEND_EXAMPLE)(transfer.send)
app.command(epilog=transfer.RECEIVE_EXAMPLE)(transfer.receive)
app.command(epilog=top.EXAMPLE)(top.top)
app.add_typer(turn.app, name="turn")
app.add_typer(room.app, name="room")
app.add_typer(peer.app, name="peer")
app.add_typer(token.app, name="token")
app.add_typer(keys.app, name="keys")
app.add_typer(certs.app, name="certs")
app.add_typer(config.app, name="config")
tell_no_types(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        form = "compiled" if icelane.__compiled__ else "pure Python"
        print(f"icelane {icelane.__version__} ({form})")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that the arguments of the process name, and exit with its code."""
    app(prog_name="icelane")
