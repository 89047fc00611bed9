"""What waits to be written to one client, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from icelane.signaling.limits import MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES
from icelane.signaling.push import PreparedPush


class CloseConnection(NamedTuple):
    """Close the WebSocket now, with this code."""

    code: int
    reason: str


_Item: TypeAlias = str | tuple[int, PreparedPush]


class Outbox:
    """Frames in their order. Beyond a bound nothing is taken; what a resume replays is bounded by what was kept."""

    __slots__ = ("_bytes", "_close", "_items", "_max_bytes", "_max_frames", "_replayed")

    def __init__(self, max_frames: int = MAX_QUEUED_FRAMES, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._replayed = 0
        self._close: CloseConnection | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def pending(self) -> bool:
        """Whether `take` has something."""
        return bool(self._items) or self._close is not None

    def add(self, item: str | tuple[int, PreparedPush]) -> bool:
        """Queue a frame; False when the client is too slow for it."""
        size = _size(item)
        if len(self._items) - self._replayed >= self._max_frames or self._bytes + size > self._max_bytes:
            return False
        self._items.append(item)
        self._bytes += size
        return True

    def replay(self, pushes: Iterable[tuple[int, PreparedPush]]) -> None:
        """Queue what was missed, before anything new. It does not count: the client cannot have read it before."""
        self._items.extend(pushes)
        self._replayed = len(self._items)
        self._bytes = 0

    def finish(self, close: CloseConnection, last: str | None = None, drop: bool = False) -> None:
        """Nothing comes after `last` and `close`; with `drop`, nothing of what waits goes out before."""
        if drop:
            self._items.clear()
        if last is not None:
            self._items.append(last)
        self._close = close

    def take(self) -> str | CloseConnection | None:
        """The next frame to write, then the close, then None."""
        if not self._items:
            close, self._close = self._close, None
            return close
        item = self._items.popleft()
        if self._replayed:
            self._replayed -= 1
        else:
            self._bytes -= _size(item)
        return item if isinstance(item, str) else item[1].text(item[0])


def _size(item: _Item) -> int:
    return len(item) if isinstance(item, str) else item[1].size
