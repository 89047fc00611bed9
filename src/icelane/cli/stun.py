"""`icelane stun`: the address that a STUN server sees us at, and what the NAT in between does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from icelane.cli.output import CommandError, ExitCode, JsonFlag, Output, Problem, speaking, usage
from icelane.errors import IcelaneError, MalformedError, TransactionTimeoutError

if TYPE_CHECKING:
    from icelane.stun.behavior import BehaviorDiscovered
    from icelane.stun.uri import StunUri, TurnUri

EXAMPLE = "Example: `icelane stun stun:turn.example.org:3478`"

# Whether TCP passes where UDP does not is asked beside the question, so it may take less of a person's time.
_TCP_TIMEOUT = 3.0


def stun(
    url: Annotated[str, typer.Argument(metavar="URL", help="stun:HOST, stuns:HOST, or a turn: URL.")],
    tcp: Annotated[bool, typer.Option("--tcp", help="Ask over TCP instead of UDP.")] = False,
    behavior: Annotated[
        bool,
        typer.Option(
            "--behavior",
            help="Find out what the NAT between us and the server does: its mapping, its filtering, and what they mean"
            " for a call. The server needs two addresses (RFC 5780).",
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait in all.")] = 10.0,
    as_json: JsonFlag = False,
) -> None:
    """Ask a STUN server which address it sees us at, and how long the answer took."""
    with speaking(as_json) as output:
        uri = _parsed(url)
        if tcp and uri.secure:
            raise usage(f"{url} is asked over TLS; --tcp is for stun:", f"icelane stun {url}")
        if behavior:
            _find_out(output, url, uri, tcp, timeout)
        else:
            _ask(output, uri, tcp, timeout)


def _parsed(url: str) -> StunUri | TurnUri:
    from icelane.stun.uri import parse_uri

    try:
        return parse_uri(url)
    except MalformedError as error:
        raise usage(str(error), "icelane stun stun:turn.example.org:3478") from None


def _ask(output: Output, uri: StunUri | TurnUri, tcp: bool, timeout: float) -> None:
    from icelane.aio.stun_client import binding
    from icelane.core.net import Transport

    transport = Transport.TCP if tcp else None
    result = asyncio.run(binding(uri, transport=transport, timeout=timeout))
    nat = result.mapped.host != result.local.host
    output.table(
        ("", ""),
        [
            ("our address", str(result.mapped)),
            ("behind NAT", f"yes, from {result.local}" if nat else "no"),
            ("server", f"{result.transport.value} {result.server}"),
            ("round trip", f"{result.rtt * 1000:.1f} ms"),
            ("requests", str(result.requests)),
        ],
    )
    output.result(
        {
            "ok": True,
            "address": result.mapped.host,
            "port": result.mapped.port,
            "local": str(result.local),
            "nat": nat,
            "server": str(result.server),
            "transport": result.transport.value,
            "rttMs": round(result.rtt * 1000, 3),
            "requests": result.requests,
        }
    )


def _find_out(output: Output, url: str, uri: StunUri | TurnUri, tcp: bool, timeout: float) -> None:
    from icelane.aio.nat_behavior import MIN_TIMEOUT, nat_behavior
    from icelane.core.net import Transport

    if tcp or uri.secure or getattr(uri, "transport", None) is Transport.TCP:
        raise usage("--behavior asks over UDP, which is what a NAT filters", f"icelane stun stun:{uri.host} --behavior")
    if timeout < MIN_TIMEOUT:
        raise usage(f"--behavior waits for answers that a NAT may keep back; give it {MIN_TIMEOUT:g} s or more")
    try:
        found = asyncio.run(nat_behavior(uri, timeout=timeout))
    except TransactionTimeoutError as error:
        _say_what_is_blocked(url, uri, error)
    _show(output, found)


def _show(output: Output, found: BehaviorDiscovered) -> None:
    from icelane.cli.nat_meaning import (
        filtering_words,
        hairpinning_words,
        mapping_words,
        meaning,
        reach,
        what_is_missing,
    )

    missing = what_is_missing(found)
    output.table(
        ("", ""),
        [
            ("our address", str(found.mapped)),
            ("behind NAT", f"yes, from {found.local}" if found.translated else "no"),
            ("server", f"udp {found.server}" + (f" and {found.other}" if found.other else "")),
            ("mapping", mapping_words(found)),
            ("filtering", filtering_words(found)),
            ("hairpinning", hairpinning_words(found)),
            ("for a call", meaning(found)),
        ],
    )
    document = {
        "address": found.mapped.host,
        "port": found.mapped.port,
        "local": str(found.local),
        "nat": found.translated,
        "server": str(found.server),
        "other": str(found.other) if found.other else None,
        "transport": "udp",
        "mapping": found.mapping.value if found.mapping else None,
        "filtering": found.filtering.value if found.filtering else None,
        "hairpinning": found.hairpinning,
        "direct": reach(found).value,
        "meaning": meaning(found),
    }
    if missing is not None:
        mend = "ask a server that has two addresses; icelane serve is one with stun.behavior_addresses"
        if found.other is not None:
            mend = "open all four of the server's UDP ports in its firewall: two addresses with two ports each"
        raise CommandError(ExitCode.CHECK_FAILED, Problem(missing, mend), document=document)
    output.result({"ok": True, **document})


def _say_what_is_blocked(url: str, uri: StunUri | TurnUri, error: TransactionTimeoutError) -> NoReturn:
    """UDP came to nothing: if the server answers over TCP, it is there, and UDP is what does not pass."""
    from icelane.aio.stun_client import binding
    from icelane.core.net import Transport

    try:
        answered = asyncio.run(binding(uri, transport=Transport.TCP, timeout=_TCP_TIMEOUT))
    except IcelaneError:
        raise error from None
    problem = Problem(
        f"UDP is blocked between us and {answered.server}: it answers over TCP, and not over UDP",
        "calls need a relay that is reached over TCP or TLS from here: give programs a turns: URL, best on port 443."
        f" If others reach {url} over UDP no more than we do, its own firewall is what blocks",
    )
    raise CommandError(ExitCode.NETWORK, problem, document={"udp": "blocked"})
