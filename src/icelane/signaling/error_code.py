"""What `error` and `goodbye` frames say to programs: stable words, each with a sentence for people."""

from __future__ import annotations

import enum
from typing import Final


class ErrorCode(enum.Enum):
    """The hub's own words, and what admission says when it gives no reason. Hooks have more, such as `banned`."""

    BAD_FRAME = "bad_frame"
    HELLO_REQUIRED = "hello_required"
    HELLO_REPEATED = "hello_repeated"
    HELLO_TIMEOUT = "hello_timeout"
    NO_SIGN_OF_LIFE = "no_sign_of_life"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    IDENTITY_CHANGED = "identity_changed"
    FORBIDDEN = "forbidden"
    DENIED = "denied"
    NOT_IN_ROOM = "not_in_room"
    ROOM_REQUIRED = "room_required"
    ROOM_LOCKED = "room_locked"
    ROOM_FULL = "room_full"
    TOO_MANY_ROOMS = "too_many_rooms"
    PEER_NOT_FOUND = "peer_not_found"
    BAD_DESCRIPTION = "bad_description"
    RATE_LIMITED = "rate_limited"
    TOO_SLOW = "too_slow"
    SUPERSEDED = "superseded"
    HOOK_TIMEOUT = "hook_timeout"
    BUSY = "busy"
    DRAINING = "draining"
    INTERNAL = "internal"

    @property
    def message(self) -> str:
        """For people."""
        return _MESSAGES[self]

    @property
    def retryable(self) -> bool:
        """Whether the same frame may work later."""
        return self in _RETRYABLE


def message_of(word: str) -> str:
    """What there is to say to people about a word, which may be a hook's own: then nothing."""
    try:
        return ErrorCode(word).message
    except ValueError:
        return ""


_MESSAGES: Final = {
    ErrorCode.BAD_FRAME: "this frame is not one of icelane.signal.v1",
    ErrorCode.HELLO_REQUIRED: "the first frame has to be hello",
    ErrorCode.HELLO_REPEATED: "hello is said once",
    ErrorCode.HELLO_TIMEOUT: "no hello came in time",
    ErrorCode.NO_SIGN_OF_LIFE: "nothing came after a ping",
    ErrorCode.TOKEN_EXPIRED: "what the token granted is over; come back with another one",
    ErrorCode.IDENTITY_CHANGED: "a refresh is for the same identity",
    ErrorCode.FORBIDDEN: "the token does not grant this",
    ErrorCode.DENIED: "this server, or the program behind it, says no",
    ErrorCode.NOT_IN_ROOM: "join the room first",
    ErrorCode.ROOM_REQUIRED: "say which room: you are in none, or in several",
    ErrorCode.ROOM_LOCKED: "the room is locked",
    ErrorCode.ROOM_FULL: "the room is full",
    ErrorCode.TOO_MANY_ROOMS: "leave a room first",
    ErrorCode.PEER_NOT_FOUND: "no such peer is in a room with you",
    ErrorCode.BAD_DESCRIPTION: "the description does not parse, and this room passes on no addresses",
    ErrorCode.RATE_LIMITED: "too many frames",
    ErrorCode.TOO_SLOW: "frames are not read as fast as they come",
    ErrorCode.SUPERSEDED: "a newer session of the same identity has taken over",
    ErrorCode.HOOK_TIMEOUT: "the program behind this server did not answer in time",
    ErrorCode.BUSY: "the server has as many clients as it takes",
    ErrorCode.DRAINING: "the server is going down",
    ErrorCode.INTERNAL: "the server made a mistake",
}

_RETRYABLE: Final = frozenset(
    {
        ErrorCode.ROOM_LOCKED,
        ErrorCode.ROOM_FULL,
        ErrorCode.RATE_LIMITED,
        ErrorCode.HOOK_TIMEOUT,
        ErrorCode.BUSY,
        ErrorCode.DRAINING,
        ErrorCode.INTERNAL,
    }
)
