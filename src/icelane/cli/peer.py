"""`icelane peer`: a file from one machine to another, directly or over a relay, without a server of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from icelane.cli.output import JsonFlag, Output, speaking, usage

if TYPE_CHECKING:
    from icelane import RTCConfiguration, RTCPeerConnection
    from icelane.cli.file_transfer import Transferred
    from icelane.cli.peer_signaling import Signaling

T = TypeVar("T")

SEND_EXAMPLE = "Example: `icelane peer send report.pdf --signal /mnt/shared`"
RECEIVE_EXAMPLE = "Example: `icelane peer receive --into Downloads --signal /mnt/shared`"

app = typer.Typer(
    help="Send a file to another machine, encrypted from end to end.", epilog=SEND_EXAMPLE, no_args_is_help=True
)

SignalOption = Annotated[
    Path | None,
    typer.Option(
        "--signal",
        metavar="DIRECTORY",
        help="A directory that both sides reach, to meet in. Without it, each pastes a line of the other.",
    ),
]
IceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ice", metavar="URL", help="A STUN or TURN server, such as turn:HOST?transport=udp; may be repeated."
    ),
]
UserOption = Annotated[str | None, typer.Option("--user", metavar="NAME", help="The user of the TURN servers.")]
PasswordOption = Annotated[
    str | None,
    typer.Option(envvar="ICELANE_PEER_PASSWORD", show_envvar=True, help="The password of that user."),
]
AuthorityOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="For turns: a PEM file with the authorities to trust instead of this machine's."),
]
RelayOption = Annotated[bool, typer.Option("--relay-only", help="Show the peer no address of this machine.")]
TimeoutOption = Annotated[float, typer.Option(min=1, max=3600, help="Seconds to wait for the connection.")]


@app.callback()
def _group() -> None:
    pass


@app.command(epilog=SEND_EXAMPLE)
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to send.")],
    signal: SignalOption = None,
    ice: IceOption = None,
    user: UserOption = None,
    password: PasswordOption = None,
    authority: AuthorityOption = None,
    relay_only: RelayOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Send a file, and wait until the other side has it whole."""
    with speaking(as_json) as output:
        if not file.is_file():
            raise usage(f"{file} is no file", "icelane peer send report.pdf")
        configuration = _configuration(ice, user, password, authority, relay_only)
        asyncio.run(_send(output, file, _signaling(output, signal), configuration, timeout))


@app.command(epilog=RECEIVE_EXAMPLE)
def receive(
    into: Annotated[Path, typer.Option("--into", metavar="DIRECTORY", help="Where the file goes.")] = Path(),
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file of the same name.")] = False,
    signal: SignalOption = None,
    ice: IceOption = None,
    user: UserOption = None,
    password: PasswordOption = None,
    authority: AuthorityOption = None,
    relay_only: RelayOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Receive one file, and check its hash before it gets its name."""
    with speaking(as_json) as output:
        if not into.is_dir():
            raise usage(f"{into} is no directory", f"mkdir -p {into}")
        configuration = _configuration(ice, user, password, authority, relay_only)
        asyncio.run(_receive(output, into, replace, _signaling(output, signal), configuration, timeout))


def _configuration(
    ice: list[str] | None, user: str | None, password: str | None, authority: Path | None, relay_only: bool
) -> RTCConfiguration:
    from icelane import RTCConfiguration, RTCIceServer
    from icelane.errors import InvalidAccessError, SyntaxError_

    servers = [RTCIceServer(urls=url, username=user, credential=password) for url in ice or ()]
    if relay_only and not servers:
        raise usage(
            "--relay-only needs a TURN server", "icelane peer send FILE --relay-only --ice turn:HOST --user NAME"
        )
    configuration = RTCConfiguration(
        iceServers=servers, iceTransportPolicy="relay" if relay_only else "all", authority=authority
    )
    try:
        configuration.check()
    except InvalidAccessError:
        raise usage("a TURN server needs --user and --password", "ICELANE_PEER_PASSWORD=... icelane peer ...") from None
    except SyntaxError_ as error:
        raise usage(str(error), "--ice turn:turn.example.org?transport=udp") from None
    return configuration


def _signaling(output: Output, directory: Path | None) -> Signaling:
    from icelane.cli.peer_signaling import CopyAndPaste, SharedDirectory

    if directory is None:
        return CopyAndPaste(output)
    if not directory.is_dir():
        raise usage(f"{directory} is no directory", f"mkdir -p {directory}")
    return SharedDirectory(directory)


async def _send(
    output: Output, file: Path, signaling: Signaling, configuration: RTCConfiguration, timeout: float
) -> None:
    from icelane import RTCPeerConnection
    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import send_file

    async with RTCPeerConnection(configuration) as pc:
        channel = pc.createDataChannel("icelane-file")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        offer = pc.localDescription
        if offer is None:
            raise AssertionError("an offer was set")
        await signaling.send(offer)
        await pc.setRemoteDescription(await signaling.receive("answer"))
        await _within(timeout, channel.opened())
        with _progress(output, file.name) as show:
            started = monotonic()
            sent = await send_file(channel, file, show)
            seconds = monotonic() - started
        _report(output, pc, sent, seconds)


async def _receive(
    output: Output, into: Path, replace: bool, signaling: Signaling, configuration: RTCConfiguration, timeout: float
) -> None:
    from icelane import RTCDataChannel, RTCPeerConnection
    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import receive_file

    async with RTCPeerConnection(configuration) as pc:
        announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        pc.on("datachannel", announced.set_result)
        await pc.setRemoteDescription(await signaling.receive("offer"))
        await pc.setLocalDescription()
        await pc.gathering_complete()
        answer = pc.localDescription
        if answer is None:
            raise AssertionError("an answer was set")
        await signaling.send(answer)
        channel = await _within(timeout, announced)
        with _progress(output, "receiving") as show:
            started = monotonic()
            received = await receive_file(channel, into, show, replace=replace)
            seconds = monotonic() - started
        _report(output, pc, received, seconds)


async def _within(timeout: float, awaitable: Awaitable[T]) -> T:
    from icelane.errors import TransactionTimeoutError

    try:
        async with asyncio.timeout(timeout):
            return await awaitable
    except TimeoutError:
        raise TransactionTimeoutError(f"the two sides did not reach each other within {timeout:g} s") from None


@contextmanager
def _progress(output: Output, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.errors, disable=output.as_json or not output.errors.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _report(output: Output, pc: RTCPeerConnection, done: Transferred, seconds: float) -> None:
    report = pc.security_report()
    rate = done.size * 8 / max(seconds, 1e-6) / 1e6
    output.table(
        ("", ""),
        [
            ("file", str(done.path)),
            ("size", f"{done.size:,} bytes in {seconds:.1f} s, {rate:.1f} Mbit/s"),
            ("sha256", done.sha256),
            *report.rows(),
        ],
    )
    output.result(
        {
            "ok": True,
            "file": str(done.path),
            "size": done.size,
            "sha256": done.sha256,
            "seconds": round(seconds, 3),
            "mbitPerSecond": round(rate, 3),
            "security": report.as_json(),
        }
    )
