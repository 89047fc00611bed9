"""`icelane ice`: credentials and `iceServers` for a client, made from the configuration."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.syntax import Syntax

from icelane.cli.extras import require_extra
from icelane.cli.output import ConfigFile, JsonFlag, Output, speaking
from icelane.errors import ConfigurationError

if TYPE_CHECKING:
    from icelane.server.ice_servers import IceServersBody

EXAMPLE = "Example: `icelane ice --format python --user alice --ttl 3600`"


class Format(enum.StrEnum):
    """For whom the body is printed."""

    BROWSER = "browser"
    PYTHON = "python"
    CURL = "curl"


def ice(
    style: Annotated[
        Format,
        typer.Option(
            "--format",
            help="browser: the object for new RTCPeerConnection(...); python: a program's first lines;"
            " curl: one line, as an HTTP client receives it.",
        ),
    ] = Format.BROWSER,
    user: Annotated[
        str | None, typer.Option(help="A static user, or any name for an ephemeral credential. Default: guest.")
    ] = None,
    ttl: Annotated[int, typer.Option(help="Seconds that an ephemeral credential lives, up to a day.")] = 600,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Print credentials and the iceServers that a client of this server needs. The output holds a password."""
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.aio.system import SystemWallClock, monotonic
        from icelane.server.config import load_config
        from icelane.server.credentials import issue
        from icelane.server.ice_servers import ice_servers_body

        config = load_config(file)
        credential = issue(config, user, ttl, SystemWallClock().unix_time(monotonic()))
        body = ice_servers_body(config, credential)
        if not body["iceServers"]:
            raise ConfigurationError("no listener has a port that clients could be told", key="turn.listen")
        output.result(body)
        if not as_json:
            _print(output, style, body)


def _print(output: Output, style: Format, body: IceServersBody) -> None:
    if style is Format.CURL:
        print(json.dumps(body, separators=(",", ":")))
        return
    text, language = (json.dumps(body, indent=2), "json") if style is Format.BROWSER else (python(body), "python")
    if output.terminal:
        output.console.print(Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        print(text)


def python(body: IceServersBody) -> str:
    """The body as the first lines of a program; aiortc has the same names."""
    lines = [
        "from icelane import RTCConfiguration, RTCIceServer",
        "",
        "configuration = RTCConfiguration(",
        "    iceServers=[",
    ]
    for server in body["iceServers"]:
        arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in server.items())
        lines.append(f"        RTCIceServer({arguments}),")
    lines += ["    ]", ")"]
    return "\n".join(lines)
