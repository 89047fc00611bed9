"""`icelane init`: a configuration to begin with."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ExitCode, JsonFlag, Problem, speaking, usage

EXAMPLE = "Example: `icelane init --directory /etc/icelane --hostname turn.example.org`"

_OWNER_ONLY: Final = 0o600


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
        _write(file, starting_configuration(SystemEntropy(), name), replace=force)
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


def _write(file: Path, text: str, *, replace: bool) -> None:
    """The whole file or nothing: what is there stays until the new one is complete."""
    if file.exists() and not replace:
        mend = "--force replaces it; ephemeral credentials made with the old secrets are worth nothing then"
        raise CommandError(ExitCode.USAGE, Problem(f"{file} is there already", mend))
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Created for the owner alone, not made so afterwards: in between others could open it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            _move(draft, file, replace=replace)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise CommandError(ExitCode.USAGE, Problem(f"{file} is there already", "--force replaces it")) from None
    except OSError as error:
        raise CommandError(ExitCode.MISSING, Problem(f"{file} cannot be written: {error.strerror}")) from None


def _move(draft: Path, file: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(file)
    else:
        os.link(draft, file)  # unlike a rename it fails when somebody was faster
