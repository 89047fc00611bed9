"""Cuts a byte stream into messages (RFC 8489 section 6.2.2): TCP and TLS keep no boundaries, the length field does.

    framer = StreamFramer(measure_stun)
    framer.handle_bytes(data)
    while (frame := framer.poll_frame()) is not None:
        engine.handle_datagram(frame, path, now)

A stream that once held something else than a frame cannot be trusted again: where the next frame begins is unknown. The
framer then raises MalformedError for ever, and the connection is closed. It never searches for the next boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from icelane.errors import LocalProtocolError, MalformedError
from icelane.stun.message import HEADER_SIZE

# The largest frame: a header of 20 bytes and the largest multiple of four that its length field can say.
MAX_FRAME_SIZE: Final = HEADER_SIZE + 0xFFFC

Measure: TypeAlias = Callable[[bytes | bytearray, int, int], int | None]
"""`measure(buffer, start, available)`: the whole length of the frame that begins at `start`, at most MAX_FRAME_SIZE;
None while its header is not complete in `available` bytes (one at least). Raises MalformedError when none begins so.
"""


class StreamFramer:
    """Collects bytes and gives back whole frames.

    Holds at most MAX_FRAME_SIZE bytes besides the last chunk: the caller polls until None after each `handle_bytes`,
    and a caller that does not gets LocalProtocolError once more than that waits. Work is linear in the bytes received,
    however they are split.
    """

    __slots__ = ("_buffer", "_failure", "_needed", "_start", "measure")

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        """May be replaced at any time; it counts from the next frame on."""
        # A chunk that arrives while nothing waits stays as it is, so that frames are cut out of it with one copy.
        self._buffer: bytes | bytearray = b""
        self._start = 0
        self._needed = 0
        self._failure: MalformedError | None = None

    def handle_bytes(self, data: bytes) -> None:
        """Bytes came in. After a failure they are dropped."""
        if self._failure is not None:
            return
        waiting = len(self._buffer) - self._start
        if waiting > MAX_FRAME_SIZE:
            raise LocalProtocolError("frames are waiting: poll them before handing in more bytes")
        if waiting == 0:
            self._buffer = data
            self._start = 0
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer)
        self._buffer += data

    def poll_frame(self) -> bytes | None:
        """The next whole frame, None when more bytes are needed.

        Raises MalformedError when the stream holds something else, and from then on always.
        """
        if self._failure is not None:
            raise self._failure
        start = self._start
        available = len(self._buffer) - start
        size = (self._needed or self._measure_next(available)) if available else None
        if size is None or size > available:
            self._needed = size or 0
            self._release()
            return None
        self._needed = 0
        self._start = start + size
        frame = self._buffer[start : start + size]
        return frame if isinstance(frame, bytes) else bytes(frame)

    def take_rest(self) -> bytes:
        """Everything that was not polled as a frame: the stream carries something else from here on."""
        rest = bytes(self._buffer[self._start :])
        self._buffer = b""
        self._start = 0
        self._needed = 0
        return rest

    @property
    def buffered(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer) - self._start

    def _measure_next(self, available: int) -> int | None:
        try:
            return self.measure(self._buffer, self._start, available)
        except MalformedError as error:
            self._failure = error
            self._buffer = b""
            self._start = 0
            raise

    def _release(self) -> None:
        # At most once per chunk: what was polled is let go, so that an idle stream holds one unfinished frame at most.
        if self._start:
            self._buffer = self._buffer[self._start :]
            self._start = 0


def measure_stun(buffer: bytes | bytearray, start: int, available: int) -> int | None:
    """The length of the STUN message at `start`; see `Measure`.

    Each field is judged as soon as it is there, so that a peer that speaks something else is noticed at once.
    """
    if buffer[start] & 0xC0:
        raise MalformedError("the stream holds something that is not STUN")
    if available < 4:
        return None
    length = buffer[start + 2] << 8 | buffer[start + 3]
    if length & 3:
        raise MalformedError(f"a STUN message in the stream claims {length} bytes, not a multiple of four")
    if available < 8:
        return None
    if buffer[start + 4 : start + 8] != b"\x21\x12\xa4\x42":
        raise MalformedError("a STUN message in the stream has the wrong magic cookie")
    return HEADER_SIZE + length
