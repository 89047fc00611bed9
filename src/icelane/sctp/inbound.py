"""The receiving side: which TSNs have arrived, fragments put together, messages in the order of their streams.

Fragments of a message have successive TSNs, so a message is a run of TSNs: pieces that touch are joined, and a run that
has both ends is a message. What the application has not released counts against the receive window, each message and
each piece of one with what keeping it costs beside its bytes.

TSNs count up in 64 bits here, as in `outbound`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from icelane.errors import AssociationError
from icelane.sctp.chunks import DataChunk
from icelane.sctp.event import MessageReceived
from icelane.sctp.tsn_ranges import TsnRanges

if TYPE_CHECKING:
    from icelane.sctp.event import SctpEvent

# What a message or a piece of one costs in memory beside its bytes: its objects, and its places in our collections and
# in those of who reads it. A window full of empty messages would otherwise hold seventy times what it says.
OVERHEAD: Final = 128
# How many pieces and messages may wait for what is missing; one more is dropped as if the network had lost it.
MAX_HELD: Final = 16_384
# So many small pieces of one message are joined, as nothing else bounds the number of those that come in order.
MAX_PIECES: Final = 1_024
# How many gaps may be open; a chunk that would make one more is dropped. A SACK has room for about 280.
MAX_GAPS: Final = 2_048
# Gap offsets have 16 bits; what is further ahead could not be acknowledged and is dropped.
MAX_AHEAD: Final = 65_535
# What is taken beyond the window: the probes of a sender whose window is closed (RFC 9260 section 6.1 A).
WINDOW_SLACK: Final = 65_536
# A sender that goes on into a closed window: after as much as the window, and this much for each second, the
# association is aborted.
OVERRUN_PER_SECOND: Final = 65_536
# Duplicates that one SACK reports; more are counted and not reported.
MAX_DUPLICATES: Final = 16

_END: Final = 0x01
_BEGIN: Final = 0x02
_UNORDERED: Final = 0x04
_OVERHEAD: Final = OVERHEAD


class _Run:
    """Fragments of one message whose TSNs follow on one another."""

    __slots__ = ("begins", "ends", "first", "last", "pieces", "ppid", "size", "ssn", "stream_id", "unordered")

    def __init__(self, chunk: DataChunk, tsn: int) -> None:
        self.first = tsn
        self.last = tsn
        self.begins = chunk.flags & _BEGIN != 0
        self.ends = chunk.flags & _END != 0
        self.unordered = chunk.flags & _UNORDERED != 0
        self.stream_id = chunk.stream_id
        self.ssn = chunk.ssn
        self.ppid = chunk.ppid
        self.size = len(chunk.payload)
        self.pieces: deque[bytes] = deque((chunk.payload,))


class Inbound:
    """What the peer sends. Messages are appended to `events`.

    `held` is the bytes that wait for what is missing, `unreleased` those of the `unreleased_count` messages that the
    application was given and has not released. AssociationError out of `accept` or `forward` means that the peer broke
    a rule that ends the association.
    """

    __slots__ = (
        "_duplicates",
        "_events",
        "_held_count",
        "_max_message_size",
        "_next_ssns",
        "_overrun",
        "_overrun_at",
        "_ranges",
        "_runs_by_first",
        "_runs_by_last",
        "_skipped_through",
        "_streams",
        "_waiting",
        "_window",
        "bytes_received",
        "cumulative",
        "held",
        "invalid_stream",
        "messages_received",
        "unreleased",
        "unreleased_count",
    )

    def __init__(
        self, initial_tsn: int, window: int, max_message_size: int, streams: int, events: deque[SctpEvent]
    ) -> None:
        self.cumulative = initial_tsn - 1
        self.held = 0
        self.unreleased = 0
        self.unreleased_count = 0
        self.invalid_stream = -1  # the last stream that there is not, of a chunk since this was set to -1
        self.bytes_received = 0
        self.messages_received = 0
        self._window = window
        self._max_message_size = max_message_size
        self._streams = streams
        self._events = events
        self._ranges = TsnRanges()
        self._duplicates: list[int] = []
        self._runs_by_first: dict[int, _Run] = {}
        self._runs_by_last: dict[int, _Run] = {}
        self._held_count = 0
        self._next_ssns: dict[int, int] = {}  # at most 65,536: one for each stream that carried ordered messages
        self._waiting: dict[int, dict[int, MessageReceived]] = {}  # by stream and sequence number
        self._skipped_through = -1
        self._overrun = 0.0
        self._overrun_at = 0.0

    def room(self) -> int:
        """The receive window: what may still be sent to us."""
        count = self._held_count + self.unreleased_count
        return max(self._window - self.held - self.unreleased - count * _OVERHEAD, 0)

    @property
    def has_gaps(self) -> bool:
        """Whether something is missing."""
        return len(self._ranges) > 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits for anything."""
        return not (self._runs_by_first or self._waiting or self.held or self._held_count or len(self._ranges))

    def gaps(self, limit: int) -> list[int]:
        """The first ranges beyond the cumulative TSN as a flat list of firsts and lasts."""
        return self._ranges.blocks(limit)

    def take_duplicates(self) -> list[int]:
        """The TSNs that arrived again since last time."""
        duplicates = self._duplicates
        self._duplicates = []
        return duplicates

    @property
    def has_duplicates(self) -> bool:
        """Whether there are some."""
        return len(self._duplicates) > 0

    def release(self, size: int, messages: int = 1) -> None:
        """The application is done with that many bytes of that many messages."""
        self.unreleased = max(self.unreleased - size, 0)
        self.unreleased_count = max(self.unreleased_count - messages, 0)

    # Chunks

    def accept(self, chunk: DataChunk, now: float) -> None:
        """A DATA chunk arrived (RFC 9260 section 6.2). Raises AssociationError."""
        ahead = (chunk.tsn - self.cumulative) & 0xFFFFFFFF
        tsn = self.cumulative + ahead
        if ahead == 0 or ahead >= 0x80000000 or self._ranges.contains(tsn):
            if len(self._duplicates) < MAX_DUPLICATES:
                self._duplicates.append(chunk.tsn)
            return
        size = len(chunk.payload)
        if size == 0:
            raise AssociationError("a DATA chunk without user data")
        if not self._has_room(ahead, size, now):
            return
        self.bytes_received += size
        if chunk.stream_id < self._streams:
            self._put_together(chunk, tsn, size)
        else:
            self.invalid_stream = chunk.stream_id  # RFC 9260 section 6.5: acknowledged, reported, and not kept
        if ahead == 1:
            self.cumulative = self._ranges.take_adjoining(tsn)
        else:
            self._ranges.add(tsn)

    def _has_room(self, ahead: int, size: int, now: float) -> bool:
        # The number of what is held has a bound of its own. Were it to count here, many small messages behind a gap
        # could keep out the chunk that fills it, from a sender that has kept to the window as it was told.
        taken = self.held + self.unreleased + self.unreleased_count * _OVERHEAD
        if taken + size > self._window + WINDOW_SLACK:
            self._count_overrun(size, now)
            return False
        if ahead == 1:
            return True
        return ahead <= MAX_AHEAD and self._held_count < MAX_HELD and len(self._ranges) < MAX_GAPS

    def _count_overrun(self, size: int, now: float) -> None:
        self._overrun = max(self._overrun - (now - self._overrun_at) * OVERRUN_PER_SECOND, 0.0) + size
        self._overrun_at = now
        if self._overrun > self._window:
            raise AssociationError("the peer ignores the receive window")

    def _received(self, tsn: int) -> bool:
        return tsn <= self.cumulative or self._ranges.contains(tsn)

    # Messages

    def _put_together(self, chunk: DataChunk, tsn: int, size: int) -> None:
        flags = chunk.flags
        if flags & 3 == 3 and not self._runs_by_first:
            self._complete(chunk.stream_id, chunk.ssn, chunk.ppid, flags & _UNORDERED != 0, chunk.payload)
            return
        left = self._runs_by_last.get(tsn - 1)
        right = self._runs_by_first.get(tsn + 1)
        if flags & _BEGIN:
            if left is not None and not left.ends:
                raise AssociationError("a message begins before the end of the one before it")
            left = None
        elif left is None or left.ends:
            if self._received(tsn - 1):
                if tsn - 1 != self._skipped_through:
                    raise AssociationError("a message has no beginning")
                self._skipped_through = tsn  # the rest of a message that FORWARD-TSN gave up
                return
            left = None
        if flags & _END:
            if right is not None and not right.begins:
                raise AssociationError("a message goes on after its end")
            right = None
        elif right is None or right.begins:
            if self._received(tsn + 1):
                raise AssociationError("a message has no end")
            right = None
        if flags & 3 == 3:
            self._complete(chunk.stream_id, chunk.ssn, chunk.ppid, flags & _UNORDERED != 0, chunk.payload)
        else:
            self._join(chunk, tsn, size, left, right)

    def _join(self, chunk: DataChunk, tsn: int, size: int, left: _Run | None, right: _Run | None) -> None:
        run = _Run(chunk, tsn)
        self.held += size
        self._held_count += 1
        if left is not None:
            del self._runs_by_first[left.first]
            del self._runs_by_last[left.last]
            run = _joined(left, run)
        if right is not None:
            del self._runs_by_first[right.first]
            del self._runs_by_last[right.last]
            run = _joined(run, right)
        if run.size > self._max_message_size:
            raise AssociationError(f"a message is longer than {self._max_message_size} bytes")
        if run.begins and run.ends:
            self.held -= run.size
            self._held_count -= len(run.pieces)
            self._complete(run.stream_id, run.ssn, run.ppid, run.unordered, b"".join(run.pieces))
        else:
            self._runs_by_first[run.first] = run
            self._runs_by_last[run.last] = run
            if len(run.pieces) >= MAX_PIECES and len(run.pieces) * _OVERHEAD > run.size:
                self._held_count -= len(run.pieces) - 1
                run.pieces = deque((b"".join(run.pieces),))

    def _complete(self, stream_id: int, ssn: int, ppid: int, unordered: bool, data: bytes) -> None:
        if len(data) > self._max_message_size:
            raise AssociationError(f"a message is longer than {self._max_message_size} bytes")
        message = MessageReceived(stream_id, ppid, data)
        if unordered:
            self._deliver(message, len(data))
            return
        next_ssn: int = self._next_ssns.get(stream_id, 0)
        if ssn == next_ssn:
            self._deliver(message, len(data))
            self._next_ssns[stream_id] = (ssn + 1) & 0xFFFF
            if self._waiting:
                self._deliver_waiting(stream_id)
            return
        waiting = self._waiting.setdefault(stream_id, {})
        if (ssn - next_ssn) & 0xFFFF >= 0x8000 or ssn in waiting:
            raise AssociationError(f"sequence number {ssn} came twice on stream {stream_id}")
        waiting[ssn] = message
        self.held += len(data)
        self._held_count += 1

    def _deliver(self, message: MessageReceived, size: int) -> None:
        self.unreleased += size
        self.unreleased_count += 1
        self.messages_received += 1
        self._events.append(message)

    def _deliver_waiting(self, stream_id: int) -> None:
        waiting = self._waiting.get(stream_id)
        if waiting is None:
            return
        ssn: int = self._next_ssns[stream_id]
        while (message := waiting.pop(ssn, None)) is not None:
            self._take_from_waiting(message)
            self._deliver(message, len(message.data))
            ssn = (ssn + 1) & 0xFFFF
        self._next_ssns[stream_id] = ssn
        if not waiting:
            del self._waiting[stream_id]

    def _take_from_waiting(self, message: MessageReceived) -> None:
        self.held -= len(message.data)
        self._held_count -= 1

    # What the peer takes back

    def forward(self, new_cumulative: int, ssns_by_stream: dict[int, int]) -> None:
        """FORWARD-TSN: what is missing up to `new_cumulative` does not come (RFC 3758 section 3.6)."""
        ahead = (new_cumulative - self.cumulative) & 0xFFFFFFFF
        if ahead == 0 or ahead >= 0x80000000:
            return
        through = self.cumulative + ahead
        self._skipped_through = through
        for run in [run for run in self._runs_by_first.values() if run.first <= through]:
            self._forget_run(run)
            self._skipped_through = max(self._skipped_through, run.last)
        self._ranges.drop_through(through)
        self.cumulative = self._ranges.take_adjoining(through)
        for stream_id, ssn in ssns_by_stream.items():
            self._skip(stream_id, ssn)

    def _forget_run(self, run: _Run) -> None:
        del self._runs_by_first[run.first]
        del self._runs_by_last[run.last]
        self.held -= run.size
        self._held_count -= len(run.pieces)

    def _skip(self, stream_id: int, ssn: int) -> None:
        """Nothing with a number up to `ssn` comes any more; what waited for it is delivered."""
        next_ssn = self._next_ssns.get(stream_id, 0)
        if stream_id >= self._streams or (ssn - next_ssn) & 0xFFFF >= 0x8000:
            return
        waiting = self._waiting.get(stream_id, {})
        passed = sorted([(number - next_ssn) & 0xFFFF for number in waiting])
        for offset in passed:
            if offset > (ssn - next_ssn) & 0xFFFF:
                break
            message = waiting.pop((next_ssn + offset) & 0xFFFF)
            self._take_from_waiting(message)
            self._deliver(message, len(message.data))
        self._next_ssns[stream_id] = (ssn + 1) & 0xFFFF
        self._deliver_waiting(stream_id)

    def reset_streams(self, stream_ids: tuple[int, ...]) -> None:
        """The peer's numbers on these streams begin anew, on all when there are none (RFC 6525 section 5.2.2)."""
        for stream_id in stream_ids or tuple(self._next_ssns):
            self._next_ssns.pop(stream_id, None)
            for message in self._waiting.pop(stream_id, {}).values():
                self._take_from_waiting(message)

    def clear(self) -> None:
        """Forget everything: the association is over."""
        self._runs_by_first.clear()
        self._runs_by_last.clear()
        self._waiting.clear()
        self._next_ssns.clear()
        self._ranges.clear()
        self._duplicates.clear()
        self.held = self._held_count = 0


def _joined(left: _Run, right: _Run) -> _Run:
    """Both as one. The shorter is moved to the longer, so that no order of arrival makes it expensive."""
    if (left.stream_id, left.ssn, left.unordered) != (right.stream_id, right.ssn, right.unordered):
        raise AssociationError("successive fragments belong to different messages")
    if len(left.pieces) >= len(right.pieces):
        left.pieces.extend(right.pieces)
        run = left
    else:
        right.pieces.extendleft(reversed(left.pieces))
        run = right
    run.ppid = left.ppid
    first, last, begins, ends, size = left.first, right.last, left.begins, right.ends, left.size + right.size
    run.first, run.last, run.begins, run.ends, run.size = first, last, begins, ends, size
    return run
