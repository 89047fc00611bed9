"""`icelane keys`: fresh keys as the configuration wants them, and a new one in place of an old one."""

from __future__ import annotations

import base64
import enum
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ExitCode, JsonFlag, Output, Problem, speaking, usage

if TYPE_CHECKING:
    from icelane.cli.key_rotation import Rotated

EXAMPLE = "Example: `icelane keys new --for api-key --name backend`"
ROTATE_EXAMPLE = "Example: `icelane keys rotate --for turn -c icelane.toml --write`"

app = typer.Typer(help="Make fresh keys, and rotate those of a configuration.", epilog=EXAMPLE, no_args_is_help=True)

_SECRET_BYTES: Final = 32
_OWNER_ONLY: Final = 0o600


class Purpose(enum.StrEnum):
    """What a key is for."""

    JWT = "jwt"
    API_KEY = "api-key"
    TURN = "turn"
    HOOKS = "hooks"


class Signature(enum.StrEnum):
    """With what tokens are signed."""

    HS256 = "HS256"
    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class Rotatable(enum.StrEnum):
    """Of what several live side by side."""

    TURN = "turn"
    JWT = "jwt"


@app.callback()
def _group() -> None:
    pass


@app.command(epilog=EXAMPLE)
def new(
    purpose: Annotated[
        Purpose,
        typer.Option(
            "--for",
            help="jwt: signs join tokens; api-key: of a program of yours; turn: signs TURN credentials;"
            " hooks: signs webhooks.",
        ),
    ] = Purpose.JWT,
    algorithm: Annotated[Signature, typer.Option(help="For jwt: with what tokens are signed.")] = Signature.HS256,
    issuer: Annotated[str, typer.Option(metavar="NAME", help="For jwt: who signs.")] = "icelane",
    name: Annotated[str, typer.Option(metavar="NAME", help="For api-key: whose it is.")] = "backend",
    kid: Annotated[
        str | None, typer.Option(metavar="KID", help="The public name of the key. Default: today's date.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PREFIX", help="For a pair of keys: PREFIX.pem and PREFIX-private.pem are written."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key, and print what goes into the configuration. An API key is shown once: the server keeps its hash."""
    with speaking(as_json) as output:
        require_extra("server")
        chosen = _kid(kid)
        match purpose:
            case Purpose.API_KEY:
                _new_api_key(output, name)
            case Purpose.HOOKS:
                secret = _secret()
                _show(output, f"[hooks]\nsecret = {json.dumps(secret)}", {"secret": secret})
            case Purpose.TURN:
                secret = _secret()
                text = f"[[turn.secrets]]\nkid = {json.dumps(chosen)}\nsecret = {json.dumps(secret)}"
                _show(output, text, {"kid": chosen, "secret": secret})
            case Purpose.JWT:
                _new_signing_key(output, algorithm, issuer, chosen, out)


@app.command(epilog=ROTATE_EXAMPLE)
def rotate(
    purpose: Annotated[Rotatable, typer.Option("--for", help="turn: [[turn.secrets]]; jwt: [[auth.jwt]].")],
    file: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            metavar="FILE",
            help="Configuration file. Default: ./icelane.toml, /etc/icelane/icelane.toml.",
        ),
    ] = None,
    kid: Annotated[
        str | None, typer.Option(metavar="KID", help="The public name of the new key. Default: today's date.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(metavar="NAME", help="For jwt: whose key. Default: the first entry's issuer.")
    ] = None,
    drop: Annotated[str | None, typer.Option(metavar="KID", help="Take this old key out, and put none in.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Change the file. Without it: show what would change.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a fresh secret before the old one: from the next reload on it signs, and both are accepted.

    Wait until the last thing that the old one signed has expired, a day at most, and take it out with --drop. The rest
    of the file, comments too, stays as it is.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.cli.key_rotation import dropped, rotated

        path = _configuration(file)
        text = _read(path)
        table = ("turn", "secrets") if purpose is Rotatable.TURN else ("auth", "jwt")
        try:
            if drop is not None:
                change = dropped(text, table, drop, issuer)
            else:
                change = rotated(text, table, _kid(kid), _secret(), issuer)
        except ValueError as error:
            raise CommandError(ExitCode.USAGE, Problem(str(error), file=str(path))) from None
        if write:
            _replace(path, change.text)
        _say(output, path, change, write)


def _say(output: Output, path: Path, change: Rotated, written: bool) -> None:
    """What was done; without having written, the lines to put in or take out by hand."""
    output.result(
        {
            "ok": True,
            "file": str(path),
            "written": written,
            "added": change.added_kid,
            "dropped": change.dropped_kid,
            **({"secret": change.secret} if change.secret is not None and not written else {}),
        }
    )
    if output.as_json:
        return
    if not written:
        print(change.lines)
        output.note(f"nothing has been written; --write changes {path}")
        return
    output.line(f"changed {path}", "green")
    output.line("next: have the server read it, `icelane turn reload` or SIGHUP")
    if change.old_kids:
        kids = " or ".join(change.old_kids)
        output.line(
            f"once all that it signed has expired: icelane keys rotate --drop {kids} --write, with the same --for"
        )


def _new_api_key(output: Output, name: str) -> None:
    from icelane.crypto.api_key import hash_of, new_api_key
    from icelane.crypto.provider import SystemEntropy

    key = new_api_key(SystemEntropy())
    hashed = hash_of(key)
    _show(
        output,
        f"[auth.api_keys]\n{json.dumps(name)} = {json.dumps(hashed)}",
        {"name": name, "hash": hashed, "key": key},
    )
    if not output.as_json:
        print(f"\n# the key itself, for {name} alone; it is shown this once:\n{key}")


def _new_signing_key(output: Output, algorithm: Signature, issuer: str, kid: str, out: Path | None) -> None:
    document = {"issuer": issuer, "algorithm": algorithm.value, "kid": kid}
    head = "\n".join(("[[auth.jwt]]", *(f"{name} = {json.dumps(value)}" for name, value in document.items())))
    if algorithm is Signature.HS256:
        secret = _secret()
        _show(output, f"{head}\nsecret = {json.dumps(secret)}", {**document, "secret": secret})
        return
    if out is None:
        raise usage("a pair of keys goes into files", f"icelane keys new --algorithm {algorithm.value} --out {issuer}")
    public, private = _write_pair(algorithm, out)
    lines = f"public_key = {json.dumps(str(public))}\nprivate_key = {json.dumps(str(private))}"
    _show(output, f"{head}\n{lines}", {**document, "publicKey": str(public), "privateKey": str(private)})


def _write_pair(algorithm: Signature, out: Path) -> tuple[Path, Path]:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    made: RSAKey | ECKey | OKPKey
    match algorithm:
        case Signature.RS256:
            made = RSAKey.generate_key(3072)
        case Signature.ES256:
            made = ECKey.generate_key("P-256")
        case _:
            made = OKPKey.generate_key("Ed25519")
    public, private = out.with_name(f"{out.name}.pem"), out.with_name(f"{out.name}-private.pem")
    # Created for the owner alone, not made so afterwards; and what is there stays.
    for file, mode, pem in (
        (private, _OWNER_ONLY, made.as_pem(private=True)),
        (public, 0o644, made.as_pem(private=False)),
    ):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise usage(f"{file} is there already", "choose another --out") from None
        except OSError as error:
            raise CommandError(ExitCode.MISSING, Problem(f"{file} cannot be written: {error.strerror}")) from None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
    return public, private


def _show(output: Output, text: str, document: dict[str, str]) -> None:
    output.result({"ok": True, **document})
    if not output.as_json:
        print(text)


def _secret() -> str:
    from icelane.crypto.provider import SystemEntropy

    return base64.b64encode(SystemEntropy().token(_SECRET_BYTES)).decode()


def _kid(kid: str | None) -> str:
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.server.config.values import parse_kid

    today = datetime.fromtimestamp(SystemWallClock().unix_time(monotonic()), UTC)
    try:
        return parse_kid(kid if kid is not None else f"k{today:%Y%m%d}")
    except ValueError as error:
        raise usage(f"--kid: {error}") from None


def _configuration(file: Path | None) -> Path:
    from icelane.server.config.load import SEARCHED

    found = file if file is not None else next((path for path in SEARCHED if path.is_file()), None)
    if found is None:
        raise usage("there is no configuration file to rotate a key in", "icelane keys rotate -c FILE")
    return found


def _read(path: Path) -> str:
    from icelane.server.config.sources import read_file

    return read_file(path)


def _replace(path: Path, text: str) -> None:
    """The whole file or nothing, with the rights that it has."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mode = path.stat().st_mode & 0o777
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(ExitCode.MISSING, Problem(f"{path} cannot be written: {error.strerror}")) from None
