"""Commands whose help names no type behind an option that takes no value: typer writes `<bool>` there."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options, --help among them."""
        return _nameless(super().get_params(ctx))


class Group(TyperGroup):
    """Commands under one word."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options, --help and those of completion among them."""
        return _nameless(super().get_params(ctx))


def tell_no_types(group: typer.Typer) -> None:
    """Make all that is below `group` such commands; its own class is given where it is made."""
    for command in group.registered_commands:
        command.cls = Command
    for below in group.registered_groups:
        below.cls = Group
        if below.typer_instance is not None:
            tell_no_types(below.typer_instance)


def _nameless(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
