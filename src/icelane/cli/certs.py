"""`icelane certs`: the authority of development nodes, and how each system is told to trust it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ExitCode, JsonFlag, Output, Problem, speaking, usage
from icelane.node.development.places import PUBLIC_FILE
from icelane.node.development.trust_steps import (
    ANCHORS,
    REFRESH,
    TITLES,
    Step,
    System,
    this_system,
    trust_steps,
    untrust_steps,
)

if TYPE_CHECKING:
    from icelane.node.development.authority import Authority

SHOW_EXAMPLE = "Example: `icelane certs show --json`"
TRUST_EXAMPLE = "Example: `icelane certs trust --system firefox`"
UNTRUST_EXAMPLE = "Example: `icelane certs untrust --system debian`"

app = typer.Typer(help="See the authority of `icelane dev`, and trust it.", epilog=TRUST_EXAMPLE, no_args_is_help=True)

SystemOption = Annotated[
    list[System] | None,
    typer.Option(
        "--system", help="For this one alone; as often as you like. Default: this machine's and the browsers'."
    ),
]
Install = Annotated[bool, typer.Option("--install", help="Do it: on Linux, as root, for the programs of this machine.")]
Run = Callable[[Sequence[str]], int]

_BESIDE: Final = (System.CHROMIUM, System.FIREFOX, System.IOS, System.ANDROID)
_READABLE: Final = 0o644


@app.callback()
def _group() -> None:
    pass


@app.command(epilog=SHOW_EXAMPLE)
def show(as_json: JsonFlag = False) -> None:
    """Show the authority: its name, its fingerprint, its file, and what it may sign.

    The fingerprint is what a phone shows before it trusts the authority. The first run makes the authority.
    """
    with speaking(as_json) as output:
        authority = _authority()
        document = _document(authority)
        expires = datetime.fromtimestamp(authority.expires_at, UTC)
        output.table(
            ("", ""),
            [
                ("name", authority.name),
                ("sha-256", authority.fingerprint),
                ("file", str(authority.file)),
                ("until", f"{expires:%Y-%m-%d}"),
                ("good for", "private addresses, localhost, and names ending in .local"),
            ],
        )
        output.result({"ok": True, **document})


@app.command(epilog=TRUST_EXAMPLE)
def trust(system: SystemOption = None, install: Install = False, as_json: JsonFlag = False) -> None:
    """Say how this machine, a browser or a phone is told to trust the authority of `icelane dev`.

    It can sign for private addresses, localhost and names ending in .local, and for nothing else. Without --install
    nothing is changed.
    """
    with speaking(as_json) as output:
        authority = _authority()
        if install:
            target = _installable(system)
            file = install_authority(authority, target, Path("/"), _run)
            output.line(f"{TITLES[target]}: programs of this machine trust {authority.name}", "green")
            output.result({"ok": True, "system": target.value, **_document(authority), "file": str(file)})
            return
        output.line(f"{authority.name}\n{authority.fingerprint}\n")
        _tell(output, authority, _chosen(system), trust_steps_of(authority))


@app.command(epilog=UNTRUST_EXAMPLE)
def untrust(system: SystemOption = None, install: Install = False, as_json: JsonFlag = False) -> None:
    """Say how the authority is forgotten again. With --install it is: on Linux, as root.

    The authority itself stays; who deletes its file gets another one from the next `icelane dev`.
    """
    with speaking(as_json) as output:
        authority = _existing()
        if install:
            target = _installable(system)
            remove_authority(target, Path("/"), _run)
            output.line(f"{TITLES[target]}: forgotten", "green")
            output.result({"ok": True, "system": target.value})
            return
        _tell(output, authority, _chosen(system), lambda one: untrust_steps(one, authority.name))
        output.note(f"its key is in {authority.file.with_name('authority.pem')}; delete it, and no one signs any more")


def trust_steps_of(authority: Authority) -> Callable[[System], tuple[Step, ...]]:
    """Of each system, with the authority's own file and name."""
    return lambda system: trust_steps(system, str(authority.file), authority.name)


def install_authority(authority: Authority, system: System, root: Path, run: Run) -> Path:
    """Put the certificate where `system` looks below `root`, and make it look. Raises CommandError."""
    from icelane.node.development.authority import is_constrained

    if not is_constrained(authority.certificate):
        text = f"{authority.file} could sign for everything; this is not an authority that icelane has made"
        raise CommandError(ExitCode.CHECK_FAILED, Problem(text, "delete it, and run `icelane certs show`"))
    target = _anchor(system, root)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(authority.pem)
        target.chmod(_READABLE)
    except OSError as error:
        raise CommandError(ExitCode.MISSING, Problem(f"{target} cannot be written: {error.strerror}")) from None
    _refresh(REFRESH[system], run)
    return target


def remove_authority(system: System, root: Path, run: Run) -> None:
    """Take it out there again. Raises CommandError."""
    _anchor(system, root).unlink(missing_ok=True)
    fresh = ("--fresh",) if system is System.DEBIAN else ()
    _refresh((*REFRESH[system], *fresh), run)


def _authority() -> Authority:
    require_extra("server")
    import socket

    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.node.development.authority import authority_of
    from icelane.node.development.places import Places

    now = SystemWallClock().unix_time(monotonic())
    places = Places.here()
    return authority_of(places.authority, now, host_name=socket.gethostname(), make=not places.borrowed)


def _existing() -> Authority:
    from icelane.node.development.authority import load_authority
    from icelane.node.development.places import Places

    found = load_authority(Places.here().authority)
    if found is None:
        raise usage("there is no authority: `icelane dev` has never run here", "icelane certs show makes one")
    return found


def _document(authority: Authority) -> dict[str, str]:
    until = datetime.fromtimestamp(authority.expires_at, UTC)
    return {
        "name": authority.name,
        "sha256": authority.fingerprint,
        "file": str(authority.file),
        "expiresAt": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }


def _chosen(asked: list[System] | None) -> list[System]:
    if asked:
        return list(dict.fromkeys(asked))
    here = this_system()
    return [*([here] if here is not None else []), *_BESIDE]


def _tell(
    output: Output, authority: Authority, systems: Sequence[System], steps: Callable[[System], tuple[Step, ...]]
) -> None:
    for system in systems:
        output.line(TITLES[system], "bold")
        for step in steps(system):
            output.line(f"  {step.text}")
            for command in step.commands:
                output.line(f"    {command}", "cyan")
        output.line("")
    found = {
        system.value: [{"text": step.text, "commands": list(step.commands)} for step in steps(system)]
        for system in systems
    }
    output.result({"ok": True, **_document(authority), "systems": found})


def _installable(asked: list[System] | None) -> System:
    """The one that files can be put into. Raises CommandError."""
    target = asked[0] if asked else this_system()
    if target is None or target not in ANCHORS or (asked and len(asked) > 1):
        raise usage("--install is for debian or fedora", "icelane certs trust, and what it says")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        problem = Problem("only root changes what this machine trusts", "sudo icelane certs trust --install")
        raise CommandError(ExitCode.MISSING, problem)
    return target


def _anchor(system: System, root: Path) -> Path:
    return root / ANCHORS[system].relative_to("/") / PUBLIC_FILE


def _refresh(command: Sequence[str], run: Run) -> None:
    code = run(command)
    if code != 0:
        text = f"{' '.join(command)} failed with {code}"
        raise CommandError(ExitCode.MISSING, Problem(text, "install ca-certificates, and try again"))


def _run(command: Sequence[str]) -> int:
    program = shutil.which(command[0])
    if program is None:
        return 127
    return subprocess.run([program, *command[1:]], capture_output=True, check=False).returncode  # noqa: S603
