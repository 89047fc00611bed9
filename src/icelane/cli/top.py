"""`icelane top`: who is in which room of the running node, and what its relay carries, as it changes."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.live import Live
from rich.text import Text

from icelane.cli.admin import Connection, SocketOption
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Output, speaking
from icelane.cli.top_view import Order, Snapshot, screen, snapshot

EXAMPLE = "Example: `icelane top --once --sort total`"

_NO_ROOMS: Final[Mapping[str, Any]] = {"rooms": [], "omitted": 0}
_KEYS: Final = {"r": Order.RATE, "t": Order.TOTAL, "u": Order.USER, "e": Order.EXPIRES}
_QUIT: Final = "q"
_HELP: Final = "sort by r rate, t total, u user, e end; q ends"


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    sort: Annotated[Order, typer.Option(help="How allocations are sorted: rate, total, user or expires.")] = Order.RATE,
    interval: Annotated[
        float, typer.Option(min=0.2, max=60, help="Seconds between two looks; rates are over that time.")
    ] = 1.0,
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show live rooms, who is in them and by which path, and the allocations of the relay with their rates.

    Asks the node that runs here over its admin socket. The path is what the relay knows: for whom it carries nothing,
    he speaks to the others directly, or not at all. On a terminal the keys r, t, u and e sort, q ends. With --json it
    is one document for each look.
    """
    with speaking(as_json) as output, Connection.opened(path, file) as connection:
        if once:
            view = next(_looks(connection, interval, _Sorted(sort)))
            output.result(view.document())
            if not as_json:
                output.console.print(screen(view, title="icelane"), soft_wrap=False)
        elif output.terminal and not as_json:
            _watch(output, connection, interval, _Sorted(sort))
        else:
            for view in _looks(connection, interval, _Sorted(sort)):
                output.result(view.document())
                if not as_json:
                    output.console.print(screen(view, title="icelane"), soft_wrap=False)


class _Sorted:
    """How it is to be sorted, which a key may change, and whether a key has ended it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.over = False

    def wait(self, seconds: float) -> bool:
        """Wait; True when nobody pressed anything."""
        time.sleep(seconds)
        return True


class _Keys(_Sorted):
    """The same with a keyboard."""

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until a key is pressed."""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return True
        # Not from sys.stdin, which would keep a second key where select does not see it.
        key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace").lower()
        self.over = key in (_QUIT, "")
        self.order = _KEYS.get(key, self.order)
        return False


def _looks(connection: Connection, interval: float, sorting: _Sorted) -> Iterator[Snapshot]:
    """One look after another; a key shows the last one at once in another order."""
    before = after = connection.ask({"command": "sessions"})
    rooms: Mapping[str, Any] = _NO_ROOMS
    while not sorting.over:
        if sorting.wait(interval):
            before, after = after, connection.ask({"command": "sessions"})
            rooms = _rooms(connection)
        if after is not before:
            yield snapshot(rooms, after, before, sorting.order)


def _rooms(connection: Connection) -> Mapping[str, Any]:
    """None where the node has no signaling."""
    try:
        return connection.ask({"command": "room-list", "peers": True})
    except CommandError as error:
        if error.code is not ExitCode.CHECK_FAILED:
            raise
        return _NO_ROOMS


def _watch(output: Output, connection: Connection, interval: float, sorting: _Sorted) -> None:
    console = output.console
    with _keyboard() as listens, Live(Text("looking…"), console=console, auto_refresh=False, screen=True) as live:
        keys = _Keys(sorting.order) if listens else sorting
        for view in _looks(connection, interval, keys):
            title = f"icelane {time.strftime('%H:%M:%S')}"
            shown = screen(view, title=title, height=console.height - 1)
            foot = Text(f"\n{_HELP}" if listens else "\nCtrl-C ends", style="dim")
            live.update(_below(shown, foot), refresh=True)


def _below(shown: Any, foot: Text) -> Any:
    from rich.console import Group

    return Group(shown, foot)


@contextmanager
def _keyboard() -> Iterator[bool]:
    """Keys come as they are pressed, and not on the screen; False where there is no keyboard."""
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError, termios.error):
        yield False
        return
    try:
        tty.setcbreak(descriptor)
        yield True
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
