"""An SCTP association over one DTLS connection (RFC 9260, RFC 8261), from the handshake to its end.

    association = SctpAssociation(entropy=SystemEntropy())
    association.connect(now)
    association.send(0, 51, b"hello", now)

It is point-to-point: a datagram is what DTLS carried, and there is no path. Both ends call `connect`. What the
application was given counts against the receive window until it calls `release`, so a slow reader slows the sender.

A driver that received several datagrams at once hands them over between `begin_batch` and `end_batch`, and one SACK
answers all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal
from icelane.errors import (
    AssociationError,
    InvalidAccessError,
    InvalidStateError,
    MalformedError,
    MessageTooLargeError,
    OperationError,
)
from icelane.sctp.checksum import is_sealed
from icelane.sctp.chunks import ChunkType, parse_chunk_spans
from icelane.sctp.control_chunks import CauseCode
from icelane.sctp.event import AssociationState, BufferedAmountLow, SctpEvent, SctpStatistics
from icelane.sctp.lifecycle import Lifecycle
from icelane.sctp.options import SctpOptions
from icelane.sctp.send_queue import OutgoingMessage

# RFC 8841 section 6.1: what a peer takes that says nothing about it.
DEFAULT_MAX_MESSAGE_SIZE: Final = 65_536

_State = AssociationState
_ZERO: Final = b"\0\0\0\0"
_TAG_REFLECTED: Final = 0x01
_ALONE: Final = frozenset((ChunkType.INIT, ChunkType.INIT_ACK, ChunkType.SHUTDOWN_COMPLETE))


class SctpAssociation:
    """One association. After `Terminated` it remembers nothing, and says at most once more that it is over."""

    def __init__(self, *, entropy: Entropy, options: SctpOptions | None = None) -> None:
        self._options = options or SctpOptions()
        self._events: deque[SctpEvent] = deque()
        self._life = Lifecycle(entropy, self._options, self._events)
        self._queue = self._life.outbound.queue
        self._now = Instant(0.0)
        self._max_message_size = DEFAULT_MAX_MESSAGE_SIZE
        self._batching = False
        self._packets_sent = 0
        self._packets_received = 0
        self._packets_discarded = 0

    # Inputs

    def handle_datagram(self, data: bytes, now: Instant) -> None:
        """DTLS carried `data` here. What is not for us or does not parse is dropped and counted."""
        self._now = now
        life = self._life
        self._packets_received += 1
        try:
            spans = parse_chunk_spans(data)
            self._check_packet(data, spans)
            if life.state is _State.ENDED:
                life.answer_after_end(data[spans[0]])
                return
            for i in range(0, len(spans), 2):
                start, end = spans[i], spans[i + 1]
                kind = data[start]
                if life.transfer is not None and life.transfer.handle_chunk(kind, data, start, end, now):
                    continue
                if not life.handle_chunk(kind, data[start:end], now):
                    break
        except MalformedError:
            self._packets_discarded += 1
        except AssociationError as error:
            life.abort(CauseCode.PROTOCOL_VIOLATION, str(error), error)
        if life.transfer is not None:
            life.transfer.end_packet()
            if not self._batching:
                self._end_input(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self._now = now
        life = self._life
        try:
            life.handle_timeout(now)
        except AssociationError as error:
            life.abort(CauseCode.USER_INITIATED_ABORT, str(error), error)  # silence breaks no rule
        if life.transfer is not None:
            life.transfer.handle_timeout(now)

    def begin_batch(self) -> None:
        """The next datagrams arrived together: they are answered together, by `end_batch`."""
        self._batching = True

    def end_batch(self, now: Instant) -> None:
        """That was all."""
        self._now = now
        self._batching = False
        if self._life.transfer is not None:
            self._end_input(now)

    # Commands

    def connect(self, now: Instant) -> None:
        """Begin the handshake, unless the peer's has come first. Raises InvalidStateError after the end."""
        self._now = now
        if self._life.closing or self._life.state is _State.ENDED:
            raise InvalidStateError("the association has ended")
        self._life.connect(now)

    def send(
        self,
        stream_id: int,
        ppid: int,
        data: bytes,
        now: Instant,
        *,
        ordered: bool = True,
        max_retransmissions: int | None = None,
        lifetime: Duration | None = None,
    ) -> None:
        """Queue a message of at least one byte; before the association is established it waits for that.

        It is given up after so many retransmissions, or when it is older than `lifetime` seconds, if the peer lets us.
        Raises MessageTooLargeError beyond what the peer takes, OperationError when too much is waiting already,
        InvalidAccessError for a stream that there is not, InvalidStateError on one that is being reset and once the
        association is closing.
        """
        self._now = now
        if self._life.closing or self._life.state is _State.ENDED:
            raise InvalidStateError("the association is closing")
        self._check_message(stream_id, len(data))
        stream = self._queue.stream(stream_id)
        if stream.resetting:
            raise InvalidStateError(f"stream {stream_id} is being reset")
        message = OutgoingMessage(stream, ppid, bytes(data), ordered)
        if max_retransmissions is not None:
            message.max_retransmissions = max_retransmissions
        if lifetime is not None:
            message.expires_at = later(now, lifetime)
        self._life.outbound.send(message)

    def set_max_message_size(self, size: int) -> None:
        """What the peer takes, as its session description says; 0 is no limit (RFC 8841 section 6.1)."""
        self._max_message_size = size

    def set_remote_port(self, port: int) -> None:
        """The peer's SCTP port, as its session description says."""
        self._life.remote_port = port

    def set_low_threshold(self, stream_id: int, amount: int) -> None:
        """Tell by BufferedAmountLow when no more than `amount` bytes wait on that stream any longer."""
        self._queue.stream(stream_id).low_threshold = amount

    def reset_streams(self, stream_ids: Iterable[int], now: Instant) -> None:
        """Reset our side of these streams once everything sent on them has left.

        ResetCompleted or ResetRefused follows. Raises InvalidStateError unless the association is established.
        """
        self._now = now
        transfer = self._life.transfer
        if transfer is None or self._life.state is not _State.ESTABLISHED:
            raise InvalidStateError("only an established association resets streams")
        transfer.reset.request([one for one in dict.fromkeys(stream_ids) if not self._queue.stream(one).resetting])

    def release(self, size: int, now: Instant, *, messages: int = 1) -> None:
        """The application is done with a message of `size` bytes that it was given, or with several of so many."""
        self._now = now
        if self._life.transfer is not None:
            self._life.transfer.release(size, messages)

    def close(self, now: Instant) -> None:
        """End in good order: what was sent before arrives first. Terminated follows. Idempotent."""
        self._now = now
        if not self._life.closing and self._life.state is not _State.ENDED:
            self._life.close(now)

    def abort(self, reason: str, now: Instant) -> None:
        """End at once; what is under way is lost. `reason` goes to the peer. Idempotent."""
        self._now = now
        if self._life.state is not _State.ENDED:
            self._life.abort(CauseCode.USER_INITIATED_ABORT, reason, None)

    # Outputs

    def poll_transmit(self) -> bytes | None:
        """The next packet for DTLS, or None."""
        life = self._life
        if life.packets:
            self._packets_sent += 1
            return life.packets.popleft()
        if life.transfer is None:
            return None
        packet = life.transfer.build_packet(life.control, self._now)
        if packet is not None:
            self._packets_sent += 1
        return packet

    def poll_event(self) -> SctpEvent | None:
        """What happened next, or None."""
        if self._queue.lowered:
            self._events.extend([BufferedAmountLow(stream_id) for stream_id in self._queue.lowered])
            self._queue.lowered.clear()
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When to be called again, or None."""
        at = self._life.next_timeout()
        if self._life.transfer is not None:
            at = min(at, Instant(self._life.transfer.next_timeout()))
        return None if at == NEVER else at

    # What it looks like

    @property
    def state(self) -> AssociationState:
        """Where the association stands."""
        return self._life.state

    @property
    def max_message_size(self) -> int:
        """The longest message that the peer takes, 0 where it takes any."""
        return self._max_message_size

    @property
    def streams(self) -> int:
        """How many streams we may use; before the handshake, what we will ask for."""
        transfer = self._life.transfer
        return self._options.streams if transfer is None else transfer.agreement.outbound_streams

    def buffered_amount(self, stream_id: int) -> int:
        """The bytes that were queued on that stream and have not left yet."""
        stream = self._queue.find(stream_id)
        return 0 if stream is None else stream.buffered

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent, acknowledged, put together or reset."""
        transfer = self._life.transfer
        return self._life.outbound.idle and (transfer is None or (transfer.inbound.empty and transfer.reset.empty))

    @property
    def statistics(self) -> SctpStatistics:
        """Counters and estimates."""
        outbound, recovery = self._life.outbound, self._life.outbound.recovery
        inbound = self._life.transfer.inbound if self._life.transfer else None
        return SctpStatistics(
            packets_sent=self._packets_sent,
            packets_received=self._packets_received,
            packets_discarded=self._packets_discarded,
            bytes_sent=outbound.bytes_sent,
            bytes_received=inbound.bytes_received if inbound else 0,
            messages_sent=outbound.messages_sent,
            messages_received=inbound.messages_received if inbound else 0,
            retransmissions=outbound.retransmissions,
            timeouts=outbound.timeouts,
            congestion_window=outbound.congestion.window,
            bytes_in_flight=outbound.flight,
            smoothed_round_trip=recovery.smoothed_round_trip,
            minimum_round_trip=recovery.minimum_round_trip,
            retransmission_timeout=recovery.timeout,
            peer_window=outbound.peer_window,
            receive_window=inbound.room() if inbound else self._options.receive_window,
            buffered_amount=self._queue.buffered,
        )

    # How

    def _check_packet(self, data: bytes, spans: list[int]) -> None:
        """RFC 9260 section 8.5: ports, verification tag and checksum. Raises MalformedError."""
        options, life = self._options, self._life
        if data[0] << 8 | data[1] != life.remote_port or data[2] << 8 | data[3] != options.local_port:
            raise MalformedError("a packet for other ports")
        kind = data[spans[0]]
        tag = data[4:8]
        sealed = data[8:12] != _ZERO or not options.zero_checksum
        if kind == ChunkType.INIT:
            if any(tag):
                raise MalformedError("an INIT has a tag of zero")
            sealed = True  # RFC 9653 section 5.3: nothing is agreed yet
        elif not equal(tag, life.handshake.packed_tag):
            reflects = kind in (ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE) and data[spans[0] + 1] & _TAG_REFLECTED
            if not (reflects and life.peer_tag and equal(tag, life.peer_tag.to_bytes(4, "big"))):
                raise MalformedError("a wrong verification tag")
        if (sealed or kind == ChunkType.COOKIE_ECHO) and not is_sealed(data):
            raise MalformedError("a wrong checksum")
        if len(spans) > 2 and any(data[start] in _ALONE for start in spans[::2]):
            raise MalformedError("INIT, INIT ACK and SHUTDOWN COMPLETE stand alone")  # RFC 9260 section 6.10

    def _end_input(self, now: Instant) -> None:
        transfer = self._life.transfer
        if transfer is not None:
            transfer.end_batch(now)
            self._life.on_activity(now)

    def _check_message(self, stream_id: int, size: int) -> None:
        limit = self._max_message_size
        if limit and size > limit:
            raise MessageTooLargeError(f"the peer takes {limit} bytes, not {size}")
        if not 0 <= stream_id < self.streams:
            raise InvalidAccessError(f"stream {stream_id} of {self.streams}")
        if not size:
            raise InvalidAccessError("SCTP carries no empty messages")
        if self._queue.buffered + size > self._options.send_buffer:
            raise OperationError(f"{self._queue.buffered} bytes wait to be sent already")
