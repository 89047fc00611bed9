"""Why a connection ends, and what its client does then.

A refused WebSocket handshake shows in a browser as 1006 and nothing else, so whoever is refused for a reason that he
should see is accepted first, gets an `error` or a `goodbye` frame, and is closed with one of these. A frame above the
limit never reaches us: the WebSocket layer closes with 1009.
"""

from __future__ import annotations

import enum
from typing import Final


class Reconnect(enum.Enum):
    """What a client does after a close."""

    NEVER = "never"
    """The same would happen again."""
    FRESH_TOKEN = "fresh-token"  # noqa: S105
    """At once, with another token."""
    AFTER = "after"
    """Once `after` seconds have passed."""
    JITTER = "jitter"
    """After a random while that doubles with each failure."""


class CloseCode(enum.IntEnum):
    """The close codes of `icelane.signal.v1`."""

    BAD_FRAME = 4400
    TOKEN_EXPIRED = 4401
    """The token is missing, invalid or expired, or what it granted is over."""
    DENIED = 4403
    NO_ROOM = 4404
    TIMEOUT = 4408
    """No hello in time, or no sign of life."""
    SUPERSEDED = 4409
    """A newer session of the same identity has taken over."""
    TOO_SLOW = 4413
    """The client does not read what is sent to it."""
    ROOM_CLOSED_TO_YOU = 4423
    """The room is locked or full."""
    RATE_LIMITED = 4429
    INTERNAL = 4500
    DRAINING = 4503

    @property
    def reconnect(self) -> Reconnect:
        """What a client does after this code."""
        return _RULES[self]

    @property
    def status(self) -> int:
        """The status of HTTP that says the same, to whoever has no WebSocket."""
        return _STATUSES[self]


_RULES: Final = {
    CloseCode.BAD_FRAME: Reconnect.NEVER,
    CloseCode.TOKEN_EXPIRED: Reconnect.FRESH_TOKEN,
    CloseCode.DENIED: Reconnect.NEVER,
    CloseCode.NO_ROOM: Reconnect.NEVER,
    CloseCode.TIMEOUT: Reconnect.JITTER,
    CloseCode.SUPERSEDED: Reconnect.NEVER,
    CloseCode.TOO_SLOW: Reconnect.JITTER,
    CloseCode.ROOM_CLOSED_TO_YOU: Reconnect.NEVER,
    CloseCode.RATE_LIMITED: Reconnect.AFTER,
    CloseCode.INTERNAL: Reconnect.JITTER,
    CloseCode.DRAINING: Reconnect.JITTER,
}

_STATUSES: Final = {
    CloseCode.BAD_FRAME: 400,
    CloseCode.TOKEN_EXPIRED: 401,
    CloseCode.DENIED: 403,
    CloseCode.NO_ROOM: 404,
    CloseCode.TIMEOUT: 408,
    CloseCode.SUPERSEDED: 409,
    CloseCode.TOO_SLOW: 413,
    CloseCode.ROOM_CLOSED_TO_YOU: 423,
    CloseCode.RATE_LIMITED: 429,
    # Not 500: what keeps us from deciding, such as a hook that does not answer, is expected to pass (RFC 9110 section
    # 15.6.4), and proxies and clients try again after a 503.
    CloseCode.INTERNAL: 503,
    CloseCode.DRAINING: 503,
}


def reconnect_rule(code: int) -> Reconnect:
    """What a client does after any close code of a WebSocket, ours or not.

    1000 is a close that was wanted, 1009 a frame of ours that was too large; whatever else, the network is to blame.
    """
    try:
        return CloseCode(code).reconnect
    except ValueError:
        never = code in (1000, 1002, 1003, 1007, 1009) or 4400 <= code < 4500
        return Reconnect.NEVER if never else Reconnect.JITTER
