"""`icelane stun`: the address that a STUN server sees us at."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from icelane.cli.output import JsonFlag, Output, speaking, usage
from icelane.errors import MalformedError

EXAMPLE = "Example: `icelane stun stun:turn.example.org:3478`"


def stun(
    url: Annotated[str, typer.Argument(metavar="URL", help="stun:HOST, stuns:HOST, or a turn: URL.")],
    tcp: Annotated[bool, typer.Option("--tcp", help="Ask over TCP instead of UDP.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait in all.")] = 10.0,
    as_json: JsonFlag = False,
) -> None:
    """Ask a STUN server which address it sees us at, and how long the answer took."""
    with speaking(as_json) as output:
        _ask(output, url, tcp, timeout)


def _ask(output: Output, url: str, tcp: bool, timeout: float) -> None:
    from icelane.aio.stun_client import binding
    from icelane.core.net import Transport
    from icelane.stun.uri import parse_uri

    try:
        uri = parse_uri(url)
    except MalformedError as error:
        raise usage(str(error), "icelane stun stun:turn.example.org:3478") from None
    if tcp and uri.secure:
        raise usage(f"{url} is asked over TLS; --tcp is for stun:", f"icelane stun {url}")
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
