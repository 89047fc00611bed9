"""`icelane init`: a configuration to begin with, and what runs the server by it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import JsonFlag, speaking, usage
from icelane.cli.owned_file import write_for_owner

EXAMPLE = "Example: `icelane init --systemd --directory /etc/icelane --hostname turn.example.org`"

_EVERYBODY = 0o644
# With ProtectHome=yes and PrivateTmp=yes the unit sees nothing there.
_HIDDEN: Final = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108  (not to write there)
_COST = "--force replaces it; ephemeral credentials made with the old secrets are worth nothing then"


def init(
    directory: Annotated[Path, typer.Option(help="Where to write icelane.toml; made when it is missing.")] = Path(),
    hostname: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name under which clients reach the server.")
    ] = None,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Also write icelane.service, a hardened unit for systemd.")
    ] = False,
    container: Annotated[
        bool, typer.Option("--container", help="Also write a Dockerfile and compose.yaml, with 40 relay ports.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there, and with icelane.toml its secrets.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write icelane.toml: commented, with a fresh secret, readable for you alone.

    It passes `icelane config check` and `icelane serve` runs with it as it is. The secret is not printed. With
    --systemd or --container an icelane.toml that is there stays as it is, and the files that run the server by it are
    written beside it; what to do with them is printed.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.crypto.provider import SystemEntropy
        from icelane.server.config.template import DEFAULT_RELAY_PORTS, FILE_NAME, starting_configuration
        from icelane.server.deployment.container import RELAY_PORTS

        name = _hostname(hostname)
        file = directory / FILE_NAME
        beside = _beside(directory, file, systemd=systemd, container=container)
        kept = bool(beside) and file.exists() and not force
        if not kept:
            ports = RELAY_PORTS if container else DEFAULT_RELAY_PORTS
            write_for_owner(file, starting_configuration(SystemEntropy(), name, ports), replace=force, mend=_COST)
        for path, text in beside.items():
            write_for_owner(path, text, replace=force, mend="--force replaces it", mode=_EVERYBODY)
        for path in ([] if kept else [file]) + list(beside):
            output.line(f"wrote {path}", "green")
        if kept:
            output.note(f"{file} was there, and stays as it is")
        steps = [*_steps(file, systemd=systemd, container=container)]
        for title, line in steps:
            output.line(f"{title}  {line}")
        files = [str(path) for path in (file, *beside)]
        output.result(
            {"ok": True, "file": str(file), "files": files, "kept": kept, "next": [line for _, line in steps]}
        )


def _hostname(text: str | None) -> str | None:
    from icelane.server.config.values import parse_hostname

    if text is None:
        return None
    try:
        return parse_hostname(text)
    except ValueError as error:
        raise usage(f"--hostname: {error}") from None


def _beside(directory: Path, file: Path, *, systemd: bool, container: bool) -> dict[Path, str]:
    """The files beside the configuration."""
    from icelane.server.deployment.container import container_files
    from icelane.server.deployment.systemd import FILE_NAME, unit

    found: dict[Path, str] = {}
    if systemd:
        try:
            found[directory / FILE_NAME] = unit(_program(), file.absolute())
        except ValueError as error:
            raise usage(str(error), "--directory /etc/icelane, and icelane in /opt/icelane") from None
    if container:
        found |= {directory / name: text for name, text in container_files(sys.version_info[:2]).items()}
    return found


def _program() -> Path:
    """The `icelane` of the interpreter that runs; a link in the way, as a virtual environment's python, stays one."""
    return Path(sys.executable).absolute().with_name("icelane")


def _is_hidden(path: Path) -> bool:
    """From the unit; `path` is absolute."""
    return any(path.is_relative_to(one) for one in _HIDDEN)


def _steps(file: Path, *, systemd: bool, container: bool) -> Iterator[tuple[str, str]]:
    """What to do next: a word for it, and a line to type."""
    from icelane.server.deployment.container import USER
    from icelane.server.deployment.systemd import FILE_NAME, GROUP

    quoted, absolute = shlex.quote(str(file)), shlex.quote(str(file.absolute()))
    folder = shlex.quote(str(file.absolute().parent))
    yield "check it", f"icelane config check -c {quoted}"
    if systemd:
        if _is_hidden(_program()):
            yield "move it ", "python3 -m venv /opt/icelane, install icelane there, and write the unit again with that"
        if _is_hidden(file.absolute()):
            yield "move it ", f"icelane init --systemd --directory /etc/icelane: the unit sees nothing in {folder}"
        yield "allow it", f"groupadd --system {GROUP}"
        # What was written and no more: in the directory there may be anything.
        yield "        ", f"chgrp {GROUP} {folder} {absolute} && chmod g+rx {folder} && chmod u=rw,g=r,o= {absolute}"
        yield "start it", f"systemctl enable --now {shlex.quote(str(file.absolute().with_name(FILE_NAME)))}"
    if container:
        yield "allow it", f"chown {USER} {quoted}"
        # In a clone, after `make wheels`.
        yield "build it", f"mkdir -p {folder}/wheels && cp dist/icelane-*.whl {folder}/wheels"
        yield "run it  ", f"docker compose --project-directory {folder} up --build --detach"
    if not (systemd or container):
        yield "run it  ", f"icelane serve -c {quoted}"
