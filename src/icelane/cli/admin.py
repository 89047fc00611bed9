"""`icelane turn sessions`, `users`, `kick`, `revoke`, `reload`, `drain`: commands to the server that runs here."""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Output, Problem, speaking, usage

# A reload reads files and proves a certificate; anything else is answered at once.
_TIMEOUT: Final = 30.0
_LARGEST_ANSWER: Final = 1 << 24
# Rates are the difference of two answers; a longer wait makes them calmer and the command slower.
_SAMPLE_SECONDS: Final = 1.0

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--socket", metavar="PATH", help="Ask here. Default: admin.socket of the configuration, then `icelane dev`."
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second until Ctrl-C.")]

RowsOf = Callable[[Mapping[str, Any]], list[list[str]]]
"""The lines of a table that one session, or one user, takes."""


def sessions(
    user: Annotated[str | None, typer.Option("--user", metavar="USER_ID", help="Only this user's.")] = None,
    routes: Annotated[
        bool, typer.Option("--routes", help="Each channel and permission below its session, with its counters.")
    ] = False,
    watch: Watch = False,
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the live allocations, with bytes and rates each way.

    `rateFromClient` and `rateToClient` are bytes per second over the last second.
    """
    request: dict[str, Any] = {"command": "sessions", "routes": routes} | ({"user": user} if user is not None else {})
    columns = ("session", "client", "user", "from client", "to client", "sent", "received", "dropped", "expires")
    _show(request, "sessions", "session", columns, _session_rows, watch, path, file, as_json)


def users(watch: Watch = False, path: SocketOption = None, file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Show who has live allocations, and how much they relay."""
    columns = ("user", "sessions", "from client", "to client", "sent", "received", "dropped")
    _show({"command": "users"}, "users", "user", columns, _user_rows, watch, path, file, as_json)


def kick(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="As `icelane turn sessions` calls it, or the client's address.")
    ],
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """End one session. Its user may come again; `revoke` keeps him out."""
    _do({"command": "kick", "session": session}, "ended {ended} session(s)", path, file, as_json)


def revoke(
    name: Annotated[
        str | None, typer.Argument(metavar="USERNAME|USER_ID", help="One credential by its user name, or a user.")
    ] = None,
    kid: Annotated[str | None, typer.Option("--kid", help="Everything that the secret KID signed.")] = None,
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """End the sessions of a credential, a user or a secret now, and refuse it until it has expired.

    A user and a secret are refused until the server is restarted. What has to outlast a restart, or to be forgiven
    without one, belongs into turn.revoked_file.
    """
    with speaking(as_json):
        if (name is None) == (kid is None):
            raise usage("give a user name, a user or --kid KID", "icelane turn revoke carol")
    request = {"command": "revoke"} | ({"kid": kid} if kid is not None else {"name": name})
    _do(request, "revoked; {ended} session(s) ended", path, file, as_json)


def reload(path: SocketOption = None, file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Let the server read its configuration and certificates again; no session is lost by it.

    Exits with 2 and says why when the configuration cannot be used: then the old one still counts. So it does for keys
    that need a restart, which are named.
    """
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        document = connection.ask({"command": "reload"})
        changed = ", ".join(document["changed"]) or "nothing"
        output.line(f"changed: {changed}", "green")
        if document["ended"]:
            output.line(f"ended {document['ended']} session(s)")
        if document["restart"]:
            output.note(f"needs a restart: {', '.join(document['restart'])}")
        if not document["certificate"]:
            mend = "icelane config check; the log has it as tls.certificate_rejected"
            problem = Problem("the TLS certificate cannot be used; the old one stays", mend)
            raise CommandError(ExitCode.CHECK_FAILED, problem, document=document)
        output.result(document)


def drain(path: SocketOption = None, file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Let the server take no new client, and end when its last session is over. A second time ends it at once."""
    _do({"command": "drain"}, "draining; {allocations} session(s) left", path, file, as_json)


SESSIONS_EXAMPLE = "Example: `icelane turn sessions --watch`"
USERS_EXAMPLE = "Example: `icelane turn users --json`"
KICK_EXAMPLE = "Example: `icelane turn kick 203.0.113.7:50123`"
REVOKE_EXAMPLE = "Example: `icelane turn revoke carol`"
RELOAD_EXAMPLE = "Example: `icelane turn reload -c /etc/icelane/icelane.toml`"
DRAIN_EXAMPLE = "Example: `icelane turn drain`"


def _do(request: Mapping[str, Any], text: str, path: Path | None, file: str | None, as_json: bool) -> None:
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        document = connection.ask(request)
        output.line(text.format(**document), "green")
        output.result(document)


def _show(
    request: Mapping[str, Any],
    name: str,
    key: str,
    columns: Sequence[str],
    rows: RowsOf,
    watch: bool,
    path: Path | None,
    file: str | None,
    as_json: bool,
) -> None:
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        documents = _sampled(connection, request, name, key)
        if not watch:
            document = next(documents)
            output.table(columns, [line for one in document[name] for line in rows(one)])
            output.result(document)
            if document["omitted"]:
                output.note(f"{document['omitted']} more are left out")
        elif output.terminal and not as_json:
            _watch(output, documents, name, columns, rows)
        else:
            for document in documents:
                output.table(columns, [line for one in document[name] for line in rows(one)])
                output.result(document)


def _sampled(connection: Connection, request: Mapping[str, Any], name: str, key: str) -> Iterator[dict[str, Any]]:
    """Answers a second apart, each row with its rates since the one before."""
    before = connection.ask(request)
    while True:
        time.sleep(_SAMPLE_SECONDS)
        document = connection.ask(request)
        _add_rates(document, before, name, key)
        yield document
        before = document


def _add_rates(document: dict[str, Any], before: Mapping[str, Any], name: str, key: str) -> None:
    seconds = max(1e-3, document["at"] - before["at"])
    earlier: Mapping[str, Any] = {one[key]: one for one in before[name]}
    for one in document[name]:
        for rate, count in (("rateFromClient", "bytesFromClient"), ("rateToClient", "bytesToClient")):
            # A session that was not there before has relayed all it has since.
            difference = one[count] - earlier.get(one[key], {count: 0})[count]
            one[rate] = round(max(0, difference) / seconds, 1)


def _watch(
    output: Output, documents: Iterator[dict[str, Any]], name: str, columns: Sequence[str], rows: RowsOf
) -> None:
    with Live(console=output.console, auto_refresh=False, screen=True) as live:
        for document in documents:
            table = Table(*columns, header_style="bold", box=None, pad_edge=False)
            for one in document[name]:
                for line in rows(one):
                    table.add_row(*line)
            left_out = [Text(f"{document['omitted']} more", style="yellow")] if document["omitted"] else []
            live.update(Group(Text(f"{len(document[name])} {name}", style="bold"), table, *left_out), refresh=True)


def _session_rows(one: Mapping[str, Any]) -> list[list[str]]:
    client = f"{one['transport']} {one['client']}"
    rows = [[one["session"], client, one["user"], *_traffic(one), f"{one['expiresIn']:.0f} s"]]
    for route in one.get("routes", ()):
        totals = [_size(route[count]) for count in ("bytesFromClient", "bytesToClient")]
        name, peer = route.get("channel", "Send, Data"), route.get("peer") or route["permission"]
        rows.append([f"  {name}", f"  to {peer}", "", "", "", *totals, "", ""])
    if one.get("routesOmitted"):
        rows.append([f"  {one['routesOmitted']} more", *[""] * 8])
    return rows


def _user_rows(one: Mapping[str, Any]) -> list[list[str]]:
    return [[one["user"], str(one["sessions"]), *_traffic(one)]]


def _traffic(one: Mapping[str, Any]) -> list[str]:
    rates = [f"{_size(one[rate])}/s" for rate in ("rateFromClient", "rateToClient")]
    totals = [_size(one[count]) for count in ("bytesFromClient", "bytesToClient")]
    return [*rates, *totals, str(one["dropped"])]


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


class Connection:
    """A conversation with the server; what goes wrong is a CommandError."""

    def __init__(self, stream: BufferedRWPair, start: str) -> None:
        self._stream = stream
        self._start = start

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None, file: str | None) -> Iterator[Connection]:
        """Connect to `path`, or to where the configuration says, or to the `icelane dev` that runs."""
        start = f"icelane serve{f' -c {shlex.quote(file)}' if file is not None else ''}"
        path = path or _configured(file)
        if not hasattr(socket, "AF_UNIX"):
            problem = Problem("this system has no Unix sockets", "run this command where the server runs")
            raise CommandError(ExitCode.MISSING, problem)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(_TIMEOUT)
            try:
                stream.connect(str(path))
            except PermissionError:
                problem = Problem(f"{path} is not yours", "run this command as the user that the server runs as")
                raise CommandError(ExitCode.NETWORK, problem) from None
            except OSError as error:
                reason = error.strerror or str(error)
                problem = Problem(f"no server answers on {path}: {reason}", start)
                raise CommandError(ExitCode.NETWORK, problem) from None
            with stream.makefile("rwb") as lines:
                yield cls(lines, start)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer, when it could do what was asked."""
        try:
            self._stream.write(json.dumps(request).encode() + b"\n")
            self._stream.flush()
            line = self._stream.readline(_LARGEST_ANSWER)
            document: Any = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            document = None
        if not isinstance(document, dict):
            raise CommandError(ExitCode.NETWORK, Problem("the server has ended", self._start))
        if not document.get("ok"):
            raise _refused(document)
        return document


def _refused(document: Mapping[str, Any]) -> CommandError:
    problems = document.get("problems")
    if not problems:
        return CommandError(ExitCode.CHECK_FAILED, Problem(str(document.get("error"))))
    found = []
    for one in problems:
        place = " in ".join(part for part in (one["key"], one["file"]) if part)
        found.append(Problem(f"{place}: {one['message']}", None, one["key"] or None, one["file"]))
    first = Problem(f"{document.get('error')}: {found[0].message}", "icelane config check", found[0].key, found[0].file)
    return CommandError(ExitCode.USAGE, first, *found[1:])


def _configured(file: str | None) -> Path:
    require_extra("server")
    from icelane.server.config import load_config

    path = load_config(file).admin.socket
    if path is None and file is None:
        path = development_socket()
    if path is None:
        raise usage(
            "admin.socket is not set, so the server takes no commands",
            'add to icelane.toml, and restart: [admin] socket = "/run/icelane/admin.sock"; or start `icelane dev`',
        )
    return path


def development_socket() -> Path | None:
    """That of the `icelane dev` which was started last; None where none runs."""
    from icelane.node.development.places import Places

    return next(iter(Places.here().sockets()), None)
