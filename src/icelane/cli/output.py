"""How commands speak: tables and colour on a terminal, plain lines in a pipe, one JSON document with --json.

Errors name their cause and, where there is one, the command that mends it.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from icelane.errors import (
    CertificateRefusedError,
    ConfigurationError,
    IcelaneError,
    IntegrityError,
    LocalProtocolError,
    ProxyError,
    RemoteProtocolError,
    ResolutionError,
    StunError,
    TlsHandshakeError,
    TransactionTimeoutError,
    TransportClosedError,
)


class ExitCode(enum.IntEnum):
    """What a command ends with; the package docstring says what each means."""

    WELL = 0
    CHECK_FAILED = 1
    USAGE = 2
    MISSING = 3
    NETWORK = 4


_PROXY_MENDS: Final = {  # by what the proxy answered; other refusals as 403
    None: "check host and port of the proxy: `curl -v -x PROXY https://example.org` asks it the same way",
    401: "give the right ones: --proxy http://USER:PASSWORD@HOST:PORT, or ICELANE_PROXY",
    403: "many proxies allow port 443 alone: run the server's tls:// listener there, or have the port allowed",
    405: "ask for a proxy that allows CONNECT, as HTTPS needs it",
    407: "--proxy http://USER:PASSWORD@HOST:PORT, or the same in ICELANE_PROXY",
    501: "ask for a proxy that allows CONNECT, as HTTPS needs it",
    502: "check the server's name and port: the proxy looks the name up",
    503: "check the server's name and port: the proxy looks the name up",
    504: "check that the server runs, and that the proxy's firewall lets it out to that port",
}

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="Configuration file. Without it: ICELANE_CONFIG_BODY, ./icelane.toml, /etc/icelane/icelane.toml.",
    ),
]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, and the command or change that mends it."""

    message: str
    mend: str | None = None
    key: str | None = None
    file: str | None = None

    def as_json(self) -> dict[str, str]:
        """The fields that have a value."""
        fields = {"message": self.message, "mend": self.mend, "key": self.key, "file": self.file}
        return {name: value for name, value in fields.items() if value is not None}


class CommandError(Exception):
    """Ends a command with an exit code and what is wrong. `document` is what --json says beside it."""

    def __init__(self, code: ExitCode, *problems: Problem, document: Mapping[str, Any] | None = None) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.code = code
        self.problems = problems
        self.document = document or {}


class Output:
    """Where one command prints. With `as_json` only `result` reaches standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(soft_wrap=True, highlight=False)
        self.errors = Console(stderr=True, soft_wrap=True, highlight=False)

    @property
    def terminal(self) -> bool:
        """Whether a person looks at standard output."""
        return self.console.is_terminal

    def line(self, text: str, style: str | None = None) -> None:
        """One line of text; nothing with --json."""
        if not self.as_json:
            self.console.print(Text(text, style=style or ""))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """A table on a terminal, tab-separated lines in a pipe; nothing with --json. Empty columns: no header."""
        if self.as_json:
            return
        if not self.terminal:
            for row in rows:
                print("\t".join(str(cell) for cell in row), flush=True)  # rich would make spaces of the tabs
            return
        table = Table(header_style="bold", box=None, pad_edge=False, show_header=any(columns))
        for name in columns:
            table.add_column(name, overflow="fold")  # a fingerprint that is cut off compares with nothing
        for row in rows:
            table.add_row(*[cell if isinstance(cell, Text) else Text(cell) for cell in row])
        self.console.print(table, soft_wrap=False)

    def result(self, document: Mapping[str, Any]) -> None:
        """The JSON document of --json; nothing without it."""
        if self.as_json:
            print(json.dumps(document), flush=True)

    def note(self, text: str) -> None:
        """A remark beside the result, on standard error; nothing with --json."""
        if not self.as_json:
            self.errors.print(f"[yellow]note:[/yellow] {escape(text)}")

    def mend(self, text: str) -> None:
        """The command or change that mends what was just said, on standard error; nothing with --json."""
        if not self.as_json:
            self.errors.print(f"  [green]mend:[/green] {escape(text)}")

    def failed(self, error: CommandError) -> None:
        """Say why the command ends."""
        if self.as_json:
            failure = {"ok": False, "exit": int(error.code), "problems": _as_json(error.problems)}
            print(json.dumps({**error.document, **failure}), flush=True)
            return
        for problem in error.problems:
            self.errors.print(f"[bold red]error:[/bold red] {escape(problem.message)}")
            if problem.mend:
                self.mend(problem.mend)


@contextmanager
def speaking(as_json: bool) -> Iterator[Output]:
    """The body of a command: what it raises on purpose becomes text or JSON and an exit code."""
    output = Output(as_json)
    try:
        yield output
    except CommandError as error:
        failure = error
    except IcelaneError as error:
        failure = explained(error)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(ExitCode.WELL) from None
    except OSError as error:
        failure = CommandError(ExitCode.NETWORK, Problem(error.strerror or str(error)))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    else:
        return
    output.failed(failure)
    raise typer.Exit(failure.code)


def usage(message: str, mend: str | None = None) -> CommandError:
    """The command line is wrong."""
    return CommandError(ExitCode.USAGE, Problem(message, mend))


def explained(error: IcelaneError) -> CommandError:
    """An error of the library as the end of a command."""
    if isinstance(error, ConfigurationError):
        return CommandError(ExitCode.USAGE, *_configuration_problems(error))
    if isinstance(error, LocalProtocolError):
        return CommandError(ExitCode.USAGE, Problem(str(error)))
    return CommandError(ExitCode.NETWORK, Problem(str(error) or type(error).__name__, _network_mend(error)))


def _configuration_problems(error: ConfigurationError) -> list[Problem]:
    single: Sequence[ConfigurationError] = getattr(error, "problems", None) or (error,)
    return [
        Problem(
            str(one), "icelane config docs" if one.message.startswith("unknown") else None, one.key or None, one.file
        )
        for one in single
    ]


def _network_mend(error: IcelaneError) -> str | None:
    match error:
        case ResolutionError():
            return "check the spelling; `getent ahosts NAME` asks the same resolver"
        case TransactionTimeoutError():
            return "open the port for this transport in the firewall of the server, and check that the server runs"
        case CertificateRefusedError():
            return "ask by the name that the certificate is for, or renew it, with its intermediates in the file"
        case TlsHandshakeError():
            return (
                "name the port of a tls:// listener; a port without TLS is reached by turn:HOST:PORT?transport=tcp, or"
                " by stun:HOST:PORT with --tcp"
            )
        case IntegrityError():
            return "read the server's log: an answer that is not signed with the password may be anybody's"
        case ProxyError():
            return _PROXY_MENDS.get(error.status, _PROXY_MENDS[403])
        case TransportClosedError():
            return "check the port and that the server listens on this transport: `ss -lntu` on the server"
        case StunError():
            return None
        case RemoteProtocolError():
            return "something answers there, and it is not a STUN server"
        case _:
            return None


def _as_json(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [problem.as_json() for problem in problems]
