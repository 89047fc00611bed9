"""`icelane init`: a configuration to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import JsonFlag, speaking, usage
from icelane.cli.owned_file import write_for_owner

EXAMPLE = "Example: `icelane init --directory /etc/icelane --hostname turn.example.org`"


def init(
    directory: Annotated[Path, typer.Option(help="Where to write icelane.toml; made when it is missing.")] = Path(),
    hostname: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name under which clients reach the server.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there, and with it its secrets.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write icelane.toml: commented, with a fresh secret, readable for you alone.

    It passes `icelane config check` and `icelane serve` runs with it as it is. The secret is not printed.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.crypto.provider import SystemEntropy
        from icelane.server.config.template import FILE_NAME, starting_configuration

        name = _hostname(hostname)
        file = directory / FILE_NAME
        cost = "--force replaces it; ephemeral credentials made with the old secrets are worth nothing then"
        write_for_owner(file, starting_configuration(SystemEntropy(), name), replace=force, mend=cost)
        quoted = shlex.quote(str(file))
        output.line(f"wrote {file}", "green")
        output.line(f"check it  icelane config check -c {quoted}")
        output.line(f"run it    icelane serve -c {quoted}")
        output.result({"ok": True, "file": str(file)})


def _hostname(text: str | None) -> str | None:
    from icelane.server.config.values import parse_hostname

    if text is None:
        return None
    try:
        return parse_hostname(text)
    except ValueError as error:
        raise usage(f"--hostname: {error}") from None
