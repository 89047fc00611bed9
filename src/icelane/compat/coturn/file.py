"""The lines of a turnserver.conf: `name`, `name=value` or `name value`, and remarks behind a # at their beginning.

What coturn does with a line, it does here: blanks before the name do not count, the value begins after any blanks and
equals signs and ends with the line, a pair of double quotes around it is taken off, and a # inside it belongs to it.
But coturn passes over a line that it does not know with a warning; here it is an error, because it may be a setting
that somebody relies on.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final, NamedTuple

from icelane.compat.coturn.options import OPTIONS
from icelane.errors import MalformedError

MAX_LINES: Final = 4096
"""Options in one file. A longer one is refused whole: nobody wrote it."""

MAX_LINE_LENGTH: Final = 1024
"""coturn reads so much of a line and takes the rest for another one; here a longer line is an error."""

# Looking for the option that was meant takes a while, and a file that is none of coturn's has nothing but unknown ones.
_MAX_SUGGESTIONS: Final = 8

_LINE: Final = re.compile(r"[ \t-]*(?P<name>[^ \t=]+)(?P<gap>[ \t=]*)(?P<value>.*)")


class Line(NamedTuple):
    """An option where it stands. `value` is None where nothing is behind the name."""

    number: int
    name: str
    value: str | None = None


class Problem(NamedTuple):
    """What is wrong in which line. The text has no value of the file in it, which may be a password."""

    number: int
    message: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.message}"


class TurnserverError(MalformedError):
    """A file that cannot be taken over. `problems` names every line that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def parse_turnserver(text: str) -> tuple[Line, ...]:
    """Every option of the file in its order. Raises TurnserverError for all that is no option of coturn's."""
    lines: list[Line] = []
    problems: list[Problem] = []
    # Not splitlines, which ends lines at characters that are part of a value to coturn.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _line(number, raw.rstrip("\r"), suggesting=len(problems) < _MAX_SUGGESTIONS)
        if isinstance(line, Line):
            lines.append(line)
        elif line is not None:
            problems.append(line)
        if len(lines) > MAX_LINES or len(problems) > MAX_LINES:
            raise TurnserverError((Problem(number, f"more than {MAX_LINES} options"),))
    if problems:
        raise TurnserverError(tuple(problems))
    return tuple(lines)


def _line(number: int, raw: str, *, suggesting: bool) -> Line | Problem | None:
    """One line; None for a remark or an empty one."""
    found = raw.strip(" \t")
    if not found or found.startswith("#"):
        return None
    if len(raw) > MAX_LINE_LENGTH:
        return Problem(number, f"longer than {MAX_LINE_LENGTH} characters")
    match = _LINE.fullmatch(raw)
    if match is None:
        return Problem(number, "not a line of NAME=VALUE")
    name = match["name"]
    if name not in OPTIONS:
        return Problem(number, _unknown(name, suggesting=suggesting))
    return Line(number, name, _unquoted(match["value"]) if match["value"] else None)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return value[1:].rstrip(" \t").removesuffix('"')


def _unknown(name: str, *, suggesting: bool) -> str:
    if not re.fullmatch(r"[\w-]{1,64}", name):
        return "not an option of coturn's"
    near = get_close_matches(name, OPTIONS, n=1) if suggesting else []
    return f"{name} is not an option of coturn's" + (f"; did you mean {near[0]}?" if near else "")
