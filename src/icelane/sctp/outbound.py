"""The sending side: fragments become DATA chunks, wait for their SACK, and are sent again when they are lost.

    outbound.send(message)
    outbound.fill(parts, room, now)        appends DATA chunks to a packet, as window, peer and pace allow
    outbound.handle_sack(sack, now)
    outbound.handle_timeout(now)
    outbound.next_timeout()

TSNs count up in 64 bits here and are cut to 32 at the wire, so they never wrap.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Instant
from icelane.errors import AssociationError
from icelane.sctp.chunks import DATA_HEADER_SIZE, HEADER_SIZE, SackChunk, encode_data_header
from icelane.sctp.congestion import Acknowledgement, CongestionController
from icelane.sctp.pacer import Pacer
from icelane.sctp.recovery import DUPLICATE_THRESHOLD, Recovery
from icelane.sctp.send_queue import OutgoingChunk, OutgoingMessage, OutgoingStream, SendQueue
from icelane.sctp.tsn_ranges import TsnRanges

# More chunks than this never wait for their SACK: their sequence numbers and gap offsets stay far from wrapping, and so
# does the peer's memory for what it cannot deliver yet.
MAX_OUTSTANDING: Final = 16_384
# A message that does not fit in a packet that others began is cut only if that much of it fits.
LEAST_PIECE: Final = 256

_NEVER: Final = float(NEVER)
_COMPACT_AFTER: Final = 1024

_END: Final = 0x01
_BEGIN: Final = 0x02
_UNORDERED: Final = 0x04
_IMMEDIATE: Final = 0x08


class Outbound:
    """What we send: the queue, the chunks that wait for their SACK, and the peer's window.

    `partial_reliability` says whether the peer knows FORWARD-TSN; without it every message is sent until it arrives.
    """

    __slots__ = (
        "_acked_ranges",
        "_app_limited_until",
        "_chunks",
        "_congestion",
        "_delivered",
        "_delivered_at",
        "_first_sent_at",
        "_forward_at",
        "_forward_sent",
        "_forward_to",
        "_gap_acked",
        "_head",
        "_lost",
        "_may_exceed_window",
        "_pacer",
        "_probing",
        "_recovery_ends_at",
        "_sample",
        "_sample_acked",
        "_sample_advanced",
        "_sample_app_limited",
        "_sample_first_sent",
        "_sample_lost",
        "_sample_prior_at",
        "_sample_prior_delivered",
        "_sample_round_trip",
        "_sample_sent_at",
        "_sample_window_limited",
        "_window",
        "_window_probe_at",
        "bytes_sent",
        "cumulative",
        "errors",
        "flight",
        "max_fragment",
        "messages_sent",
        "next_tsn",
        "partial_reliability",
        "peer_window",
        "queue",
        "recovery",
        "retransmissions",
        "timeouts",
        "unacked",
    )

    def __init__(self, initial_tsn: int, path_mtu: int, congestion: CongestionController) -> None:
        self.queue = SendQueue()
        self.recovery = Recovery()
        self.next_tsn = initial_tsn
        self.cumulative = initial_tsn - 1
        self.max_fragment = path_mtu - HEADER_SIZE - DATA_HEADER_SIZE
        self.partial_reliability = False
        self.peer_window = 0
        self.flight = 0  # bytes on their way: sent, neither acknowledged nor lost
        self.unacked = 0  # bytes sent and not acknowledged, on their way or not
        self.errors = 0  # timeouts in a row
        self.bytes_sent = 0
        self.messages_sent = 0
        self.retransmissions = 0
        self.timeouts = 0
        self._congestion = congestion
        self._pacer = Pacer(path_mtu)
        self._chunks: list[OutgoingChunk] = []  # of TSN cumulative + 1 on, from index _head on
        self._head = 0
        self._lost: deque[OutgoingChunk] = deque()
        self._acked_ranges = TsnRanges()
        self._gap_acked = 0
        self._recovery_ends_at = -1
        self._may_exceed_window = False
        self._probing = False
        self._window_probe_at = _NEVER
        # RFC 3758 section 3.5: all up to here is acknowledged or abandoned.
        self._forward_to = self.cumulative
        self._forward_sent = self.cumulative
        self._forward_at = _NEVER
        self._delivered = 0
        self._delivered_at = 0.0
        self._first_sent_at = 0.0
        self._app_limited_until = 0
        self._sample = Acknowledgement()
        self._sample_acked = 0
        self._sample_lost = 0
        self._sample_prior_delivered = -1
        self._sample_round_trip = 0.0
        self._sample_app_limited = False
        self._sample_advanced = False
        self._sample_window_limited = False
        self._sample_prior_at = 0.0
        self._sample_sent_at = 0.0
        self._sample_first_sent = 0.0
        self._window = congestion.window

    @property
    def outstanding(self) -> int:
        """How many chunks wait for their SACK, abandoned ones with them."""
        return len(self._chunks) - self._head

    @property
    def idle(self) -> bool:
        """Whether everything that was sent has arrived or was given up, and nothing waits."""
        return self._head == len(self._chunks) and not self.queue.buffered

    @property
    def congestion(self) -> CongestionController:
        """The controller."""
        return self._congestion

    # Sending

    def send(self, message: OutgoingMessage) -> None:
        """Queue a message."""
        if not self.partial_reliability:
            message.max_retransmissions = -1
            message.expires_at = NEVER
        self.queue.push(message)
        self.messages_sent += 1

    def limit_reliability(self, allowed: bool) -> None:
        """The handshake has shown whether messages may be given up."""
        self.partial_reliability = allowed

    def fill(self, parts: list[bytes], room: int, now: float) -> int:
        """Append DATA chunks of at most `room` bytes to a packet; returns how many bytes."""
        used = 0
        self._pacer.next_at = _NEVER
        if self._lost:
            used = self._fill_again(parts, room, now)
        while (message := self.queue.current(now)) is not None:
            if message.expires_at <= now:
                self._abandon(message, now)
                continue
            piece = self._next_piece(message, room - used, now)
            if piece == 0:
                return used
            used += self._send_new(message, piece, parts, now)
        if self.flight < self._window and not self._lost:
            self._app_limited_until = self._delivered + self.flight or 1
        return used

    def _fill_again(self, parts: list[bytes], room: int, now: float) -> int:
        used = 0
        lost = self._lost
        while lost:
            chunk = lost[0]
            if not chunk.lost:  # acknowledged or abandoned meanwhile
                lost.popleft()
                continue
            if self._gives_up(chunk, now):
                self._abandon(chunk.message, now)
                continue
            if DATA_HEADER_SIZE + chunk.size > room - used:
                break
            # RFC 9260 section 7.2.4 rule 3: the first retransmission does not ask the window.
            if not self._may_exceed_window and (self.flight >= self._window or not self._pacer.allows(now)):
                break
            self._may_exceed_window = False
            lost.popleft()
            chunk.lost = False
            self.retransmissions += 1
            used += self._put(chunk, parts, now)
        return used

    def _next_piece(self, message: OutgoingMessage, room: int, now: float) -> int:
        """How many bytes of the current message go into what is left of the packet; 0 for none now."""
        if self._lost or room <= DATA_HEADER_SIZE or self.outstanding >= MAX_OUTSTANDING:
            return 0
        if self.flight >= self._window or not self._pacer.allows(now):
            return 0
        rest = message.size - message.offset
        space = room - DATA_HEADER_SIZE
        if rest > space:
            if space < self.max_fragment and (rest <= self.max_fragment or space < LEAST_PIECE):
                return 0
            rest = space & ~3
        if self.unacked + rest > self.peer_window and not self._may_probe_window(now):
            return 0
        return rest

    def _may_probe_window(self, now: float) -> bool:
        """RFC 9260 section 6.1 A: into a closed window goes one chunk, when nothing is on its way, after a timeout."""
        if self.unacked:
            return False
        if self._window_probe_at == _NEVER:
            self._window_probe_at = now + self.recovery.current_timeout()
        if now < self._window_probe_at:
            return False
        self._window_probe_at = _NEVER
        self._probing = True
        return True

    def _send_new(self, message: OutgoingMessage, size: int, parts: list[bytes], now: float) -> int:
        flags = 0 if message.ordered else _UNORDERED
        stream: OutgoingStream = message.stream
        if message.offset == 0:
            flags |= _BEGIN
            message.first_tsn = self.next_tsn
            if message.ordered:
                message.ssn = stream.next_ssn
                stream.next_ssn = (stream.next_ssn + 1) & 0xFFFF
        if message.offset + size == message.size:
            flags |= _END
            if message.immediate:
                flags |= _IMMEDIATE
        chunk = OutgoingChunk(self.next_tsn, message, message.offset, size, flags)
        message.last_tsn = stream.last_tsn = self.next_tsn
        self.next_tsn += 1
        self._chunks.append(chunk)
        self.unacked += size
        self.queue.advance(message, size)
        return self._put(chunk, parts, now)

    def _put(self, chunk: OutgoingChunk, parts: list[bytes], now: float) -> int:
        size = chunk.size
        message: OutgoingMessage = chunk.message
        flags = chunk.flags
        if self._probing or chunk.transmissions > 0:
            flags |= _IMMEDIATE  # RFC 7053: there is nothing to wait for
            self._probing = False
        parts.append(encode_data_header(flags, size, chunk.tsn, message.stream.stream_id, message.ssn, message.ppid))
        if size == message.size:
            parts.append(message.data)
        else:
            parts.append(message.data[chunk.offset : chunk.offset + size])
        padding = -size & 3
        if padding:
            parts.append(b"\0\0\0"[:padding])
        if self.flight == 0:
            self._first_sent_at = self._delivered_at = now
        chunk.first_sent_at = self._first_sent_at
        chunk.delivered_at = self._delivered_at
        chunk.delivered = self._delivered
        chunk.app_limited = self._app_limited_until > self._delivered
        self.flight += size
        self.bytes_sent += size
        self.recovery.on_sent(chunk, now)
        self._pacer.on_sent(size + DATA_HEADER_SIZE)
        return DATA_HEADER_SIZE + size + padding

    # Acknowledgements

    def handle_sack(self, sack: SackChunk, now: float) -> None:
        """Believe a SACK (RFC 9260 section 6.2.1). Raises AssociationError when it acknowledges what was never sent."""
        advance = (sack.cumulative_tsn - self.cumulative) & 0xFFFFFFFF
        if advance >= 0x80000000:
            return  # an old one that was overtaken
        through = self.cumulative + advance
        if through >= self.next_tsn:
            raise AssociationError("the peer acknowledged data that was never sent")
        self._begin_sample()
        self._acknowledge_through(through, now)
        if sack.gaps:
            self._acknowledge_gaps(sack.gaps, now)
        if sack.duplicates:
            self.recovery.on_duplicates()
        self.peer_window = sack.window
        if sack.window:
            self._window_probe_at = _NEVER
        self.errors = 0
        if self._sample_round_trip > 0.0:
            self.recovery.learn_round_trip(self._sample_round_trip)
        if self._sample_acked or self._sample_advanced:
            self.recovery.on_progress(now, self.unacked > 0)
        self._advance_forward(now)
        self._find_lost(now)
        self._end_sample(now)

    def _begin_sample(self) -> None:
        self._sample_acked = self._sample_lost = 0
        self._sample_prior_delivered = -1
        self._sample_round_trip = 0.0
        self._sample_advanced = False
        self._sample_window_limited = self.flight + self.max_fragment >= self._window

    def _acknowledge_through(self, through: int, now: float) -> None:
        chunks = self._chunks
        head = self._head
        if through == self.cumulative:
            return
        for _ in range(through - self.cumulative):
            chunk: OutgoingChunk = chunks[head]
            head += 1
            if not chunk.acked:
                self._acknowledge(chunk, now)
            else:
                self._gap_acked -= 1
        if head > _COMPACT_AFTER and 2 * head > len(chunks):
            del chunks[:head]
            head = 0
        elif head == len(chunks):
            chunks.clear()
            head = 0
        self._head = head
        self.cumulative = through
        self._sample_advanced = True
        self._acked_ranges.drop_through(through)
        if through >= self._recovery_ends_at:
            self._recovery_ends_at = -1

    def _acknowledge_gaps(self, gaps: list[int], now: float) -> None:
        base = self.cumulative
        for i in range(0, len(gaps), 2):
            first = base + int(gaps[i])
            last = base + int(gaps[i + 1])
            if first <= base or last < first or last >= self.next_tsn:
                raise AssociationError("the peer acknowledged a range that was never sent")
            new = self._acked_ranges.add_range(first, last)
            for j in range(0, len(new), 2):
                tsn = int(new[j])
                end = int(new[j + 1])
                while tsn <= end:
                    chunk: OutgoingChunk = self._chunks[self._head + tsn - base - 1]
                    tsn += 1
                    if not chunk.acked:
                        self._acknowledge(chunk, now)
                        self._gap_acked += 1

    def _acknowledge(self, chunk: OutgoingChunk, now: float) -> None:
        size = chunk.size
        chunk.acked = True
        if chunk.abandoned:
            return
        if chunk.linked:
            self.flight -= size
        chunk.lost = False
        self.unacked -= size
        self._delivered += size
        self._delivered_at = now
        round_trip = self.recovery.on_acked(chunk, now)
        self._sample_acked += size
        if round_trip > 0.0 and (self._sample_round_trip == 0.0 or round_trip < self._sample_round_trip):
            self._sample_round_trip = round_trip
        if chunk.delivered > self._sample_prior_delivered or (
            chunk.delivered == self._sample_prior_delivered and chunk.sent_at > self._sample_sent_at
        ):
            self._sample_prior_delivered = chunk.delivered
            self._sample_app_limited = chunk.app_limited
            self._sample_prior_at = chunk.delivered_at
            self._sample_first_sent = chunk.first_sent_at
            self._sample_sent_at = chunk.sent_at

    def _end_sample(self, now: float) -> None:
        if not self._sample_acked and not self._sample_lost:
            return
        rate = 0.0
        if self._sample_acked:
            self._first_sent_at = self._sample_sent_at
            # The slower of sending and acknowledging: a burst of SACKs does not make a fast path.
            interval = max(self._sample_sent_at - self._sample_first_sent, now - self._sample_prior_at)
            if interval >= self.recovery.minimum_round_trip and interval > 0.0:
                rate = (self._delivered - self._sample_prior_delivered) / interval
        sample = self._sample
        sample.acked = self._sample_acked
        sample.lost = self._sample_lost
        sample.flight = self.flight
        sample.delivered = self._delivered
        sample.prior_delivered = self._sample_prior_delivered
        sample.rate = rate
        sample.round_trip = self._sample_round_trip
        sample.app_limited = self._sample_app_limited
        sample.window_limited = self._sample_window_limited
        sample.cumulative_advanced = self._sample_advanced
        sample.in_recovery = self._recovery_ends_at >= 0
        self._congestion.on_acknowledged(sample, Instant(now))
        self._window = self._congestion.window
        self._pacer.rate = self._congestion.pacing_rate

    # Losses

    def handle_timeout(self, now: float) -> None:
        """One of the deadlines has come, or none."""
        recovery = self.recovery
        if now >= recovery.reordering_at:
            self._begin_sample()
            self._find_lost(now)
            self._end_sample(now)
        if now >= recovery.timeout_at:
            self._handle_retransmission_timeout(now)
        elif now >= recovery.probe_at:
            self._probe(now)

    def next_timeout(self) -> float:
        """The nearest deadline, infinite where there is none."""
        recovery = self.recovery
        nearest = min(recovery.reordering_at, recovery.timeout_at, recovery.probe_at)
        if self._pacer.next_at != _NEVER:
            return min(nearest, self._pacer.next_at)
        if self.queue.buffered and not self.unacked:
            return min(nearest, self._window_probe_at)
        return nearest

    def _find_lost(self, now: float) -> None:
        eager = self._recovery_ends_at >= 0 or self._gap_acked >= DUPLICATE_THRESHOLD
        found = self.recovery.find_lost(now, eager)
        if found:
            self._lose(found)
            self._sample_lost = sum([chunk.size for chunk in found])
            if self._recovery_ends_at < 0:
                self._recovery_ends_at = self.next_tsn - 1
                self._may_exceed_window = True
                self._congestion.on_recovery_entered(self.flight, Instant(now))
                self._window = self._congestion.window

    def _lose(self, found: list[OutgoingChunk]) -> None:
        for chunk in found:
            chunk.lost = True
            self.flight -= chunk.size
            self._lost.append(chunk)

    def _handle_retransmission_timeout(self, now: float) -> None:
        self.timeouts += 1
        self.errors += 1
        first = None if self._head == len(self._chunks) else self._chunks[self._head]
        found = self.recovery.on_timeout()
        if first is not None and first.acked:
            found += self._take_back_gaps()
        self._lose(found)
        self._lost = deque(sorted([chunk for chunk in self._lost if chunk.lost], key=_by_tsn))
        self._recovery_ends_at = -1
        self._may_exceed_window = True
        if self.peer_window > 0:  # a probe into a closed window may well be dropped
            self._congestion.on_timeout(Instant(now))
            self._window = self._congestion.window
        if self._forward_to > self.cumulative:
            self._forward_sent = self.cumulative
        if self.unacked or self._forward_to > self.cumulative:
            self.recovery.arm_timeout(now)

    def _take_back_gaps(self) -> list[OutgoingChunk]:
        """The peer dropped what it had acknowledged by gaps, as RFC 9260 section 6.2.1 lets it: it is due again."""
        taken = [chunk for chunk in self._chunks[self._head :] if chunk.acked and not chunk.abandoned]
        for chunk in taken:
            chunk.acked = False
            self.unacked += chunk.size
            self.flight += chunk.size  # `_lose` takes it off again
        self._acked_ranges.clear()
        self._gap_acked = 0
        return taken

    def _probe(self, now: float) -> None:
        """Nothing came back for two round trips: what was sent last goes again, to be answered at once (RFC 8985)."""
        self.recovery.on_probe()
        chunk = self.recovery.newest()
        if chunk is not None and not self._lost and not self._gives_up(chunk, now):
            self.recovery.forget(chunk)
            self._lose([chunk])
            self._may_exceed_window = True

    # Partial reliability (RFC 3758)

    def _gives_up(self, chunk: OutgoingChunk, now: float) -> bool:
        message: OutgoingMessage = chunk.message
        if message.expires_at <= now:
            return True
        return 0 <= message.max_retransmissions < chunk.transmissions

    def _abandon(self, message: OutgoingMessage, now: float) -> None:
        """Give a message up: all its chunks that have not arrived, and what was not sent of it."""
        message.abandoned = True
        if message.offset < message.size:
            self.queue.drop(message)
            # Only a TSN of its own tells the peer that the rest does not come, if all before it has arrived.
            chunk = OutgoingChunk(self.next_tsn, message, message.size, 0, _END)
            message.last_tsn = message.stream.last_tsn = self.next_tsn
            self.next_tsn += 1
            self._chunks.append(chunk)
        first = max(message.first_tsn, self.cumulative + 1)
        for tsn in range(first, message.last_tsn + 1):
            chunk = self._chunks[self._head + tsn - self.cumulative - 1]
            if chunk.acked or chunk.abandoned:
                continue
            chunk.abandoned = True
            chunk.lost = False
            if chunk.linked:
                self.flight -= chunk.size
                self.recovery.forget(chunk)
            self.unacked -= chunk.size
        self._advance_forward(now)

    def _advance_forward(self, now: float) -> None:
        if self._forward_to < self.cumulative:
            self._forward_to = self._forward_sent = self.cumulative
        i = self._head + self._forward_to - self.cumulative
        chunks = self._chunks
        while i < len(chunks):
            chunk: OutgoingChunk = chunks[i]
            if not chunk.abandoned:
                break
            self._forward_to += 1
            i += 1
        if self._forward_to > self.cumulative:
            # RFC 3758 section 3.5 rule C3 repeats it with each SACK that does not know it; once a round trip does.
            if now >= self._forward_at:
                self._forward_sent = self.cumulative
            self.recovery.arm_timeout(now)

    def forward_due(self) -> bool:
        """Whether a FORWARD-TSN should go into the next packet."""
        return self._forward_to > self._forward_sent

    def take_forward(self, room: int, now: float) -> tuple[int, dict[int, int]]:
        """What a FORWARD-TSN says: the new cumulative TSN, and the last number skipped in each stream; it is sent."""
        most = max((room - 8) // 4, 1)
        ssns: dict[int, int] = {}
        tsn = self.cumulative
        for i in range(self._head, self._head + self._forward_to - self.cumulative):
            message: OutgoingMessage = self._chunks[i].message
            if message.ordered:
                if message.stream.stream_id not in ssns and len(ssns) == most:
                    break
                ssns[message.stream.stream_id] = message.ssn
            tsn += 1
        self._forward_sent = self._forward_to
        self._forward_at = now + max(self.recovery.smoothed_round_trip, 0.02)
        return tsn, ssns

    def clear(self) -> None:
        """Forget everything: the association is over."""
        self.queue.clear()
        self.recovery.clear()
        self._chunks.clear()
        self._lost.clear()
        self._acked_ranges.clear()
        self._head = self.flight = self.unacked = self._gap_acked = 0
        self._window_probe_at = _NEVER
        self._forward_to = self._forward_sent = self.cumulative


def _by_tsn(chunk: OutgoingChunk) -> int:
    return chunk.tsn
