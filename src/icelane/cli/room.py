"""`icelane room`: see who is in which room of the server that runs here, and do something about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from icelane.cli.admin import Connection, SocketOption
from icelane.cli.output import ConfigFile, JsonFlag, speaking

app = typer.Typer(
    help="See who is in which room of the server that runs here, and do something about it.",
    epilog="Example: `icelane room list`",
    no_args_is_help=True,
)

RoomName = Annotated[str, typer.Argument(metavar="ROOM", help="As `icelane room list` calls it.")]


@app.callback()
def _group() -> None:
    pass


@app.command("list", epilog="Example: `icelane room list --json`")
def list_(path: SocketOption = None, file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Show every room, with how many are in it."""
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        document = connection.ask({"command": "room-list"})
        rows = [[one["room"], str(one["members"]), _settings(one)] for one in document["rooms"]]
        output.table(("room", "members", "settings"), rows)
        output.result(document)
        if document["omitted"]:
            output.note(f"{document['omitted']} more are left out")


@app.command(epilog="Example: `icelane room show demo`")
def show(room: RoomName, path: SocketOption = None, file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Show who is in a room, and with which program."""
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        document = connection.ask({"command": "room-show", "room": room})
        output.line(f"{document['room']}: {document['members']} member(s){_aside(document)}")
        rows = [[one["peer"], one["identity"], one.get("name", ""), _client(one)] for one in document["peers"]]
        output.table(("peer", "identity", "name", "client"), rows)
        output.result(document)


@app.command(epilog="Example: `icelane room kick demo p_W8u2hs9aLq`")
def kick(
    room: RoomName,
    peer: Annotated[str, typer.Argument(metavar="PEER", help="As `icelane room show` calls it.")],
    reason: Annotated[str, typer.Option(help="What the peer is told.")] = "",
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Send somebody out of a room. He may come again, unless the room is locked or a list keeps him out."""
    request = {"command": "room-kick", "room": room, "peer": peer, "reason": reason}
    _do(request, f"{peer} is out of {room}", path, file, as_json)


@app.command(epilog="Example: `icelane room lock demo`")
def lock(
    room: RoomName,
    open_again: Annotated[bool, typer.Option("--open", help="Let everybody in again.")] = False,
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Let nobody into a room any more but its moderators; whoever is in it stays."""
    request = {"command": "room-lock", "room": room, "locked": not open_again}
    _do(request, f"{room} is {'open' if open_again else 'locked'}", path, file, as_json)


def _do(request: dict[str, Any], text: str, path: Path | None, file: str | None, as_json: bool) -> None:
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        document = connection.ask(request)
        output.line(text, "green")
        output.result(document)


def _client(one: dict[str, Any]) -> str:
    """The program that somebody says he uses. Whatever it says, it moves no cursor."""
    said = one.get("client", {})
    words = f"{said.get('name', '')} {said.get('version', '')}".strip()
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _settings(one: dict[str, Any]) -> str:
    words = [word for key, word in (("locked", "locked"), ("relayOnly", "relay only")) if one[key]]
    return ", ".join([*words, *([f"at most {one['maxPeers']}"] if "maxPeers" in one else [])])


def _aside(one: dict[str, Any]) -> str:
    settings = _settings(one)
    return f", {settings}" if settings else ""
