"""Plain tables of results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table

Cell: TypeAlias = str

PLAIN_WIDTH = 200
"""Columns when the output is a file or a pipe, where a guess of 80 would break lines."""


def console() -> Console:
    """The console that results go to."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def print_table(title: str, columns: Sequence[str], groups: Sequence[Sequence[Sequence[Cell]]], caption: str) -> None:
    """A table whose rows come in groups with a line between them; two columns of text, then figures."""
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < 2 else "right", no_wrap=True)
    for group in groups:
        for cells in group:
            table.add_row(*cells)
        table.add_section()
    console().print(table)
