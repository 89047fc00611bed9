"""The common record, made into its line in one pass: an event and its fields, without a traceback and without colour.

`icelane.server.logs` has the general way, a chain of structlog's processors, which costs some 90 us for a record. Every
allocation writes two, so that alone was a fifth of what an allocation cost. Both ways give the same line for every
record: `tests/server/test_logs.py` holds them against each other.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

Show = Callable[[object], object]
"""A field's value as it may be written: a number, a text without anything unprintable, a list or a mapping of such."""

# What every record has is no field of an event, and neither is the text that another handler may have left in it.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Where an event names a field so, the general way decides which of the two counts.
_OWN: Final = frozenset({"event", "level", "logger", "timestamp"})
_SPECIAL: Final = frozenset({"logger_name", "stack", "exception", "exc_info", "exc_text"})

_QUOTED: Final = re.compile("[ \t=\r\n\"']").search
_encode: Final = json.JSONEncoder(ensure_ascii=True).encode


class LineFormatter(logging.Formatter):
    """Formats what is common, and hands everything else to `general`."""

    def __init__(self, general: logging.Formatter, show: Show, *, human: bool) -> None:
        super().__init__()
        self.general = general
        self._show = show
        self._render = _human if human else _json

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        values = record.__dict__
        if record.exc_info or record.exc_text or record.stack_info or not isinstance(record.msg, str):
            return self.general.format(record)
        show = self._show
        fields = {}
        for name, value in values.items():
            if name not in _STANDARD:
                if name in _OWN or name in _SPECIAL or name[:1] == "_":
                    return self.general.format(record)
                fields[name] = show(value)
        event, logger = str(show(record.getMessage())), str(show(record.name))
        timestamp = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        return self._render(timestamp, record.levelname.lower(), event, logger, fields)


def _human(timestamp: str, level: str, event: str, logger: str, fields: dict[str, object]) -> str:
    line = f"{timestamp} [{level:9}] {event:20} [{logger}]"
    for name, value in fields.items():
        line += f" {name}={value if isinstance(value, str) and not _QUOTED(value) else repr(value)}"
    return line.rstrip(" ")


def _json(timestamp: str, level: str, event: str, logger: str, fields: dict[str, object]) -> str:
    return _encode({"event": event, "level": level, "logger": logger, **fields, "timestamp": timestamp})
