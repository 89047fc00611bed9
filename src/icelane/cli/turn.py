"""`icelane turn`: try a TURN server, and rule the one that runs here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from icelane.cli import admin, bench
from icelane.cli.output import ExitCode, JsonFlag, Output, speaking, usage
from icelane.cli.proxy import ProxyOption, checked_proxy
from icelane.errors import MalformedError

if TYPE_CHECKING:
    from icelane.diagnostics.relay_check import Login, Report, Step
    from icelane.stun.uri import TurnUri

_EXAMPLE = "Example: `icelane turn check 'turn:turn.example.org?transport=tcp' --user alice --password secret`"

app = typer.Typer(help="Try a TURN server, and rule the one that runs here.", epilog=_EXAMPLE, no_args_is_help=True)

# Long enough for the check, and clocks may differ a little.
_CREDENTIAL_SECONDS = 600


app.command(epilog=bench.EXAMPLE)(bench.bench)
app.command(epilog=admin.SESSIONS_EXAMPLE)(admin.sessions)
app.command(epilog=admin.USERS_EXAMPLE)(admin.users)
app.command(epilog=admin.KICK_EXAMPLE)(admin.kick)
app.command(epilog=admin.REVOKE_EXAMPLE)(admin.revoke)
app.command(epilog=admin.RELOAD_EXAMPLE)(admin.reload)
app.command(epilog=admin.DRAIN_EXAMPLE)(admin.drain)


@app.callback()
def _group() -> None:
    pass


@app.command(epilog=_EXAMPLE)
def check(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="turn:HOST[:PORT][?transport=udp|tcp] or turns:HOST[:PORT].")
    ],
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Who to authenticate as.")],
    password: Annotated[
        str | None,
        typer.Option(envvar="ICELANE_CHECK_PASSWORD", show_envvar=True, help="The password of a static user."),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="ICELANE_CHECK_SECRET",
            show_envvar=True,
            help="The shared secret of the server, to make an ephemeral credential with.",
        ),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="For turns: a PEM file with the authorities to trust instead of this machine's."
        ),
    ] = None,
    proxy: ProxyOption = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait in each step.")] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Allocate over the URL's transport, relay packets to ourselves through the server, and explain every error.

    Exits with 1 when the server answered and something is wrong, with 4 when it cannot be reached. Other users of this
    machine see arguments; the environment variables keep the password from them.
    """
    with speaking(as_json) as output:
        from icelane.core.net import Transport
        from icelane.diagnostics.relay_check import check_relay

        uri = _turn_uri(url)
        login, http_proxy = _login(user, password, secret), checked_proxy(proxy)
        if http_proxy is not None and not (uri.secure or uri.transport is Transport.TCP):
            output.note("UDP does not go through a proxy; ?transport=tcp and turns: do")
        report = asyncio.run(check_relay(uri, login, timeout, authority=authority, http_proxy=http_proxy))
        _print(output, report)
        output.result(_document(report))
        if not report.ok:
            raise typer.Exit(ExitCode.CHECK_FAILED)


def _turn_uri(url: str) -> TurnUri:
    from icelane.stun.uri import TurnUri, parse_uri

    try:
        uri = parse_uri(url)
    except MalformedError as error:
        raise usage(str(error), "icelane turn check 'turn:turn.example.org:3478?transport=udp' --user NAME") from None
    if not isinstance(uri, TurnUri):
        raise usage(f"{url} is a STUN server", f"icelane stun {url}")
    return uri


def _login(user: str, password: str | None, secret: str | None) -> Login:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.diagnostics.relay_check import Login, ephemeral

    if (password is None) == (secret is None):
        raise usage("give --password or --secret, and not both")
    if password is not None:
        return Login(username=user, password=password)
    assert secret is not None
    return ephemeral(user, secret, _CREDENTIAL_SECONDS, SystemWallClock().unix_time(monotonic()))


def _print(output: Output, report: Report) -> None:
    rows = [(_verdict(step), step.name, f"{step.seconds * 1000:.1f} ms", step.detail) for step in report.steps]
    output.table(("", "step", "time", "found"), rows)
    for step in report.steps:
        if step.mend:
            output.mend(step.mend)
    if report.ok:
        way = f", through the proxy {report.proxy}" if report.proxy else ""
        output.line(f"the server sees us at {report.mapped} and relays over {report.transport}{way}", "green")


def _verdict(step: Step) -> Text:
    return Text("ok", style="green") if step.ok else Text("FAILED", style="bold red")


def _document(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ok": report.ok,
        "steps": [
            {
                "name": step.name,
                "ok": step.ok,
                "ms": round(step.seconds * 1000, 3),
                "detail": step.detail,
                **({"mend": step.mend} if step.mend else {}),
            }
            for step in report.steps
        ],
    }
    facts = {
        "relayed": report.relayed,
        "mapped": report.mapped,
        "server": report.server,
        "proxy": report.proxy,
        "transport": report.transport,
        "lifetime": report.lifetime,
        "rttMs": None if report.round_trip is None else round(report.round_trip * 1000, 3),
    }
    return document | {name: value for name, value in facts.items() if value is not None}
