"""`icelane peer`: a file from one machine to another, directly or over a relay, without a server of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icelane.cli.file_command import file_errors, progress, report, run
from icelane.cli.output import JsonFlag, Output, speaking, usage
from icelane.cli.proxy import ProxyOption, checked_proxy
from icelane.core.clock import Duration

if TYPE_CHECKING:
    from icelane import RTCConfiguration
    from icelane.cli.peer_signaling import Signaling

SEND_EXAMPLE = "Example: `icelane peer send report.pdf --signal /mnt/shared`"
RECEIVE_EXAMPLE = "Example: `icelane peer receive --into Downloads --signal /mnt/shared`"

app = typer.Typer(
    help="Send a file to another machine, encrypted from end to end: `receive` there, `send` here.\n\nNo server is"
    " needed where the two machines reach each other; elsewhere --ice names one that both use.",
    epilog=SEND_EXAMPLE,
    no_args_is_help=True,
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
    typer.Option(
        envvar="ICELANE_PEER_PASSWORD",
        show_envvar=True,
        help="The password of that user. Others on this machine see arguments; the environment they do not see.",
    ),
]
AuthorityOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="For turns: a PEM file with the authorities to trust instead of this machine's."),
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
TimeoutOption = Annotated[
    float, typer.Option(min=1, max=3600, help="Seconds to wait for the connection, once both sides know of each other.")
]

# How long a person may take to carry the answer to the sender. From then on it is a matter of seconds.
ANSWER_TIMEOUT = 300.0


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
    interface: InterfaceOption = None,
    proxy: ProxyOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Send a file, and wait until the other side has it whole.

    The two sides meet in a directory that both reach, or each gives the other a line of text. Exits with 4 when they do
    not reach each other, and when the other side gives up.
    """
    with speaking(as_json) as output:
        from icelane.cli.file_transfer import safe_name

        if not file.is_file():
            raise usage(f"{file} is no file", "icelane peer send report.pdf")
        if safe_name(file.name) is None:
            raise usage(f"no receiver takes a file named {file.name!r}", "mv the file to a name of letters and digits")
        configuration = _configuration(ice, user, password, authority, relay_only, interface, proxy, timeout)
        run(_send(output, file, _signaling(output, signal), configuration, timeout))


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
    interface: InterfaceOption = None,
    proxy: ProxyOption = None,
    timeout: TimeoutOption = ANSWER_TIMEOUT,
    as_json: JsonFlag = False,
) -> None:
    """Receive one file, and check its hash before it gets its name.

    The sender chooses the name, without a path. A file that is there already stays, unless --replace is given. What an
    earlier run has received of the same file is not sent again.
    """
    with speaking(as_json) as output:
        if not into.is_dir():
            raise usage(f"{into} is no directory", f"mkdir -p {into}")
        configuration = _configuration(ice, user, password, authority, relay_only, interface, proxy, timeout)
        run(_receive(output, into, replace, _signaling(output, signal), configuration, timeout))


def _configuration(
    ice: list[str] | None,
    user: str | None,
    password: str | None,
    authority: Path | None,
    relay_only: bool,
    interfaces: list[str] | None,
    proxy: str | None,
    timeout: Duration,
) -> RTCConfiguration:
    from icelane import RTCConfiguration, RTCIceServer
    from icelane.errors import InvalidAccessError, SyntaxError_

    servers = [RTCIceServer(urls=url, username=user, credential=password) for url in ice or ()]
    if relay_only and not any(url.startswith("turn") for url in ice or ()):
        raise usage(
            "--relay-only needs a TURN server", "icelane peer send FILE --relay-only --ice turn:HOST --user NAME"
        )
    if authority is not None and not authority.is_file():
        raise usage(f"{authority} is no file", "--authority authority.pem")
    configuration = RTCConfiguration(
        iceServers=servers,
        iceTransportPolicy="relay" if relay_only else "all",
        authority=authority,
        interfaces=interfaces or None,
        http_proxy=checked_proxy(proxy),
        patience=timeout + 1.0,  # whoever is too late hears it from --timeout
    )
    try:
        configuration.check()
    except InvalidAccessError as error:
        given = bool(user) and password is not None
        text = str(error) if given else "a TURN server needs --user and --password"
        raise usage(text, "ICELANE_PEER_PASSWORD=... icelane peer ... --user NAME") from None
    except SyntaxError_ as error:
        raise usage(str(error), "--ice turn:turn.example.org?transport=udp") from None
    return configuration


def _signaling(output: Output, directory: Path | None) -> Signaling:
    from icelane.cli.peer_signaling import CopyAndPaste, SharedDirectory

    if directory is None:
        return CopyAndPaste(output)
    if not directory.is_dir():
        raise usage(f"{directory} is no directory", f"mkdir -p {directory}")
    return SharedDirectory(directory, output)


async def _send(
    output: Output, file: Path, signaling: Signaling, configuration: RTCConfiguration, timeout: Duration
) -> None:
    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import send_file
    from icelane.cli.peer_session import offer_channel, open_call, while_connected

    async with open_call(configuration, output) as pc:
        channel = await offer_channel(pc, signaling, timeout)
        with progress(output) as show, file_errors():
            started = monotonic()
            sent = await while_connected(pc, send_file(channel, file, show))
            seconds = monotonic() - started
        report(output, pc, sent, seconds)


async def _receive(
    output: Output,
    into: Path,
    replace: bool,
    signaling: Signaling,
    configuration: RTCConfiguration,
    timeout: Duration,
) -> None:
    from icelane.aio.system import monotonic
    from icelane.cli.file_transfer import receive_file
    from icelane.cli.peer_session import answer_channel, open_call, while_connected

    async with open_call(configuration, output) as pc:
        channel = await answer_channel(pc, signaling, timeout)
        with progress(output) as show, file_errors():
            started = monotonic()
            received = await while_connected(pc, receive_file(channel, into, show, replace=replace))
            seconds = monotonic() - started
        report(output, pc, received, seconds)
