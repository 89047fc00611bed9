"""Runs a command and draws what it printed on a terminal as an SVG.

    python docs/picture.py docs/images/demo.svg python -m demo

The picture is of a real run: nothing in it is typed by hand. Standard error is left out.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 84
# Rich's own drawing fetches a font from a public server; the viewer's monospaced one will do.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)


def record(command: list[str]) -> tuple[int, str]:
    """Run `command` on a terminal of its own; its exit code and what it printed, colours included."""
    terminal, inner = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=inner, stderr=subprocess.DEVNULL, env=environment)  # noqa: S603 -- ours
    os.close(inner)
    printed = b""
    try:
        while data := os.read(terminal, 4096):
            printed += data
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    os.close(terminal)
    return process.wait(), printed.decode().replace("\r\n", "\n")


def draw(command: list[str], printed: str) -> str:
    """The SVG of a terminal in which `command` printed that."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), shlex.join(command)))
    console.print(Text.from_ansi(printed.rstrip("\n")))
    return _FONT_FACE.sub("", console.export_svg(title="icelane"))


def main() -> int:
    """Draw, and pass the command's exit code on."""
    target, *command = sys.argv[1:]
    code, printed = record(command)
    Path(target).write_text(draw(command, printed), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
