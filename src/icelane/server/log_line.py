"""The common record, made into its line in one pass: an event and its fields, without a traceback and without colour.

`icelane.server.logs` has the general way, a chain of structlog's processors, which costs some 90 us for a record. Every
allocation writes two, so that alone was a fifth of what an allocation cost. Both ways give the same line for every
record: `tests/server/test_logs.py` holds them against each other.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TextIO

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import UnixSeconds

Show = Callable[[object], object]
"""A field's value as it may be written: a number, a text without anything unprintable, a list or a mapping of such."""

# What every record has is no field of an event, and neither is the text that another handler may have left in it.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Where an event names a field so, the general way decides which of the two counts.
_OWN: Final = frozenset({"event", "level", "logger", "timestamp"})
_SPECIAL: Final = frozenset({"logger_name", "stack", "exception", "exc_info", "exc_text"})

# Of the texts that a line is made of many come again: names of events, users, realms. Others only evict.
_MAX_TEXTS: Final = 1024

_CALENDAR: Final = SystemWallClock()
_QUOTED: Final = re.compile("[ \t=\r\n\"']").search
_encode: Final = json.JSONEncoder(ensure_ascii=True).encode


class LineFormatter(logging.Formatter):
    """Formats what is common, and hands everything else to `general`."""

    def __init__(self, general: logging.Formatter, show: Show, *, human: bool) -> None:
        super().__init__()
        self.general = general
        self._show = show
        self._is_human = human
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        if record.exc_info or record.exc_text or record.stack_info or not isinstance(record.msg, str):
            return self.general.format(record)
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        line = self.line(record.getMessage(), record.levelname, record.name, UnixSeconds(record.created), fields)
        return line if line is not None else self.general.format(record)

    def line(
        self, event: str, level: str, logger: str, created: UnixSeconds, fields: Mapping[str, object]
    ) -> str | None:
        """The line of a record of which nothing else is known; None where only the general way knows it."""
        for name in fields:
            if name in _OWN or name in _SPECIAL or name[:1] == "_":
                return None
        write = self._human if self._is_human else self._json
        return write(self._timestamp(created), level, event, logger, fields)

    def _timestamp(self, created: UnixSeconds) -> str:
        """As `isoformat` has it, with a Z."""
        second = int(created // 1)
        # Rounded as datetime does it, who carries over what rounds to a whole second.
        microseconds = round((created - second) * 1_000_000)
        if not 0 < microseconds < 1_000_000:
            return datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")
            self._second = second
        return f"{self._second_text}.{microseconds:06d}Z"

    def _human(self, timestamp: str, level: str, event: str, logger: str, fields: Mapping[str, object]) -> str:
        show = self._show
        text = timestamp + _beginning(show, level, event, logger)
        for name, value in fields.items():
            text += f" {name}={_text_of(show, value) if type(value) is str else _field(show(value))}"
        return text.rstrip(" ")

    def _json(self, timestamp: str, level: str, event: str, logger: str, fields: Mapping[str, object]) -> str:
        show = self._show
        shown = {name: show(value) for name, value in fields.items()}
        event, logger = str(show(event)), str(show(logger))
        return _encode({"event": event, "level": level.lower(), "logger": logger, **shown, "timestamp": timestamp})


@lru_cache(maxsize=_MAX_TEXTS)
def _beginning(show: Show, level: str, event: str, logger: str) -> str:
    return f" [{level.lower():9}] {show(event):20} [{show(logger)}]"


@lru_cache(maxsize=_MAX_TEXTS)
def _text_of(show: Show, value: str) -> str:
    return _field(show(value))


def _field(shown: object) -> str:
    return shown if isinstance(shown, str) and not _QUOTED(shown) else repr(shown)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream, and knows a short way for events of which nobody else hears.

    A record costs more to make, to hand round and to take apart again than its line does. `everywhere` are the fields
    that every line has.
    """

    def __init__(self, stream: TextIO, everywhere: Mapping[str, object]) -> None:
        super().__init__(stream)
        self._everywhere = everywhere

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        record.__dict__.update(self._everywhere)
        super().emit(record)

    def write_event(self, logger: logging.Logger, event: str, level: int, fields: Mapping[str, object]) -> bool:
        """Write one event, for which `logger` is enabled; False when it needs a record, and nothing was written."""
        formatter = self.formatter
        if (
            not isinstance(formatter, LineFormatter)
            or not self._hears_alone(logger)
            or not _STANDARD.isdisjoint(fields)
        ):
            return False
        try:
            created = _CALENDAR.unix_time(monotonic())
            shown = {**fields, **self._everywhere} if self._everywhere else fields
            line = formatter.line(event, logging.getLevelName(level), logger.name, created, shown)
            if line is None:
                return False
            with self.lock or nullcontext():
                self.stream.write(line + self.terminator)
                if not getattr(self.stream, "line_buffering", False):  # else it has done so by itself
                    self.flush()
        except Exception:  # as for every handler: what cannot be logged stops nobody's work
            self.handleError(logging.makeLogRecord({"name": logger.name, "levelno": level, "msg": event}))
        return True

    def _hears_alone(self, logger: logging.Logger) -> bool:
        """Whether a record of `logger` would come here, and nobody else could see or change it on its way."""
        if (
            logger.filters
            or self.level
            or len(self.filters) > 1  # one looks at the arguments of records, and an event has none
            or logging.getLogRecordFactory() is not logging.LogRecord
        ):
            return False
        while logger.parent is not None:
            if logger.handlers or not logger.propagate:
                return False
            logger = logger.parent
        return len(logger.handlers) == 1 and logger.handlers[0] is self
