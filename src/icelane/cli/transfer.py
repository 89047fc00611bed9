"""`icelane send` and `icelane receive`: a file from one machine to another by way of a node, with a code said aloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from icelane.cli.file_command import file_errors, progress, report, run
from icelane.cli.node_access import AuthorityOption, NodeAccess, NodeOptions, ServerOption, TokenOption
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Output, Problem, speaking, usage
from icelane.cli.proxy import ProxyOption, checked_proxy
from icelane.core.clock import Duration

if TYPE_CHECKING:
    from icelane import RTCConfiguration, SignalClient
    from icelane.cli.transfer_code import TransferCode

SEND_EXAMPLE = "Example: `icelane send report.pdf --server https://call.example.org`"
RECEIVE_EXAMPLE = "Example: `icelane receive 7-blue-otter --server https://call.example.org`"

RoomOption = Annotated[
    str | None,
    typer.Option(
        "--room",
        metavar="ROOM",
        help="Where the two meet: both say the same. Default: that of the link, or `send-` and the number of the code.",
    ),
]
RelayOption = Annotated[
    bool, typer.Option("--relay-only", help="Talk to the TURN servers alone, and show the peer no address of ours.")
]
InterfaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--interface", metavar="NAME", help="A network interface to use, and no others, such as eth0; may be repeated."
    ),
]

# After a wrong code, so that nobody's program guesses at once. Who mistyped reads the next one meanwhile.
_WRONG_CODE_PAUSE: Final[Duration] = 3.0
# The code of a connection that was cut is spent.
_GO_ON_HERE: Final = (
    "icelane receive CODE  with the new code that the sender now shows: what is there already is not sent twice"
)
_GO_ON_THERE: Final = "icelane send FILE  again: what is there already is not sent twice"
_ROOMS: Final = "send-*"
_CONNECTION_TIMEOUT: Final[Duration] = 60.0
_RELAY_MEND: Final = "check that the node has a TURN listener that both reach: icelane turn check"


def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to send.")],
    server: ServerOption = None,
    token: TokenOption = None,
    authority: AuthorityOption = None,
    room: RoomOption = None,
    relay_only: RelayOption = False,
    interface: InterfaceOption = None,
    proxy: ProxyOption = None,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds to wait for the receiver.")] = 3600.0,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a file to whoever types the code that this prints, and wait until it is there whole.

    The code is good once. It makes the encryption end to end: neither the node nor the relay can read along, or take
    the receiver's place, unless he guesses it. Who tries another code spends it; one more code is printed then, so that
    there are two guesses among 65,536. Where the connection is cut for good, another code is printed as well, and the
    receiver goes on from where he is.

    With --json the first line has the code, and another line each code after it; the last one is the result. Exits with
    4 when the two do not reach each other, and when the other side gives up.
    """
    with speaking(as_json) as output:
        from icelane.cli.file_transfer import safe_name

        if not file.is_file():
            raise usage(f"{file} is no file", "icelane send report.pdf")
        if safe_name(file.name) is None:
            raise usage(f"no receiver takes a file named {file.name!r}", "mv the file to a name of letters and digits")
        options = NodeOptions(server=server, token=token, authority=authority, file=config)
        access = _access(room, options, "sender")
        run(_send(output, file, access, _configuration(relay_only, interface, proxy), timeout))


def receive(
    code: Annotated[str, typer.Argument(metavar="CODE", help="What the sender's side shows, such as 7-blue-otter.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIRECTORY", help="Where the file goes.")] = Path(),
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file of the same name.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    authority: AuthorityOption = None,
    room: RoomOption = None,
    relay_only: RelayOption = False,
    interface: InterfaceOption = None,
    proxy: ProxyOption = None,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds to look for the sender.")] = 30.0,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Receive the file that somebody sends under a code, and check its hash before it gets its name.

    The sender chooses the name, without a path. A file that is there already stays, unless --replace is given. What an
    earlier run has received of the same file is not sent again.
    """
    with speaking(as_json) as output:
        from icelane.cli.transfer_code import parse_code
        from icelane.errors import MalformedError

        if not into.is_dir():
            raise usage(f"{into} is no directory", f"mkdir -p {into}")
        try:
            found = parse_code(code)
        except MalformedError as error:
            raise usage(str(error), "icelane receive 7-blue-otter") from None
        options = NodeOptions(server=server, token=token, authority=authority, file=config)
        access = _access(room, options, "receiver")
        run(_receive(output, found, into, replace, access, _configuration(relay_only, interface, proxy), timeout))


def _access(room: str | None, options: NodeOptions, side: str) -> NodeAccess:
    from icelane.cli.node_access import node_access
    from icelane.crypto.provider import SystemEntropy

    # Of his own: another session of the same identity would take this one's place.
    identity = f"{side}-{SystemEntropy().token(5).hex()}"
    return node_access(room, options, identity=identity, rooms=_ROOMS)


def _configuration(relay_only: bool, interfaces: list[str] | None, proxy: str | None) -> RTCConfiguration:
    from icelane import RTCConfiguration

    return RTCConfiguration(
        iceTransportPolicy="relay" if relay_only else "all",
        interfaces=interfaces or None,
        http_proxy=checked_proxy(proxy),
    )


async def _send(
    output: Output, file: Path, access: NodeAccess, configuration: RTCConfiguration, timeout: Duration
) -> None:
    import asyncio

    from icelane.cli.file_transfer import TransferCutError
    from icelane.cli.node_access import entered
    from icelane.cli.transfer_meeting import CodesLeft, WrongCodeError, take_number

    left = CodesLeft()
    async with entered(access, configuration, name="icelane send") as signal:
        while True:
            with _endings(_GO_ON_THERE):
                code = await take_number(signal, access.room)
                _show_code(output, code, access)
                try:
                    await _send_once(output, file, signal, code, timeout)
                    return
                except (TransferCutError, WrongCodeError) as error:
                    left.take_after(error)
                    output.note(f"{error}; another code follows")
                    is_wrong = isinstance(error, WrongCodeError)
                finally:
                    if access.room is None:
                        await signal.leave(code.room)
            if is_wrong:
                await asyncio.sleep(_WRONG_CODE_PAUSE)


async def _send_once(output: Output, file: Path, signal: SignalClient, code: TransferCode, timeout: Duration) -> None:
    import asyncio

    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import TransferCutError, send_file
    from icelane.cli.transfer_key import Side
    from icelane.cli.transfer_meeting import NobodyError, await_receiver, private_channel, while_reachable
    from icelane.errors import TransportClosedError

    try:
        async with asyncio.timeout(timeout):
            peer, key = await await_receiver(signal, code)
    except TimeoutError:
        raise NobodyError(f"nobody came within {timeout:g} s") from None
    async with private_channel(signal, peer, key, Side.SENDER, _CONNECTION_TIMEOUT) as (pc, channel):
        with progress(output) as show:
            started = monotonic()
            try:
                sent = await while_reachable(pc, send_file(channel, file, show))
            except TransportClosedError:
                raise TransferCutError("the other side does not answer any more") from None
            seconds = monotonic() - started
        report(output, pc, sent, seconds)


async def _receive(
    output: Output,
    code: TransferCode,
    into: Path,
    replace: bool,
    access: NodeAccess,
    configuration: RTCConfiguration,
    timeout: Duration,
) -> None:
    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import TransferCutError, receive_file
    from icelane.cli.node_access import entered
    from icelane.cli.transfer_key import Side
    from icelane.cli.transfer_meeting import find_sender, private_channel, while_reachable
    from icelane.errors import TransportClosedError

    async with entered(access, configuration, name="icelane receive") as signal:
        with _endings(_GO_ON_HERE):
            if access.room is None:
                await signal.join(code.room)
            peer, key = await find_sender(signal, code, timeout)
            async with private_channel(signal, peer, key, Side.RECEIVER, _CONNECTION_TIMEOUT) as (pc, channel):
                with progress(output) as show:
                    started = monotonic()
                    try:
                        work = receive_file(channel, into, show, replace=replace)
                        received = await while_reachable(pc, work)
                    except TransportClosedError:
                        raise TransferCutError("the other side does not answer any more") from None
                    seconds = monotonic() - started
                report(output, pc, received, seconds)


def _show_code(output: Output, code: TransferCode, access: NodeAccess) -> None:
    command = f"icelane receive {code} --server {access.shown}"
    if access.room is not None:
        command += f" --room {access.room}"
    output.result({"code": str(code), "receive": command})
    output.line(f"the code: {code}", "bold")
    output.line(f"there:    {command}")
    if access.guest or "ticket=" in access.url:
        output.note("there, --server takes the whole link of the call page, which lets in")


@contextmanager
def _endings(go_on: str) -> Iterator[None]:
    """What ends a meeting or a transfer becomes CommandError."""
    from icelane.cli.transfer_meeting import ImpostorError, NobodyError, WrongCodeError
    from icelane.errors import TransportClosedError

    try:
        with file_errors(go_on):
            yield
    except ImpostorError as error:
        raise _ended(str(error), "use another network, or another node") from None
    except (WrongCodeError, NobodyError) as error:
        raise _ended(str(error), "icelane send FILE  there, for another code") from None
    except TimeoutError:
        raise _ended(f"the two sides did not reach each other within {_CONNECTION_TIMEOUT:g} s", _RELAY_MEND) from None
    except TransportClosedError as error:
        raise _ended(f"the two sides cannot reach each other: {error}", _RELAY_MEND) from None


def _ended(text: str, mend: str) -> CommandError:
    return CommandError(ExitCode.NETWORK, Problem(text, mend))
