"""`icelane config`: check the configuration, show what counts, print the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.text import Text

from icelane.cli import config_import
from icelane.cli.extras import require_extra
from icelane.cli.output import ConfigFile, JsonFlag, speaking

if TYPE_CHECKING:
    from icelane.server.config import Advice, Config

app = typer.Typer(
    help="Check, show and explain the configuration.", epilog="Example: `icelane config check`", no_args_is_help=True
)

app.add_typer(config_import.app, name="import")


@app.command(epilog="Example: `icelane config check -c icelane.toml`")
def check(file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Check the configuration as `icelane serve` does, without starting anything.

    Every wrong key is named at once, and then what does not fit together. What is allowed and still looks wrong is
    said, and does not fail the check. Files that are named are read, and the modules of turn.auth and of hooks are
    imported.
    """
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.server.config import advise, load_config

        config = load_config(file, serving=True)
        advice = (*advise(config), *_about_what_is_named(config))
        for piece in advice:
            output.note(str(piece))
        output.line("the configuration is valid", "green")
        output.result({"ok": True, "advice": [{"key": piece.key, "message": piece.message} for piece in advice]})


@app.command(epilog="Example: `icelane config show -c icelane.toml`")
def show(file: ConfigFile = None, as_json: JsonFlag = False) -> None:
    """Show every setting as it counts: from the file, the environment and the defaults. Secrets are masked."""
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.server.config import load_config
        from icelane.server.config.presentation import presented

        values = presented(load_config(file))
        output.result(_nested(values))
        if as_json:
            return
        text = "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())
        if output.terminal:
            output.console.print(Syntax(text, "toml", theme="ansi_dark", background_color="default", word_wrap=True))
        else:
            output.line(text)


@app.command(epilog="Example: `icelane config docs > configuration.md`")
def docs(as_json: JsonFlag = False) -> None:
    """Explain every setting: what it does, its default and why. Markdown in a pipe."""
    with speaking(as_json) as output:
        require_extra("server")
        from icelane.server.config.reference import markdown, reference

        if as_json:
            output.result({"settings": [setting.as_json() for setting in reference()]})
        elif output.terminal:
            output.console.print(Markdown(markdown()), soft_wrap=False)
        else:
            output.console.print(Text(markdown()), end="")


def _about_what_is_named(config: Config) -> list[Advice]:
    """What looks wrong with what stands outside of the configuration. Raises ConfigurationError for all of it that the
    server could not use."""
    from icelane.node.admission import unusable
    from icelane.server.config.validation import failures_of, refuse
    from icelane.server.credential_source import load_source
    from icelane.server.planes import is_compiled
    from icelane.server.revoked_file import read_revoked

    advice: list[Advice] = []
    problems = failures_of(
        lambda: advice.extend(_about_certificate(config)),
        lambda: read_revoked(config.turn.revoked_file),
        lambda: is_compiled(config.turn.plane),
        lambda: load_source(config.turn.auth) if config.turn.auth is not None else None,
    )
    refuse((*problems, *unusable(config)))
    return advice


def _about_certificate(config: Config) -> Iterator[Advice]:
    """What looks wrong with the certificate. Raises ConfigurationError when the server could not use it."""
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.server.config import Advice
    from icelane.server.tls import load_certificate

    if config.tls.certificate is None or config.tls.key is None:
        return
    found = load_certificate(config.tls.certificate, config.tls.key)
    if found.expires_at <= SystemWallClock().unix_time(monotonic()):
        yield Advice(key="tls.certificate", message="it has expired, and every client will refuse it")
    name = config.turn.hostname
    if name is None:
        yield Advice(
            key="turn.hostname", message="clients reach TLS by host name only; without one no turns: URL is made"
        )
    elif not found.covers(name):
        names = ", ".join(found.names) or "no name"
        yield Advice(key="tls.certificate", message=f"it is for {names} and not for {name}; clients will refuse it")


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in values.items():
        table = tree
        *above, name = key.split(".")
        for part in above:
            below = table.setdefault(part, {})
            assert isinstance(below, dict)
            table = below
        table[name] = value
    return tree


def _toml(value: object) -> str:
    """A value in TOML; JSON has the same text for everything but tables."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {_toml(below)}" for key, below in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
