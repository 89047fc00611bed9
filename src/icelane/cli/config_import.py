"""`icelane config import`: the configuration of another server as one of ours."""

from __future__ import annotations

import base64
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ExitCode, JsonFlag, Output, Problem, speaking
from icelane.cli.owned_file import write_for_owner

if TYPE_CHECKING:
    from icelane.compat.coturn import Setting, Translation
    from icelane.errors import ConfigurationError

EXAMPLE = "Example: `icelane config import coturn /etc/turnserver.conf --output /etc/icelane/icelane.toml`"

_SECRET_BYTES: Final = 32
_STYLES: Final = {"set": "green", "without": "yellow"}

app = typer.Typer(help="Take over the configuration of another server.", epilog=EXAMPLE, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Without it typer would take the one command for the whole group."""


@app.command(epilog=EXAMPLE)
def coturn(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The turnserver.conf to read.")],
    output_file: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to write what it says.")] = Path(
        "icelane.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write an icelane.toml that does what coturn's turnserver.conf says, readable for you alone.

    Each setting says which line it comes from; users and secrets are kept, so that credentials stay good. Every line
    has an answer: it is taken over, or needs no setting, or has no counterpart, and then what that means is said here
    and in the file. A line that coturn does not know is an error, and nothing is written. Options that coturn is given
    on its command line belong into its file first, each in a line of its own.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.compat.coturn import Surroundings, TurnserverError, parse_turnserver, translate
        from icelane.compat.coturn.toml import toml
        from icelane.server.config.sources import read_file
        from icelane.server.machine import Machine

        machine = Machine.here()
        surroundings = Surroundings(addresses=machine.preferred, folder=file.absolute().parent)
        text = read_file(file)
        try:
            translation = translate(parse_turnserver(text), surroundings)
        except TurnserverError as error:
            wrong = [Problem(f"{file}, {problem}", file=str(file)) for problem in error.problems]
            raise CommandError(ExitCode.USAGE, *wrong) from None
        secret = None if translation.lets_anybody_in else _secret()
        written = toml(translation, file.name, fresh_secret=secret)
        _judge(written, translation, file, machine.preferred)
        write_for_owner(output_file, written, replace=force, mend="--force replaces it; --output names another place")
        _report(output, translation, output_file, fresh=secret is not None)


def _secret() -> str:
    from icelane.crypto.provider import SystemEntropy

    return base64.b64encode(SystemEntropy().token(_SECRET_BYTES)).decode()


def _judge(written: str, translation: Translation, source: Path, preferred: tuple[str, ...]) -> None:
    """Raises CommandError for what icelane refuses, by the line that it comes from."""
    from icelane.errors import ConfigurationError
    from icelane.server.config import parse_config, problems_of
    from icelane.server.machine import Machine

    # Where this runs need not be where it will serve: any machine with these addresses, and with one at least.
    machine = Machine(addresses=("127.0.0.1", "::1", *preferred), preferred=preferred or ("127.0.0.1",))
    try:
        parse_config(tomllib.loads(written), machine=machine)
    except ConfigurationError as error:
        problems = [_traced(problem, translation, source) for problem in problems_of(error)]
        raise CommandError(ExitCode.USAGE, *problems) from None


def _traced(problem: ConfigurationError, translation: Translation, source: Path) -> Problem:
    found = next((one for one in translation.settings if _covers(one.key, problem.key)), None)
    if found is None or not found.lines:
        return Problem(f"{problem.key}: {problem.message}", key=problem.key, file=str(source))
    mend = None
    if found.key == "turn.secrets":
        mend = "openssl rand -base64 32 prints one: put it there, into what makes the credentials, and try again"
    return Problem(f"{source}, {found.source}: {problem.message}", mend, key=problem.key, file=str(source))


def _covers(key: str, named: str) -> bool:
    """Whether an error at `named`, such as `turn.secrets[0].secret`, is about the setting `key`."""
    return named == key or named.startswith((f"{key}.", f"{key}["))


def _report(output: Output, translation: Translation, target: Path, *, fresh: bool) -> None:
    from icelane.compat.coturn import Fate

    words = {Fate.SET: "taken over", Fate.NEEDLESS: "needs no setting", Fate.WITHOUT: "no counterpart"}
    rows = [
        (str(one.line), one.option, Text(words[one.fate], style=_STYLES.get(one.fate.value, "")), one.text)
        for one in sorted(translation.remarks, key=lambda one: (list(words).index(one.fate), one.line))
    ]
    output.table(("Line", "Option", "What became of it", ""), rows)
    for difference in translation.differences:
        output.note(difference)
    if fresh:
        output.note("by the file nobody could authenticate, so [[turn.secrets]] has a fresh secret")
    quoted = shlex.quote(str(target))
    output.line(f"wrote {target}", "green")
    output.line(f"check it  icelane config check -c {quoted}")
    output.line(f"run it    icelane serve -c {quoted}")
    output.result(
        {
            "ok": True,
            "file": str(target),
            "freshSecret": fresh,
            "settings": [dict(_setting(one)) for one in translation.settings],
            "remarks": [
                {"line": one.line, "option": one.option, "fate": one.fate.value, "text": one.text}
                for one in translation.remarks
            ],
            "differences": list(translation.differences),
        }
    )


def _setting(setting: Setting) -> Iterator[tuple[str, object]]:
    """Without its value, which may be a secret; it stands in the file."""
    yield "key", setting.key
    yield "lines", [line.number for line in setting.lines]
