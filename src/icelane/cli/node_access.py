"""Which node a command enters, with which token: from its arguments, a page's link, the environment, a configuration.

    where = node_access("blue-otter", NodeOptions(server="https://call.example.org", ...))
    async with entered(where, output) as signal: ...

What the node says no to ends in CommandError, with what mends it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ExitCode, Problem, usage
from icelane.errors import (
    CertificateRefusedError,
    ConfigurationError,
    LocalProtocolError,
    SignalError,
    SignalRefusedError,
    TlsHandshakeError,
    TransportClosedError,
)

if TYPE_CHECKING:
    from icelane import RTCConfiguration, SignalClient

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="ICELANE_URL",
        show_envvar=True,
        help="The node, https://HOST:PORT, or the link of a call page there. Default: that of the configuration here.",
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="ICELANE_TOKEN",
        show_envvar=True,
        help="A join token. Others on this machine see arguments; the environment they do not see. Default: that of"
        " the link, or one that the configuration here signs.",
    ),
]
AuthorityOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        "--authority",
        metavar="FILE",
        help="A PEM file with the authorities to trust for the node and its TURN servers, instead of this machine's.",
    ),
]

_PAGE: Final = re.compile(r"/r/([^/]+)/?")
_NO_SERVER: Final = "--server https://call.example.org, or ICELANE_URL; or -c icelane.toml of a node that is yours"
_UNKNOWN_AUTHORITY: Final = "--ca FILE with the authority of that node; for `icelane dev`: icelane certs trust"
_HOW_TO_ENTER: Final = "--token TOKEN, from `icelane token create --identity NAME --room '{room}'` on the node"
# A node that is only slow answers within a second or two.
_ENTER_TIMEOUT: Final = 10.0
# How long a token lives that is made here, for one run: the connection outlives it as long as it is resumed.
_LIFETIME: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What the command line says of the node."""

    server: str | None = None
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccess:
    """Where to, and as whom. `guest`: the token is the key of a link that several people have.

    `room` may be chosen later, among `rooms`.
    """

    url: str
    token: str | None = field(repr=False)
    room: str | None
    authority: Path | None
    guest: bool = False
    rooms: str = ""

    @property
    def shown(self) -> str:
        """The node without any secret, as it stands in a command for the other side."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path if parts.path != "/" else "", "", ""))


@dataclass(frozen=True, slots=True)
class Link:
    """The parts of a call page's link, `https://HOST/r/ROOM#token=TOKEN`, or of a node's URL.

    A one-time ticket is in `url`, where the node looks for it.
    """

    url: str
    room: str | None
    token: str | None = field(repr=False)


def parse_link(text: str) -> Link:
    """The token stands in the fragment, as `token=` or alone. Raises LocalProtocolError for no URL of a node."""
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http", "wss", "ws") or not parts.hostname:
        raise LocalProtocolError("the URL of a node begins with https://")
    page = _PAGE.fullmatch(parts.path)
    said = {name: values[0] for name, values in parse_qs(parts.fragment).items()}
    room = unquote(page[1]) if page else said.get("room")
    token = said.get("token") or (unquote(parts.fragment) if "=" not in parts.fragment else None) or None
    path, query = ("", "") if page else (parts.path, parts.query)
    if "ticket" in said:
        query = urlencode({"ticket": said["ticket"]})
    return Link(urlunsplit((parts.scheme, parts.netloc, path, query, "")), room, token)


def node_access(place: str | None, options: NodeOptions, *, identity: str, rooms: str = "") -> NodeAccess:
    """`place` is a room, a link, or None. Raises CommandError, ConfigurationError for a bad configuration.

    Where a configuration here signs the token, it is for `identity`, and where no room is named for `rooms`.
    """
    is_link = place is not None and "://" in place
    link = _link(place if is_link else options.server)
    room = (None if is_link else place) or (link.room if link else None)
    if link is None and options.file is None and not _is_configured(os.environ):
        link = _link(_invitation_here(identity, room or rooms))
    token = options.token or (link.token if link else None)
    url = link.url if link else None
    if url is None or (token is None and "ticket=" not in url):
        url, token = _from_configuration(url, token, options.file, identity, room or rooms)
    if url is None:
        raise usage("which node? none is named, and none runs here by `icelane dev`", _NO_SERVER)
    guest = link is not None and link.token is not None and options.token is None
    return NodeAccess(url=url, token=token, room=room, authority=options.authority, guest=guest, rooms=rooms)


def _invitation_here(identity: str, rooms: str) -> str | None:
    """A one-time link into the node that `icelane dev` runs for this user, if it does."""
    from icelane.cli.admin import Connection, development_socket

    socket = development_socket()
    if socket is None:
        return None
    request = {"command": "invite", "identity": identity, "rooms": [rooms or "*"], "validFor": _LIFETIME}
    with Connection.opened(socket, None) as connection:
        return str(connection.ask(request)["url"])


def _link(text: str | None) -> Link | None:
    if text is None:
        return None
    try:
        return parse_link(text)
    except (LocalProtocolError, ValueError) as error:
        raise usage(str(error), "--server https://call.example.org") from None


def _from_configuration(
    url: str | None, token: str | None, file: str | None, identity: str, rooms: str
) -> tuple[str | None, str | None]:
    """Both, from the configuration where there is one and where they are not known."""
    if file is None and not _is_configured(os.environ):
        return url, token
    require_extra("server")
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.crypto.provider import SystemEntropy
    from icelane.node.admission import token_signer
    from icelane.server.config import load_config
    from icelane.server.public_url import public_url
    from icelane.signaling.admission.join_token import create_token

    config = load_config(file)
    own = public_url(config)
    if url is not None and own is not None and urlsplit(url).netloc != urlsplit(own).netloc:
        return url, token  # another node: what is signed here is of no use there, and none of its business
    signer = token_signer(config)
    if token is None and signer is not None and own is not None:
        token = create_token(
            signer,
            identity=identity,
            rooms=(rooms,),
            valid_for=_LIFETIME,
            unix_time=SystemWallClock().unix_time(monotonic()),
            entropy=SystemEntropy(),
        )
    return url or own, token


def _is_configured(environ: Mapping[str, str]) -> bool:
    from icelane.server.config.load import SEARCHED
    from icelane.server.config.sources import BODY

    return BODY in environ or any(path.exists() for path in SEARCHED)


@asynccontextmanager
async def entered(
    access: NodeAccess, configuration: RTCConfiguration, *, name: str, meta: Mapping[str, object] | None = None
) -> AsyncIterator[SignalClient]:
    """In the room, until the end. Raises CommandError for what keeps us out or sends us away."""
    with refusals(access):
        signal = await _connected(access, configuration, name, meta)
        try:
            yield signal
        finally:
            await signal.close()


async def _connected(
    access: NodeAccess, configuration: RTCConfiguration, name: str, meta: Mapping[str, object] | None
) -> SignalClient:
    from icelane import SignalClient
    from icelane.crypto.provider import SystemEntropy

    data = {"guest": SystemEntropy().token(16).hex()} if access.guest else None
    own = None if access.authority is not None else development_authority()
    # The machine's own authorities first. That of `icelane dev` signs for private addresses alone, and names like them.
    for authority in (access.authority, *([own] if own is not None else [])):
        signal = SignalClient(
            access.url,
            token=access.token,
            room=access.room,
            meta=meta,
            data=data,
            name=name,
            configuration=configuration,
            authority=authority,
            http_proxy=configuration.http_proxy,
            timeout=_ENTER_TIMEOUT,
        )
        try:
            await signal.connect()
        except CertificateRefusedError:
            if authority == (own or access.authority):
                raise
        else:
            return signal
    raise AssertionError("the last one has returned or raised")


def development_authority() -> Path | None:
    """The certificate of the authority that `icelane dev` has made for this user, if there is one."""
    from icelane.node.development.places import PUBLIC_FILE, Places

    path = Places.here().authority / PUBLIC_FILE
    return path if path.is_file() else None


class refusals:  # noqa: N801  (used as a function is)
    """`with refusals(access):` what the node refuses within becomes CommandError."""

    def __init__(self, access: NodeAccess) -> None:
        self._access = access

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        problem = None if error is None else _explained(error, self._access)
        if problem is not None:
            code = ExitCode.USAGE if isinstance(error, ConfigurationError) else ExitCode.NETWORK
            raise CommandError(code, problem) from None


def _explained(error: BaseException, access: NodeAccess) -> Problem | None:
    where = access.shown
    match error:
        case SignalRefusedError() if access.token is None:
            return Problem(f"{where} asks for a token: {error.message or error.code}", _new_token(access))
        case SignalRefusedError():
            return Problem(f"{where} does not let us in: {error.message or error.code}", _new_token(access))
        case SignalError():
            return Problem(f"{_room_of(access)}: {error.message or error.code}", _room_mend(error, access))
        case CertificateRefusedError():
            return Problem(f"the certificate of the node is not trusted: {error}", _UNKNOWN_AUTHORITY)
        case TlsHandshakeError():
            return Problem(str(error), "name the port of an https:// listener of the node")
        case ConfigurationError():
            return Problem(str(error), "--ca FILE with PEM certificates")
        case TransportClosedError():
            return Problem(str(error), f"check that the node runs: curl -v {where}/healthz")
        case _:
            return None


def _room_of(access: NodeAccess) -> str:
    return f"room {access.room or access.rooms}"


def _new_token(access: NodeAccess) -> str:
    return _HOW_TO_ENTER.format(room=access.room or access.rooms)


def _room_mend(error: SignalError, access: NodeAccess) -> str | None:
    if error.code == "forbidden":
        return _new_token(access)
    if error.code == "room_locked":
        return f"icelane room lock {access.room} --open  on the node"
    return "try again" if error.retryable else None
