"""Turns log records into lines on standard error: for people, in colour on a terminal, or one JSON object each.

What arrives over the network ends up in logs, so every text is escaped before it is written: no line break, terminal
sequence or direction mark gets through, and no record can look like two.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from icelane.core.net import Path, SocketAddress
from icelane.server.config import LogSettings
from icelane.server.events import redact_address, write_events_by
from icelane.server.log_line import LineFormatter, LineHandler

# The longest user name that STUN allows is 508 bytes; nothing that is worth reading is longer.
MAX_TEXT: Final = 512

# Tracebacks of our own defects may be longer.
_MAX_TRACEBACK: Final = 16_384

_HANDLER_NAME: Final = "icelane"
_OURS: Final = logging.getLogger("icelane")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def configure_logging(settings: LogSettings, stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Write all records of this process to `stream`, standard error by default, from the level of `settings` on.

    `worker` is the number of this process among several that serve as one server; every record names it then.

    Replaces the handlers of the root logger that an earlier call set. What libraries have to say at level debug is left
    out. For programs; a library never calls it.
    """
    stream = sys.stderr if stream is None else stream
    handler = LineHandler(stream, {} if worker is None else {"worker": worker})
    handler.set_name(_HANDLER_NAME)
    colors = stream.isatty() and "NO_COLOR" not in os.environ
    general = _formatter(settings, colors)
    human = settings.format == "human"
    in_full = settings.addresses
    common = None if human and colors else LineFormatter(general, partial(_written, in_full), human=human)
    handler.setFormatter(common or general)
    # Which thread and process a record is of stands in no line of ours.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler.addFilter(_ArgumentRedaction(settings.addresses))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    write_events_by(handler)
    level = _LEVELS[settings.level]
    root.setLevel(max(level, logging.INFO))
    # It writes the URL of each request that goes to a webhook.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _OURS.setLevel(level)


def escaped(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with everything that is not printable written as an escape, cut after `limit` characters."""
    if text.isprintable() and "\\" not in text and len(text) <= limit:
        return text
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in cut)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


def _formatter(settings: LogSettings, colors: bool) -> logging.Formatter:
    human = settings.format == "human"
    renderer: Processor = _console(colors) if human else structlog.processors.JSONRenderer(ensure_ascii=True)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_other_forms,
            _AddressRedaction(settings.addresses),
            structlog.processors.format_exc_info,
            _escape_values,
            *([_indent_traceback] if human else []),
            renderer,
        ],
    )


def _console(colors: bool) -> structlog.dev.ConsoleRenderer:
    # The plain formatter: the rich one prints the local variables of every frame, and those hold passwords.
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=20,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )


def _shown(value: object, in_full: bool) -> object:
    """An address or a path as it may be written, any other value unchanged."""
    if isinstance(value, Path):
        return f"{value.transport.value} {_shown(value.remote, in_full)}"
    if isinstance(value, SocketAddress):
        if not in_full:
            return redact_address(value.host)
        return str(value) if value.port else value.host
    return value


class _AddressRedaction:
    """Masks the addresses among the fields of a record."""

    def __init__(self, in_full: bool) -> None:
        self._in_full = in_full

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            event[key] = _shown(value, self._in_full)
        return event


class _ArgumentRedaction(logging.Filter):
    """Masks the addresses among the arguments of a record of the layers below, before they become text."""

    def __init__(self, in_full: bool) -> None:
        super().__init__()
        self._in_full = in_full

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and record.args:
            record.args = tuple(_shown(argument, self._in_full) for argument in record.args)
        return True


def _without_other_forms(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    # A handler that formatted the record before us left its text behind, unmasked and unescaped.
    for name in ("message", "asctime"):
        event.pop(name, None)
    return event


def _escape_values(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key == "exception":
            lines = str(value)[:_MAX_TRACEBACK].splitlines()
            event[key] = "\n".join("\\".join(map(escaped, line.split("\\"))) for line in lines)
        else:
            event[key] = _escaped_value(value)
    return event


def _escaped_value(value: object) -> object:
    if isinstance(value, str):
        return escaped(str(value))
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {escaped(str(k)): escaped(str(v)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [escaped(str(item)) for item in cast("list[Any]", value)]
    return escaped(str(value))


def _written(in_full: bool, value: object) -> object:
    """A field's value as it may be written: masked and escaped."""
    if type(value) is str:
        return escaped(value)
    return _escaped_value(_shown(value, in_full))


def _indent_traceback(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    # A line break inside an exception's text must not begin something that looks like a record.
    if "exception" in event:
        event["exception"] = "\n".join(f"    | {line}" for line in event["exception"].splitlines())
    return event
