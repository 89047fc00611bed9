"""`icelane token`: join tokens for signaling, made and examined."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from icelane.cli.admin import SocketOption
from icelane.cli.extras import require_extra
from icelane.cli.invitation import Invited, link_for, open_link
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Output, Problem, speaking, usage
from icelane.errors import ConfigurationError

if TYPE_CHECKING:
    from icelane.server.config import Config
    from icelane.signaling.admission.join_token import TokenSigner
    from icelane.signaling.admission.json_web_token import TokenFault

EXAMPLE = "Example: `icelane token create --identity ann --room demo --valid-for 5m`"
VERIFY_EXAMPLE = "Example: `icelane token create --identity ann --room demo | icelane token verify -`"

app = typer.Typer(help="Make and examine join tokens.", epilog=EXAMPLE, no_args_is_help=True)

_VALID_FOR: Final = "10m"
# A session ends with what let it in, and a page that has a ticket cannot get another.
_OPEN_FOR: Final = "12h"
_HOW_TO_SIGN: Final = "`icelane keys new --for jwt` prints an entry for [[auth.jwt]]"
_MENDS: Final = {
    "token_expired": "make another: `icelane token create`",
    "token_not_yet_valid": "compare the clocks of the issuer and of this machine: `timedatectl`",
    "token_unknown_issuer": "its `iss` is that of no entry of [[auth.jwt]]",
    "token_wrong_algorithm": "its `alg` is not the one that stands beside the issuer's key",
    "token_unknown_key": "its `kid` is that of no key of the issuer",
    "token_bad_signature": "it was signed with another key, or changed on the way",
    "token_wrong_audience": 'its `aud` has to be the text "icelane", or what auth.jwt.audience says',
    "token_bad_claims": "docs/reference/tokens.md has what each claim may be",
}


@app.callback()
def _group() -> None:
    pass


@app.command(epilog=EXAMPLE)
def create(
    identity: Annotated[str, typer.Option(metavar="NAME", help="Who the token is for.")],
    room: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOM", help="A room to be in, or a beginning and `*`; as often as you like."),
    ] = None,
    valid_for: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="How long it is good: 30s, 10m, 2h; a day at most. Default: 10m, with --open 12h."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="What the others are shown.")] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GRANT",
            help="join, publish, subscribe, message or moderate; as often as you like. Default: all but moderate.",
        ),
    ] = None,
    meta: Annotated[str | None, typer.Option(metavar="JSON", help="An object that the others are shown.")] = None,
    relay_only: Annotated[
        bool, typer.Option("--relay-only", help="Conceal addresses: traffic goes through the relay alone.")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose entry of [[auth.jwt]] signs. Default: the first that can.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the call page in the browser, by a ticket that is good once.")
    ] = False,
    path: SocketOption = None,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a join token with a key of the configuration, and print it.

    Whoever has it is who it says until it expires.

    With --open the running server makes a ticket instead, which lets one page in within a minute. It is asked over its
    admin socket, or over HTTPS where it has none; the link is printed where there is no browser to open it.
    """
    with speaking(as_json) as output:
        require_extra("server")
        if open_page:
            wanted = _wanted(identity, room, valid_for or _OPEN_FOR, name, grant, meta, relay_only)
            open_link(output, *link_for(wanted, path, file, issuer))
            return
        from icelane.aio.system import SystemWallClock, monotonic
        from icelane.crypto.provider import SystemEntropy
        from icelane.errors import MalformedError
        from icelane.server.config import load_config
        from icelane.signaling.admission.join_token import create_token, parse_grants
        from icelane.signaling.admission.json_web_token import parse_token
        from icelane.signaling.admitted import IceTransportPolicy

        signer = _signer(load_config(file), issuer)
        try:
            grants = None if not grant else parse_grants(grant)
        except MalformedError as error:
            raise usage(f"--grant: {error}") from None
        text = create_token(
            signer,
            identity=identity,
            rooms=tuple(room or ()),
            valid_for=_seconds(valid_for or _VALID_FOR),
            unix_time=SystemWallClock().unix_time(monotonic()),
            entropy=SystemEntropy(),
            name=name,
            grants=grants,
            meta=_meta(meta),
            ice=IceTransportPolicy.RELAY if relay_only else None,
        )
        if not room:
            output.note("without --room it connects, and is in no room")
        if not as_json:
            print(text)
        output.result({"ok": True, "token": text, "claims": dict(parse_token(text).claims)})


@app.command(epilog=VERIFY_EXAMPLE)
def verify(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token; `-` reads it from standard input.")],
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Say whether the server would take a token, what it admits to, or why it is refused.

    Exits with 1 when it is refused. Hooks and lists are not asked. Other users of this machine see arguments; `-` keeps
    the token from them.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.server.config import load_config

        text = sys.stdin.read().strip() if token == "-" else token.strip()  # noqa: S105  (no password)
        claims = asyncio.run(_verified(load_config(file), text))
        _print(output, claims)
        output.result({"ok": True, "claims": claims})


def _wanted(
    identity: str,
    rooms: list[str] | None,
    valid_for: str,
    name: str | None,
    grants: list[str] | None,
    meta: str | None,
    relay_only: bool,
) -> Invited:
    return Invited(
        identity=identity,
        rooms=tuple(rooms or ()),
        valid_for=_seconds(valid_for),
        name=name,
        grants=tuple(grants) if grants else None,
        meta=_meta(meta),
        relay_only=relay_only,
    )


def _signer(config: Config, issuer: str | None) -> TokenSigner:
    from icelane.node.admission import token_signer

    found = token_signer(config, issuer)
    if found is None:
        whose = "no entry" if issuer is None else f"no entry of {issuer}"
        text = f"{whose} has a key to sign with: a secret, or private_key"
        raise CommandError(ExitCode.USAGE, Problem(text, _HOW_TO_SIGN, "auth.jwt"))
    return found


def _seconds(text: str) -> float:
    from icelane.server.config.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise usage(f"--valid-for: {error}") from None


def _meta(text: str | None) -> Mapping[str, object] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise usage('--meta is a JSON object, such as {"hat": "red"}')
    return found


async def _verified(config: Config, text: str) -> dict[str, Any]:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.errors import MalformedError
    from icelane.node.admission import trusted_issuers
    from icelane.signaling.admission.http_fetch import HttpFetcher
    from icelane.signaling.admission.join_token import parse_join_claims
    from icelane.signaling.admission.json_web_token import TokenFault, TokenRefusedError, TokenVerifier

    issuers = trusted_issuers(config)
    if not issuers:
        raise ConfigurationError("no issuer is trusted, so every token is refused", key="auth.jwt")
    fetcher = HttpFetcher()
    verifier = TokenVerifier(issuers, fetcher.get)
    try:
        claims = await verifier.verify(text, SystemWallClock().unix_time(monotonic()))
        parse_join_claims(claims)
    except TokenRefusedError as error:
        raise _refused(error.fault, str(error)) from None
    except MalformedError as error:
        raise _refused(TokenFault.BAD_CLAIMS, str(error)) from None
    finally:
        await verifier.close()
        await fetcher.close()
    return dict(claims)


def _refused(fault: TokenFault, text: str) -> CommandError:
    from icelane.signaling.admission.json_web_token import TokenFault

    code = ExitCode.NETWORK if fault is TokenFault.KEYS_UNAVAILABLE else ExitCode.CHECK_FAILED
    mend = (
        "check that auth.jwt.jwks_url answers: `curl -v URL`" if code is ExitCode.NETWORK else _MENDS.get(fault.value)
    )
    return CommandError(code, Problem(text, mend), document={"fault": fault.value})


def _print(output: Output, claims: Mapping[str, object]) -> None:
    output.line("the server takes it", "green")
    output.table(
        ("claim", "value"),
        [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in claims.items()],
    )
