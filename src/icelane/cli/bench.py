"""`icelane turn bench`: how many users fit on a server."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from icelane.cli.output import ExitCode, JsonFlag, Output, speaking, usage
from icelane.errors import MalformedError

if TYPE_CHECKING:
    from icelane.cli.relay_bench import LoginSource, Result, Stage
    from icelane.stun.uri import TurnUri

EXAMPLE = "Example: `icelane turn bench turn:turn.example.org --user bench --secret SECRET --users 100`"

# Each pair of users is somebody else, as far as quotas are concerned.
_NAMES = 500
_CREDENTIAL_SECONDS = 3600


def bench(
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
            help="The shared secret of the server; each pair of users then gets a name of its own.",
        ),
    ] = None,
    users: Annotated[int, typer.Option(min=2, max=1000, help="Users at most.")] = 64,
    kbits: Annotated[int, typer.Option(min=8, max=10_000, help="What each sends and receives, in kbit/s.")] = 300,
    seconds: Annotated[float, typer.Option(min=0.2, max=30, help="How long each number of users is tried.")] = 3.0,
    authority: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="For turns: a PEM file with the authorities to trust instead of this machine's."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Find out how many users fit: more and more of them send through the server, until calls would suffer.

    A user is one allocation that sends and receives at the given rate. Users double until 1 % of the packets are lost,
    until the 99th percentile of the round trip exceeds 200 ms, until the server refuses, or until --users; two minutes
    at most. Use it on a server of your own that nobody needs meanwhile, and from another computer than the server's:
    both need a processor. With --password everybody is one user, so turn.quota.allocations_per_user is the limit.
    """
    with speaking(as_json) as output:
        from icelane.cli.relay_bench import Plan, bench_relay

        uri = _turn_uri(url)
        plan = Plan(users=users - users % 2, kbits=kbits, stage_seconds=seconds, authority=authority)
        result = asyncio.run(bench_relay(uri, _logins(user, password, secret), plan))
        _print(output, result)
        output.result(_document(result))
        if not result.fit:
            raise typer.Exit(ExitCode.CHECK_FAILED)


def _turn_uri(url: str) -> TurnUri:
    from icelane.stun.uri import TurnUri, parse_uri

    try:
        uri = parse_uri(url)
    except MalformedError as error:
        raise usage(str(error), "icelane turn bench turn:turn.example.org --user NAME --secret SECRET") from None
    if not isinstance(uri, TurnUri):
        raise usage(f"{url} is a STUN server, and relays nothing")
    return uri


def _logins(user: str, password: str | None, secret: str | None) -> LoginSource:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.cli.relay_bench import LoginSource
    from icelane.diagnostics.relay_check import Login, ephemeral

    if (password is None) == (secret is None):
        raise usage("give --password or --secret, and not both")
    if password is not None:
        return LoginSource(Login(username=user, password=password))
    assert secret is not None
    now = SystemWallClock().unix_time(monotonic())
    return LoginSource(*(ephemeral(f"{user}-{number}", secret, _CREDENTIAL_SECONDS, now) for number in range(_NAMES)))


def _print(output: Output, result: Result) -> None:
    columns = ("", "users", "kbit/s each", "packets", "lost", "round trip p50", "p99", "our processor")
    output.table(columns, [_row(stage) for stage in result.stages])
    output.line(result.conclusion, "green" if result.fit else "bold red")


def _row(stage: Stage) -> tuple[str | Text, ...]:
    verdict = Text("ok", style="green") if stage.limit is None else Text(stage.limit.value, style="bold red")
    times = (f"{time * 1000:.1f} ms" if math.isfinite(time) else "-" for time in (stage.p50, stage.p99))
    share = f"{stage.processor:.0%}"
    return (verdict, str(stage.users), str(stage.kbits), str(stage.sent), f"{stage.loss:.2%}", *times, share)


def _document(result: Result) -> dict[str, Any]:
    return {
        "ok": result.fit > 0,
        "fit": result.fit,
        "limit": result.limit.value,
        "detail": result.detail,
        "conclusion": result.conclusion,
        "stages": [
            {
                "users": stage.users,
                "kbitsEach": stage.kbits,
                "sent": stage.sent,
                "received": stage.received,
                "loss": round(stage.loss, 5),
                "rttMs": {"p50": _milliseconds(stage.p50), "p99": _milliseconds(stage.p99)},
                "processor": round(stage.processor, 3),
                "ok": stage.limit is None,
            }
            for stage in result.stages
        ],
    }


def _milliseconds(time: float) -> float | None:
    return round(time * 1000, 3) if math.isfinite(time) else None
