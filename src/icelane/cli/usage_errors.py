"""Mistakes on the command line itself: a wrong option, a missing argument. With --json they are JSON as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import typer

from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.cli.switches import Group

# What every complaint of the parser is. Typer brings its own copy of click or takes the installed one, by its version.
_COMPLAINT: Final = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Commands(Group):
    """The whole command line. Where --json is among the arguments, what is wrong with them is one JSON document."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that `args` name, and exit."""
        given = list(sys.argv[1:] if args is None else args)
        if not (standalone_mode and _asks_for_json(given)):
            return super().main(args, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = ExitCode.CHECK_FAILED
        except Exception as error:
            if not isinstance(error, _COMPLAINT):
                raise
            failure = _explained(error)
            Output(as_json=True).failed(failure)
            code = failure.code
        sys.exit(code)


def _asks_for_json(arguments: list[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _explained(complaint: Any) -> CommandError:
    context = complaint.ctx if hasattr(complaint, "ctx") else None
    mend = f"{context.command_path} --help" if context is not None else None
    return CommandError(ExitCode.USAGE, Problem(complaint.format_message(), mend))
