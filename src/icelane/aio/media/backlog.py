"""Frames that wait to be written, so that a disk or an encoder that stands still for seconds costs none of them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from icelane.aio.media.recording import Recording
from icelane.aio.media_stream_track import TrackFrame
from icelane.errors import IcelaneError
from icelane.media.codec import RtpCodec
from icelane.media.frame import EncodedFrame

# What may wait of one track: twenty seconds of sound; of pictures as many as so many bytes have room for, which is a
# second and a half of 720p. At either the track is read no further, and its own queue does then what its policy says.
MAX_WAITING: Final = 1_000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame of the recording's stream `number`, that came in at `now`; of `codec` when it is encoded."""

    number: int
    frame: TrackFrame
    now: float
    codec: RtpCodec | None = None
    cname: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it keeps, about."""
        if isinstance(self.frame, EncodedFrame):
            return len(self.frame.data)
        return sum(plane.buffer_size for plane in self.frame.planes)


class Backlog:
    """Of one recording. `add` and `has_room` belong to the event loop; the rest may be called on any thread."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._waiting: deque[WaitingFrame] = deque()
        self._lock = threading.Lock()
        self._count: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._failures: dict[int, IcelaneError] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, number: int) -> bool:
        """Whether another frame of that stream may wait."""
        return self._count[number] < MAX_WAITING and self._bytes[number] < MAX_WAITING_BYTES

    def add(self, frame: WaitingFrame) -> None:
        """A frame came."""
        with self._lock:
            self._count[frame.number] += 1
            self._bytes[frame.number] += frame.size
            self._waiting.append(frame)

    def failure(self, number: int) -> IcelaneError | None:
        """Why nothing of that stream is written any more, None while it is."""
        return self._failures.get(number)

    def write_one(self) -> bool:
        """Write the frame that waits longest; whether there was one. What fails is told by `failure`."""
        with self._lock:
            if not self._waiting:
                return False
            waiting = self._waiting.popleft()
        try:
            if waiting.number not in self._failures:
                self._write(waiting)
        except IcelaneError as error:
            self._failures[waiting.number] = error
        finally:
            with self._lock:
                self._count[waiting.number] -= 1
                self._bytes[waiting.number] -= waiting.size
        return True

    def close(self) -> None:
        """Write all of it, and the file's end. Idempotent. Raises OperationError."""
        while self.write_one():
            pass
        self._recording.close()

    def _write(self, waiting: WaitingFrame) -> None:
        frame = waiting.frame
        if not isinstance(frame, EncodedFrame):
            self._recording.write(waiting.number, frame, waiting.now)
        elif waiting.codec is not None:
            self._recording.write_encoded(waiting.number, frame, waiting.codec, waiting.now, waiting.cname)
