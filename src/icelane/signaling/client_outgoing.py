"""What a client has asked for: kept until it is answered, sent no faster than the server takes it, and sent again.

A connection may break after a request has arrived and before its answer has. So whatever has no answer is sent again
once the session is resumed, in the same order, and the server knows by `key` or by the nature of the request that it
has done it already. Nothing overtakes a join: what follows may be for that room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from icelane.core.clock import Instant, later
from icelane.errors import MessageTooLargeError, OperationError
from icelane.signaling.limits import FRAME_BURST, FRAMES_PER_SECOND, MAX_FRAME
from icelane.signaling.messages import (
    Close,
    Join,
    Kick,
    Leave,
    Lock,
    Refresh,
    SendMessage,
    SendSignal,
    ServerLimits,
    Update,
    encode_frame,
)

Request: TypeAlias = Join | Leave | Update | SendSignal | SendMessage | Kick | Lock | Close | Refresh

# Requests without an answer, and their bytes; while there is no connection they wait. At the bound the next one fails.
MAX_REQUESTS: Final = 1024
MAX_BYTES: Final = 4 * 1024 * 1024
# Requests on their way. Fewer than the server keeps behind a hook that takes its time (MAX_WAITING_FRAMES).
MAX_IN_FLIGHT: Final = 32
# Part of the server's bounds that we use: its clock and ours differ, and ping and pong count as well.
_SHARE: Final = 0.9


@dataclass(slots=True, eq=False)
class _Pending:
    request: Request
    text: str
    sent: bool = False


class Outgoing:
    """Requests in their order, by their id. After a resume, `rewind`."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._bytes = 0
        self._in_flight = 0
        self._joins_in_flight = 0
        self._max_frame = MAX_FRAME
        self._interval = 1.0 / (FRAMES_PER_SECOND * _SHARE)
        self._slack = (FRAME_BURST * _SHARE - 1) * self._interval
        self._due: Instant | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, number: int, request: Request) -> None:
        """Keep a request until it is answered. Raises MessageTooLargeError, and OperationError when too many wait."""
        text = encode_frame(request)
        size = len(text.encode())
        if size > self._max_frame:
            raise MessageTooLargeError(f"{size} bytes; the server takes frames of {self._max_frame}")
        if len(self._pending) >= MAX_REQUESTS or self._bytes + size > MAX_BYTES:
            raise OperationError(f"{len(self._pending)} requests wait for an answer already")
        self._bytes += size
        self._pending[number] = _Pending(request, text)

    def answered(self, number: int) -> Request | None:
        """Forget a request; None when there was none of that number."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return None
        self._bytes -= len(pending.text.encode())
        if pending.sent:
            self._in_flight -= 1
            self._joins_in_flight -= isinstance(pending.request, Join)
        return pending.request

    def next(self, now: Instant) -> str | None:
        """The text of the next request to be sent now, if there is one and the server takes it."""
        if self._in_flight >= MAX_IN_FLIGHT or self.ready_at(now) > now:
            return None
        pending = self._first_unsent
        if pending is None or (self._joins_in_flight and not isinstance(pending.request, Join)):
            return None
        pending.sent = True
        self._in_flight += 1
        self._joins_in_flight += isinstance(pending.request, Join)
        self.count(now)
        return pending.text

    def count(self, now: Instant) -> None:
        """A frame goes out, this or another one."""
        self._due = later(max(self._due or now, now), self._interval)

    def ready_at(self, now: Instant) -> Instant:
        """When the server takes another frame; not before `now`."""
        return now if self._due is None else max(now, later(self._due, -self._slack))

    @property
    def blocked_by_rate(self) -> bool:
        """Whether something waits for nothing but time."""
        return self._in_flight < MAX_IN_FLIGHT and not self._joins_in_flight and self._first_unsent is not None

    @property
    def in_flight(self) -> int:
        """How many were sent and not answered."""
        return self._in_flight

    def limit(self, limits: ServerLimits) -> None:
        """What the server says it takes."""
        self._max_frame = limits.frame
        self._interval = 1.0 / max(limits.frames_per_second * _SHARE, 0.001)
        self._slack = max(limits.frame_burst * _SHARE - 1, 0.0) * self._interval

    def rewind(self) -> None:
        """Nothing is on its way any more: all of it is to be sent again."""
        for pending in self._pending.values():
            pending.sent = False
        self._in_flight = self._joins_in_flight = 0

    def drop(self, is_void: Callable[[Request, bool], bool]) -> list[int]:
        """Forget the requests that `is_void(request, was it sent)`, and return their numbers."""
        void = [number for number, one in self._pending.items() if is_void(one.request, one.sent)]
        for number in void:
            self.answered(number)
        return void

    def take_all(self) -> list[Request]:
        """Forget every request and return them in their order."""
        requests = [one.request for one in self._pending.values()]
        self._pending.clear()
        self._bytes = self._in_flight = self._joins_in_flight = 0
        return requests

    @property
    def _first_unsent(self) -> _Pending | None:
        # At most MAX_IN_FLIGHT stand before it.
        return next((one for one in self._pending.values() if not one.sent), None)
