"""Pushes, which are written once for all who get them, and kept for whoever comes back."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final, NamedTuple

from icelane.signaling.limits import MAX_QUEUED_BYTES, MAX_REPLAY
from icelane.signaling.messages import Push, encode_frame, frame_type

# Bytes of pushes that one session keeps, besides their number: 512 descriptions of 8 KiB. At the bound the oldest go,
# and who needs them resyncs. Well above what may be queued, so that whoever was too slow can still resume.
MAX_REPLAY_BYTES: Final = 4 * MAX_QUEUED_BYTES
_SEQUENCE: Final = '"seq":0'
# What a number adds at most to the length of a frame.
_DIGITS: Final = 16


class PreparedPush(NamedTuple):
    """A push without its `seq`, which is another one in every session. The text is shared by all of them."""

    head: str
    tail: str
    kind: str

    def text(self, sequence: int) -> str:
        """The frame for one session."""
        return f"{self.head}{sequence}{self.tail}"

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.head) + len(self.tail) + _DIGITS


def prepare(push: Push) -> PreparedPush:
    """Encode a push whose `seq` is 0."""
    # `type` comes first and `seq` second, so nothing that a client wrote stands before it.
    head, _, tail = encode_frame(push).partition(_SEQUENCE)
    return PreparedPush(f'{head}"seq":', tail, frame_type(push))


class Replay:
    """The pushes of a session that its client may not have seen: at most `limit`, and MAX_REPLAY_BYTES."""

    __slots__ = ("_bytes", "_limit", "_pushes", "last")

    def __init__(self, limit: int = MAX_REPLAY) -> None:
        self._limit = limit
        self._pushes: deque[PreparedPush] = deque()
        self._bytes = 0
        self.last = 0
        """The number of the newest push; 0 before the first."""

    def __len__(self) -> int:
        return len(self._pushes)

    def add(self, push: PreparedPush) -> int:
        """Keep a push and return its number."""
        self.last += 1
        self._pushes.append(push)
        self._bytes += push.size
        while len(self._pushes) > self._limit or self._bytes > MAX_REPLAY_BYTES:
            self._drop()
        return self.last

    def acknowledge(self, sequence: int) -> None:
        """The client has seen everything up to `sequence`."""
        while self._pushes and self.last - len(self._pushes) < sequence:
            self._drop()

    def since(self, sequence: int) -> list[tuple[int, PreparedPush]] | None:
        """Every push after `sequence`, with its number; None when they are not all there, or never were."""
        missed = self.last - sequence
        if not 0 <= missed <= len(self._pushes):
            return None
        pushes = islice(self._pushes, len(self._pushes) - missed, None)
        return list(enumerate(pushes, start=sequence + 1))

    def clear(self) -> None:
        """Forget every push; the numbers go on."""
        self._pushes.clear()
        self._bytes = 0

    def _drop(self) -> None:
        self._bytes -= self._pushes.popleft().size
