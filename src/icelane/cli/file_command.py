"""What the commands that send and receive files share: how they run and end, show progress, and report."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.core.clock import Duration

if TYPE_CHECKING:
    from icelane import RTCPeerConnection
    from icelane.cli.file_transfer import Progress as ShowProgress
    from icelane.cli.file_transfer import Transferred

_GO_ON = "the same again: what is there already is not sent twice"


def run(command: Coroutine[Any, Any, None]) -> None:
    """Run it, and let SIGTERM end it as Ctrl-C does: the other side is told, and no file is left behind."""
    terminated = False

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None, "this is one"

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        with suppress(NotImplementedError):  # on Windows, where nobody sends it
            asyncio.get_running_loop().add_signal_handler(SIGTERM, terminate)
        await command

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        if not terminated:
            raise
        raise typer.Exit(128 + SIGTERM) from None


@contextmanager
def file_errors(go_on: str = _GO_ON) -> Iterator[None]:
    """What ends a transfer becomes CommandError; `go_on` says what to do when the connection was cut."""
    from icelane.cli.file_transfer import TargetError, TransferCutError, TransferError

    try:
        yield
    except TransferCutError as error:
        raise CommandError(ExitCode.NETWORK, Problem(str(error), go_on)) from None
    except TargetError as error:
        raise CommandError(ExitCode.USAGE, Problem(str(error), error.mend)) from None
    except TransferError as error:
        raise CommandError(ExitCode.NETWORK, Problem(str(error))) from None


@contextmanager
def progress(output: Output) -> Iterator[ShowProgress]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.errors, disable=output.as_json or not output.errors.is_terminal) as bar:
        task = bar.add_task("connected", total=None)
        yield lambda name, done, total: bar.update(task, description=name, completed=done, total=total)


def report(output: Output, pc: RTCPeerConnection, done: Transferred, seconds: Duration) -> None:
    """The end of a command: what was carried, and how it was protected."""
    security = pc.security_report()
    rate = (done.size - done.resumed_at) * 8 / max(seconds, 1e-6) / 1e6
    output.table(
        ("", ""),
        [
            ("file", str(done.path)),
            ("size", f"{done.size:,} bytes in {seconds:.1f} s, {rate:.1f} Mbit/s"),
            *([("went on from", f"{done.resumed_at:,} bytes that were there already")] if done.resumed_at else []),
            ("sha256", done.sha256),
            *security.rows(),
        ],
    )
    output.result(
        {
            "ok": True,
            "file": str(done.path),
            "size": done.size,
            "resumedAt": done.resumed_at,
            "sha256": done.sha256,
            "seconds": round(seconds, 3),
            "mbitPerSecond": round(rate, 3),
            "security": security.as_json(),
        }
    )
