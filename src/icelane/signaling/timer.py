"""What the hub waits for."""

from __future__ import annotations

import enum
from typing import NamedTuple


class TimerKind(enum.Enum):
    """Of a connection: HELLO, PING, PONG, DRAIN. Of a session: WINDOW, EXPIRY, ICE. Of a decision: DECISION."""

    HELLO = enum.auto()
    PING = enum.auto()
    PONG = enum.auto()
    DRAIN = enum.auto()
    WINDOW = enum.auto()
    EXPIRY = enum.auto()
    ICE = enum.auto()
    DECISION = enum.auto()


class Timer(NamedTuple):
    """One deadline; `of` is the id of the connection, session or decision."""

    kind: TimerKind
    of: int | str
