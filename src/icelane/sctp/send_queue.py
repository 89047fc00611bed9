"""What waits to be sent: messages by stream, taken in turn, one message at a time.

Without interleaving (RFC 8260) the fragments of a message have successive TSNs, so a message that was begun is sent to
its end; then the next stream that has one is served.
"""

from __future__ import annotations

from collections import deque

from icelane.core.clock import NEVER, Instant


class OutgoingMessage:
    """A message that waits, or is being sent, or has been sent in part.

    `offset` is how much has been given TSNs; `last_tsn` the last of them, -1 before. `max_retransmissions` is -1 where
    it is without limit.
    """

    __slots__ = (
        "abandoned",
        "data",
        "expires_at",
        "first_tsn",
        "immediate",
        "last_tsn",
        "max_retransmissions",
        "offset",
        "ordered",
        "ppid",
        "size",
        "ssn",
        "stream",
    )

    def __init__(self, stream: OutgoingStream, ppid: int, data: bytes, ordered: bool) -> None:
        self.stream = stream
        self.ppid = ppid
        self.data = data
        self.size = len(data)
        self.ordered = ordered
        self.offset = 0
        self.ssn = 0
        self.first_tsn = -1
        self.last_tsn = -1
        self.max_retransmissions = -1
        self.expires_at: Instant = NEVER
        self.immediate = False
        self.abandoned = False


class OutgoingStream:
    """Our sending side of a stream. `buffered` counts bytes that were not sent even once."""

    __slots__ = ("buffered", "last_tsn", "low_threshold", "messages", "next_ssn", "resetting", "stream_id")

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.messages: deque[OutgoingMessage] = deque()
        self.buffered = 0
        self.low_threshold = 0
        self.next_ssn = 0
        self.last_tsn = -1
        self.resetting = False


class OutgoingChunk:
    """A fragment that was given a TSN: where its payload is, and what became of it.

    The fields from `delivered` on are what was known when it was last sent, for the delivery rate. `older` and `newer`
    link the chunks that are on their way, in the order of their last transmission; `linked` says whether it is one.
    """

    __slots__ = (
        "abandoned",
        "acked",
        "app_limited",
        "delivered",
        "delivered_at",
        "first_sent_at",
        "flags",
        "linked",
        "lost",
        "message",
        "newer",
        "offset",
        "older",
        "sent_at",
        "size",
        "transmissions",
        "tsn",
    )

    def __init__(self, tsn: int, message: OutgoingMessage, offset: int, size: int, flags: int) -> None:
        self.tsn = tsn
        self.message = message
        self.offset = offset
        self.size = size
        self.flags = flags
        self.transmissions = 0
        self.acked = False
        self.lost = False
        self.abandoned = False
        self.linked = False
        self.sent_at = 0.0
        self.delivered = 0
        self.delivered_at = 0.0
        self.first_sent_at = 0.0
        self.app_limited = False
        self.older: OutgoingChunk | None = None
        self.newer: OutgoingChunk | None = None


class SendQueue:
    """All messages that were not given TSNs to their end. `buffered` is their bytes still to be sent.

    `lowered` collects the streams whose backlog has just sunk to their threshold; whoever sends takes them out.
    """

    __slots__ = ("_ready", "_streams", "buffered", "lowered")

    def __init__(self) -> None:
        self._streams: dict[int, OutgoingStream] = {}  # at most 65,536: ids are ours to choose, or answer the peer's
        self._ready: deque[OutgoingStream] = deque()
        self.buffered = 0
        self.lowered: list[int] = []

    def __len__(self) -> int:
        """How many streams are known."""
        return len(self._streams)

    def stream(self, stream_id: int) -> OutgoingStream:
        """Our side of that stream, new where it was not used yet."""
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = OutgoingStream(stream_id)
        return stream

    def find(self, stream_id: int) -> OutgoingStream | None:
        """Our side of that stream, None where it was not used yet."""
        return self._streams.get(stream_id)

    def forget(self, stream_id: int) -> None:
        """The stream was reset: what comes next begins anew."""
        self._streams.pop(stream_id, None)

    def push(self, message: OutgoingMessage) -> None:
        """Queue a message behind those of its stream."""
        stream = message.stream
        if not stream.messages:
            self._ready.append(stream)
        stream.messages.append(message)
        stream.buffered += message.size
        self.buffered += message.size

    def current(self, now: float) -> OutgoingMessage | None:
        """The message whose next fragment is due, None when nothing waits. Expired ones that were not begun go."""
        while self._ready:
            message = self._ready[0].messages[0]
            if message.offset or message.expires_at > now:
                return message
            self.drop(message)
        return None

    def advance(self, message: OutgoingMessage, size: int) -> None:
        """`size` more bytes of the current message were given a TSN."""
        message.offset += size
        self._take_off(message.stream, size)
        if message.offset == message.size:
            self._finish(message.stream)

    def drop(self, message: OutgoingMessage) -> None:
        """The rest of the current message will never be sent."""
        self._take_off(message.stream, message.size - message.offset)
        message.offset = message.size
        self._finish(message.stream)

    def clear(self) -> None:
        """Forget everything."""
        self._streams.clear()
        self._ready.clear()
        self.lowered.clear()
        self.buffered = 0

    def _take_off(self, stream: OutgoingStream, size: int) -> None:
        self.buffered -= size
        before = stream.buffered
        stream.buffered = before - size
        if stream.buffered <= stream.low_threshold < before:
            self.lowered.append(stream.stream_id)

    def _finish(self, stream: OutgoingStream) -> None:
        stream.messages.popleft()
        self._ready.popleft()
        if stream.messages:
            self._ready.append(stream)
