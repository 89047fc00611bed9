"""Writes docs/reference/python-api.md from the docstrings of what `icelane` exports, so that the two cannot differ.

python docs/api_reference.py > docs/reference/python-api.md
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import icelane
import icelane.errors
from icelane.aio.event_target import EventTarget
from icelane.peer.security_report import SecurityReport
from icelane.peer.stats import Stats, StatsReport

_HEAD = """# Python API

Written by `python docs/api_reference.py`; do not edit.

Names in camelCase are those of W3C WebRTC, and mean what they mean in a browser; those in snake_case are ours. What is
imported from `icelane` is below. How it goes together: [From nothing to a data channel](../howto/peer-connection.md).
"""

_EVENTS = """## Events

Connections and channels have them. `EVENTS` of the class names them all.
"""

_BESIDE = (SecurityReport, StatsReport, Stats)  # what is handed out and not imported from `icelane`


def page() -> str:
    """The whole page. It is written from the pure form: compiled classes do not say what they are called with."""
    if not icelane.__compiled__:
        return _page()
    environment = {**os.environ, "ICELANE_PURE": "1"}
    written = subprocess.run(  # noqa: S603
        [sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return written.stdout.removesuffix("\n")


def _page() -> str:
    exported = [getattr(icelane, name) for name in icelane.__all__ if not name.startswith("__")]
    parts = [_HEAD]
    parts += [_class(item) if inspect.isclass(item) else _function(item) for item in exported]
    parts += [_EVENTS, *_methods(EventTarget)]
    parts += map(_class, _BESIDE)
    parts += ["## Exceptions\n", "All are in `icelane.errors`; `except IcelaneError` takes them all.\n", _exceptions()]
    return "\n".join(parts)


def _class(kind: type) -> str:
    lines = [f"## `{kind.__name__}`", "", f"`{kind.__module__}`", "", _text(kind), ""]
    if dataclasses.is_dataclass(kind):
        lines += _table("Field", ((field.name, f"{field.type}{_default(field)}") for field in dataclasses.fields(kind)))
    properties = [
        (name, member) for name, member in _members(kind) if isinstance(member, property) and not name.startswith("_")
    ]
    if properties:
        lines += _table("Property", ((name, _property(member)) for name, member in properties))
    return "\n".join([*lines, *_methods(kind)])


def _members(kind: type) -> Iterator[tuple[str, object]]:
    """Its own, and those of bases that have no part of their own here."""
    shown = {EventTarget, *(getattr(icelane, name) for name in icelane.__all__)}
    for base in kind.__mro__:
        if base is kind or (base.__module__.startswith("icelane.") and base not in shown):
            yield from vars(base).items()


def _methods(kind: type) -> Iterator[str]:
    """A section for each method that programs call."""
    for name, member in _members(kind):
        if name == "__init__" and not dataclasses.is_dataclass(kind) and member.__doc__:
            yield f"### `{kind.__name__}{_signature(member)}`\n\n{_text(member)}\n"
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith(("_", "handle_")) or not inspect.isfunction(function):
            continue
        owner = f"{kind.__name__}." if isinstance(member, classmethod | staticmethod) else ""
        waits = "await " if inspect.iscoroutinefunction(function) else ""
        yield f"### `{waits}{owner}{name}{_signature(function)}`\n\n{_text(function)}\n"


def _function(function: object) -> str:
    assert inspect.isfunction(function)
    waits = "await " if inspect.iscoroutinefunction(function) else ""
    return f"## `{waits}{function.__name__}{_signature(function)}`\n\n`{function.__module__}`\n\n{_text(function)}\n"


def _signature(function: object) -> str:
    """As it is called: without `self`, with annotations as they stand in the source."""
    assert callable(function)
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    returned = signature.return_annotation
    shown = [] if returned in (inspect.Signature.empty, "None", None) else [f" -> {returned}"]
    bare = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    # Annotations are strings here, which `str` puts into quotes.
    return re.sub(r"(: )'([^']*)'", r"\1\2", str(bare)) + "".join(shown)


def _property(member: property) -> str:
    assert member.fget is not None
    kind = inspect.signature(member.fget).return_annotation
    first = (inspect.getdoc(member.fget) or "").replace("\n", " ")
    return f"`{kind}` {first}".rstrip()


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return ""
    return f" = {field.default!r}"


def _table(head: str, rows: Iterator[tuple[str, str]]) -> list[str]:
    """A table of two columns; what is code already stays so."""
    table = [f"| {head} | |", "|---|---|"]
    for name, said in rows:
        shown = said.replace("|", "\\|")
        table.append(f"| `{name}` | {shown if shown.startswith('`') else f'`{shown}`'} |")
    return [*table, ""]


def _text(item: object) -> str:
    """Its docstring, with indented examples as blocks of code."""
    paragraphs: list[str] = (inspect.getdoc(item) or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{inspect.cleandoc(one)}\n```" if one.startswith("    ") else one for one in paragraphs
    )


def _exceptions(kind: type = icelane.errors.IcelaneError, depth: int = 0) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split())
    lines = [f"{'  ' * depth}- `{kind.__name__}`: {text}"]
    below = [_exceptions(one, depth + 1) for one in _subclasses(kind) if one.__module__ == "icelane.errors"]
    return "\n".join([*lines, *below])


def _subclasses(kind: type) -> list[type]:
    return kind.__subclasses__()


if __name__ == "__main__":
    print(page())
