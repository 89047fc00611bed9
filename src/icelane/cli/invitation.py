"""`icelane token create --open`: a one-time ticket from the running server, and a browser on the page that it opens."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from icelane.cli.admin import Connection, development_socket
from icelane.cli.output import CommandError, ExitCode, Output, Problem, usage

if TYPE_CHECKING:
    from icelane.aio.resolver import Lookup
    from icelane.server.config import Config

_TIMEOUT: Final = 5.0
_NO_URL: Final = "the server has no page that could be opened: server.listen has no https:// listener"


@dataclass(frozen=True, kw_only=True)
class Invited:
    """Whom the ticket lets in, and for how many seconds the session may last."""

    identity: str
    rooms: tuple[str, ...]
    valid_for: float
    name: str | None = None
    grants: tuple[str, ...] | None = None
    meta: Mapping[str, object] | None = None
    relay_only: bool = False

    def request(self) -> dict[str, Any]:
        """For the admin socket."""
        said: dict[str, Any] = {"command": "invite", "identity": self.identity, "rooms": list(self.rooms)}
        said["validFor"] = self.valid_for
        optional = {"name": self.name, "grants": None if self.grants is None else list(self.grants), "meta": self.meta}
        said |= {key: value for key, value in optional.items() if value is not None}
        return said | ({"ice": {"policy": "relay"}} if self.relay_only else {})


def link_for(wanted: Invited, path: Path | None, file: str | None, issuer: str | None) -> tuple[str, int]:
    """The link and for how many seconds it is good. Raises CommandError and IcelaneError."""
    from icelane.server.config import load_config

    config = load_config(file)
    socket = path or config.admin.socket or (development_socket() if file is None else None)
    if socket is not None:
        with Connection.opened(socket, file) as connection:
            answer = connection.ask(wanted.request())
        return str(answer["url"]), int(answer["expiresIn"])
    return asyncio.run(over_https(wanted, config, issuer))


def open_link(output: Output, url: str, seconds: int) -> None:
    """Open it where somebody sees it, and print it where not. Other users of this machine see it for a moment, too, in
    the list of processes; it is good once, and for a minute."""
    opened = has_display(os.environ, sys.platform) and webbrowser.open(url)
    if opened:
        output.line("opened the call page in your browser", "green")
    else:
        output.line(url)
        output.note(f"no browser could be opened; the link is good once, within {seconds} s")
    output.result({"ok": True, "url": url, "expiresIn": seconds, "opened": opened})


def has_display(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser would have a screen: elsewhere one in the terminal would open, and see nothing of the call."""
    if platform in ("darwin", "win32"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


async def over_https(
    wanted: Invited,
    config: Config,
    issuer: str | None = None,
    *,
    authority: str | None = None,
    lookup: Lookup | None = None,
) -> tuple[str, int]:
    """`link_for` by way of the server's own HTTPS, with a join token that the configuration signs.

    `authority` is a PEM file with what to trust instead of this machine's authorities.
    """
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.crypto.provider import SystemEntropy
    from icelane.diagnostics.site import fetch, parse_site
    from icelane.node.admission import token_signer
    from icelane.node.invitation import invitation_url
    from icelane.server.public_url import public_url
    from icelane.signaling.admission.join_token import create_token, parse_grants
    from icelane.signaling.admitted import IceTransportPolicy

    url, signer = public_url(config), token_signer(config, issuer)
    if url is None:
        raise usage(_NO_URL, 'icelane dev; or [server] listen = ["https://ADDRESS:443"] in icelane.toml')
    if signer is None:
        raise usage("no entry of [[auth.jwt]] has a key to sign with", "icelane keys new --for jwt")
    token = create_token(
        signer,
        identity=wanted.identity,
        rooms=wanted.rooms,
        valid_for=wanted.valid_for,
        unix_time=SystemWallClock().unix_time(monotonic()),
        entropy=SystemEntropy(),
        name=wanted.name,
        grants=None if wanted.grants is None else parse_grants(wanted.grants),
        meta=wanted.meta,
        ice=IceTransportPolicy.RELAY if wanted.relay_only else None,
    )
    headers = {"authorization": f"Bearer {token}"}
    site = parse_site(url, authority=authority, lookup=lookup)
    try:
        answer = await fetch(site, "/v1/tickets", timeout=_TIMEOUT, method="POST", headers=headers)
    except OSError as error:
        reason = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
        mend = f"start it: icelane serve; or set [admin] socket and ask there; icelane doctor --url {url} says more"
        raise CommandError(ExitCode.NETWORK, Problem(f"{url} cannot be asked for a ticket: {reason}", mend)) from None
    try:
        document = json.loads(answer.body)
        ticket, seconds = str(document["ticket"]), int(document["expiresIn"])
    except (ValueError, KeyError, TypeError):
        status = answer.status
        why = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "no answer of ours"
        problem = Problem(f"{url} gives no ticket: {status} {why}", "icelane doctor")
        raise CommandError(ExitCode.CHECK_FAILED, problem) from None
    return invitation_url(url, wanted.rooms, ticket), seconds
