"""The option --proxy of the commands that reach TURN servers."""

from __future__ import annotations

from typing import Annotated

import typer

from icelane.cli.output import usage
from icelane.errors import MalformedError

ProxyOption = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        metavar="URL",
        envvar="ICELANE_PROXY",
        show_envvar=True,
        help="An HTTP proxy to TURN servers over TCP and TLS, http://USER:PASSWORD@HOST:PORT; environment: the one of"
        " HTTPS_PROXY or ALL_PROXY, but not for NO_PROXY.",
    ),
]


def checked_proxy(text: str | None) -> str | None:
    """The same, if it can be used."""
    from icelane.aio.proxy import ENVIRONMENT, parse_proxy

    if text is not None and text != ENVIRONMENT:
        try:
            parse_proxy(text)
        except MalformedError as error:
            raise usage(str(error), "--proxy http://proxy.example.org:3128") from None
    return text
