"""Writes docs/reference/commands.md from the command line itself, so that the two cannot differ.

python docs/command_reference.py > docs/reference/commands.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from icelane.cli.main import app

_HEAD = """# Commands

Written by `python docs/command_reference.py`; do not edit.

| Exit code | Meaning |
|---|---|
| 0 | Well. |
| 1 | The check failed: the server answered, and something is wrong. |
| 2 | The command line or the configuration is wrong. |
| 3 | Something is missing here, such as an extra. |
| 4 | The network or the peer: nothing came back, or the name leads nowhere. |

A terminal gets tables and colours, a pipe plain lines, `--json` one JSON document. `icelane --version` prints the
version and whether the compiled form runs; `icelane --install-completion` sets up completion for your shell.
"""


class Command(NamedTuple):
    """A command as it is typed, and the function behind it."""

    name: str
    run: Callable[..., object]
    epilog: str


def commands(group: typer.Typer = app, prefix: str = "icelane") -> Iterator[Command]:
    """Every command below `group`, in the order of the help."""
    for info in group.registered_commands:
        assert info.callback is not None
        yield Command(f"{prefix} {info.name or info.callback.__name__}", info.callback, info.epilog or "")
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance, f"{prefix} {below.name}")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *map(_section, commands())])


def _section(command: Command) -> str:
    parameters = list(_parameters(command.run))
    arguments = "".join(f" {shown}" for shown, info, _ in parameters if isinstance(info, ArgumentInfo))
    rows = [f"| `{_cell(shown)}` | {_cell(_help(info, default))} |" for shown, info, default in parameters]
    table = ["| Argument or option | |", "|---|---|", *rows, ""]
    text = inspect.getdoc(command.run) or ""
    return "\n".join([f"## `{command.name}{arguments}`", "", text, "", *table, command.epilog, ""])


def _parameters(run: Callable[..., object]) -> Iterator[tuple[str, ArgumentInfo | OptionInfo, object]]:
    hints = get_type_hints(run, include_extras=True)
    for name, parameter in inspect.signature(run).parameters.items():
        info = _info(hints[name])
        yield _shown(name, info, parameter.default), info, parameter.default


def _info(hint: Any) -> ArgumentInfo | OptionInfo:
    if get_origin(hint) is not Annotated:
        # `X | None` of an Annotated alias keeps the annotation one level below.
        return next(_info(part) for part in get_args(hint) if get_origin(part) is Annotated)
    return next(item for item in get_args(hint)[1:] if isinstance(item, ArgumentInfo | OptionInfo))


def _shown(name: str, info: ArgumentInfo | OptionInfo, default: object) -> str:
    if isinstance(info, ArgumentInfo):
        return info.metavar or name.upper()
    # In an Annotated there is no default to give, so typer takes the first name in its place.
    first = [info.default] if isinstance(info.default, str) else []
    names = [*first, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"]
    value = "" if isinstance(default, bool) else f" {info.metavar or names[-1].strip('-').upper()}"
    return ", ".join(names) + value


def _help(info: ArgumentInfo | OptionInfo, default: object) -> str:
    text = info.help or ""
    if default not in (None, False, inspect.Parameter.empty):
        shown = getattr(default, "value", default)
        text += f" Default: `{shown}`."
    if info.envvar:
        text += f" Environment: `{info.envvar}`."
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
