"""The established association as packets see it: chunks of data in, SACKs and packets out.

What comes in is answered by one SACK for each batch, at once for every second packet and whenever something is missing
or came twice, otherwise after a short delay or with the next data. While something is missing, each packet of a batch
has a SACK of its own, which peers count; for a while after that every second one has, since SACKs are lost too.
"""

from __future__ import annotations

from collections import deque
from struct import pack
from typing import TYPE_CHECKING, Final

from icelane.core.clock import NEVER, Instant
from icelane.sctp.checksum import seal
from icelane.sctp.chunks import (
    HEADER_SIZE,
    SACK_SIZE,
    SackChunk,
    encode_chunk,
    encode_sack,
    parse_data,
    parse_sack,
)
from icelane.sctp.control_chunks import encode_forward_tsn, parse_forward_tsn, parse_reconfiguration
from icelane.sctp.handshake import Agreement
from icelane.sctp.inbound import Inbound
from icelane.sctp.options import SctpOptions
from icelane.sctp.outbound import Outbound
from icelane.sctp.reset import StreamReset

if TYPE_CHECKING:
    from icelane.sctp.event import SctpEvent

# RFC 9260 section 6.2: at most 500 ms; half a round trip within these bounds, so that no timeout of the peer is near.
LEAST_SACK_DELAY: Final = 0.02
MOST_SACK_DELAY: Final = 0.2
# RFC 9260 section 6.7: while a gap stays open each packet is answered by a SACK, and section 7.2.4 has the peer send
# again after three that report it. So many of a batch are said besides the last one; of more, the latest. They are
# more than the rule of three needs because SACKs are lost too.
MAX_EARLIER_SACKS: Final = 7
# On a path that loses packets one SACK is too few for a batch: a peer whose whole window is in it waits for a timeout
# when that one is lost. So many packets after something was missing or came twice, every second packet of a batch is
# answered, as RFC 9260 section 6.2 has it.
WARY_PACKETS: Final = 1_024
# The window is announced again when the application has released this share of it.
WINDOW_UPDATE_SHARE: Final = 4
# A RE-CONFIG that names as many streams as one may has this size, and its answer less.
LEAST_ROOM_FOR_RESET: Final = 220
# A FORWARD-TSN that names one stream.
LEAST_FORWARD: Final = 12

_NEVER: Final = float(NEVER)
_DATA: Final = 0
_SACK: Final = 3
_FORWARD_TSN: Final = 192
_RE_CONFIG: Final = 130
_ERROR: Final = 9
_IMMEDIATE: Final = 0x08
_HIGHEST_WINDOW: Final = 0xFFFFFFFF


class Transfer:
    """Data both ways. `takes_data` and `sends_data` follow the state of the association."""

    __slots__ = (
        "_announced_window",
        "_data_packets",
        "_earlier_sacks",
        "_had_gaps",
        "_header",
        "_options",
        "_room",
        "_sack_at",
        "_sack_now",
        "_saw_data",
        "_update_step",
        "_wary_packets",
        "_zero_checksum",
        "agreement",
        "inbound",
        "outbound",
        "reset",
        "sends_data",
        "takes_data",
    )

    def __init__(
        self,
        options: SctpOptions,
        agreement: Agreement,
        header: bytes,
        initial_tsn: int,
        outbound: Outbound,
        events: deque[SctpEvent],
    ) -> None:
        self.agreement = agreement
        self.outbound = outbound
        self.inbound = Inbound(
            agreement.peer_tsn, options.receive_window, options.max_message_size, agreement.inbound_streams, events
        )
        self.reset = StreamReset(initial_tsn, agreement.peer_tsn, outbound, self.inbound, events)
        self.takes_data = True
        self.sends_data = True
        self._options = options
        self._header = header
        self._room = options.path_mtu - HEADER_SIZE
        self._zero_checksum = agreement.zero_checksum
        self._announced_window = options.receive_window
        self._update_step = options.receive_window // WINDOW_UPDATE_SHARE
        self._sack_now = False
        self._sack_at = _NEVER
        self._saw_data = False
        self._data_packets = 0
        self._had_gaps = False
        self._earlier_sacks: deque[bytes] = deque(maxlen=MAX_EARLIER_SACKS)
        self._wary_packets = 0
        outbound.peer_window = agreement.peer_window
        outbound.limit_reliability(agreement.partial_reliability)

    # Input

    def handle_chunk(self, kind: int, data: bytes, start: int, end: int, now: float) -> bool:
        """Handle a chunk if it is about data; returns whether it is.

        Raises MalformedError, or AssociationError when the association must end.
        """
        if kind == _DATA:
            if self.takes_data:
                chunk = parse_data(data, start, end)
                if chunk.flags & _IMMEDIATE:
                    self._sack_now = True
                if not self._saw_data:
                    self._begin_packet()
                self.inbound.accept(chunk, now)
        elif kind == _SACK:
            self.outbound.handle_sack(parse_sack(data, start, end), now)
        elif kind == _FORWARD_TSN:
            new_cumulative, skipped = parse_forward_tsn(data[start + 4 : end])
            self._sack_now = True  # RFC 3758 section 3.6
            self.inbound.forward(new_cumulative, skipped)
        elif kind == _RE_CONFIG:
            self.reset.handle(parse_reconfiguration(data[start + 4 : end]), self.agreement.inbound_streams)
        else:
            return False
        return True

    def _begin_packet(self) -> None:
        """A packet has data: say first what the ones before it in the same batch have left, if that is worth it."""
        self._saw_data = True
        if not self._data_packets:
            return
        gaps = self.inbound.has_gaps
        if gaps:
            self._wary_packets = WARY_PACKETS
        if gaps or (self._wary_packets and not self._data_packets & 1):
            self._earlier_sacks.append(self._encode_sack([], self._room))

    def end_packet(self) -> None:
        """All chunks of a packet were handled."""
        if self._saw_data:
            self._saw_data = False
            self._data_packets += 1
            if self._wary_packets:
                self._wary_packets -= 1

    def end_batch(self, now: float) -> None:
        """All packets that had arrived were handled: decide whether a SACK is due."""
        self.reset.perform_deferred()
        inbound = self.inbound
        if not self._data_packets:
            return
        gaps = inbound.has_gaps
        if gaps or inbound.has_duplicates:
            self._wary_packets = WARY_PACKETS
        if gaps or self._had_gaps or inbound.has_duplicates or self._data_packets >= 2:
            self._sack_now = True
        elif self._sack_at == _NEVER:
            delay = self.outbound.recovery.smoothed_round_trip / 2
            self._sack_at = now + min(max(delay, LEAST_SACK_DELAY), MOST_SACK_DELAY)
        self._had_gaps = gaps

    def release(self, size: int, messages: int) -> None:
        """The application is done with `messages` of `size` bytes; a window that has opened wide is announced."""
        self.inbound.release(size, messages)
        if self.inbound.room() - self._announced_window >= self._update_step:
            self._sack_now = True

    def acknowledge_through(self, cumulative_tsn: int, now: float) -> None:
        """SHUTDOWN says how far we were heard (RFC 9260 section 9.2), and is answered with what we heard."""
        self.outbound.handle_sack(SackChunk(cumulative_tsn, self.outbound.peer_window, [], 0), now)

    def acknowledge_now(self) -> None:
        """The next packet carries a SACK."""
        self._sack_now = True

    # Output

    def build_packet(self, control: list[bytes], now: float) -> bytes | None:
        """The next packet, None when there is nothing to send. What it takes of `control` is removed from it."""
        if self._earlier_sacks and not control:
            return self._finish([self._header, self._earlier_sacks.popleft()])
        parts = [self._header]
        room = self._room
        while control and len(control[0]) <= room:
            room -= len(control[0])
            parts.append(control.pop(0))
        if self.inbound.invalid_stream >= 0 and room >= 12:
            parts.append(encode_chunk(_ERROR, 0, pack(">HHHH", 1, 8, self.inbound.invalid_stream, 0)))
            room -= 12
            self.inbound.invalid_stream = -1
        while room >= LEAST_ROOM_FOR_RESET and (chunk := self.reset.poll_chunk(Instant(now))) is not None:
            parts.append(chunk)
            room -= len(chunk)
        if self._sack_now and room >= SACK_SIZE:
            room -= self._put_sack(parts, room)
        if self.sends_data:
            if self.outbound.forward_due() and room >= LEAST_FORWARD:
                chunk = encode_chunk(_FORWARD_TSN, 0, encode_forward_tsn(*self.outbound.take_forward(room - 4, now)))
                parts.append(chunk)
                room -= len(chunk)
            self._put_data(parts, room, now)
        if len(parts) == 1:
            # Where all that waited was given up, that is what there is to say.
            return self.build_packet(control, now) if self.sends_data and self.outbound.forward_due() else None
        return self._finish(parts)

    def _finish(self, parts: list[bytes]) -> bytes:
        packet = b"".join(parts)
        return packet if self._zero_checksum else seal(packet)

    def _put_data(self, parts: list[bytes], room: int, now: float) -> None:
        if self._sack_at == _NEVER:
            self.outbound.fill(parts, room, now)
            return
        data: list[bytes] = []
        if self.outbound.fill(data, room - SACK_SIZE, now):
            self._put_sack(parts, room)  # a delayed SACK, which has neither gaps nor duplicates, goes with the data
            parts += data

    def _put_sack(self, parts: list[bytes], room: int) -> int:
        inbound = self.inbound
        duplicates = inbound.take_duplicates() if inbound.has_duplicates else []
        sack = self._encode_sack(duplicates, room)
        parts.append(sack)
        self._sack_now = False
        self._sack_at = _NEVER
        self._data_packets = 0
        return len(sack)

    def _encode_sack(self, duplicates: list[int], room: int) -> bytes:
        """A SACK of what there is now, with as many duplicates and then gaps as `room` bytes take."""
        inbound = self.inbound
        space = (room - SACK_SIZE) // 4
        del duplicates[max(space, 0) :]
        gaps = inbound.gaps(max(space - len(duplicates), 0)) if inbound.has_gaps else []
        self._announced_window = min(inbound.room(), _HIGHEST_WINDOW)
        return encode_sack(inbound.cumulative, self._announced_window, gaps, duplicates)

    # Time

    def handle_timeout(self, now: float) -> None:
        """Some deadline has come, or none."""
        if now >= self._sack_at:
            self._sack_now = True
            self._sack_at = _NEVER
        self.outbound.handle_timeout(now)
        self.reset.handle_timeout(Instant(now))

    def next_timeout(self) -> float:
        """The nearest deadline, infinite where there is none."""
        return min(self._sack_at, self.outbound.next_timeout(), self.reset.next_timeout())

    def clear(self) -> None:
        """Forget everything: the association is over."""
        self.outbound.clear()
        self.inbound.clear()
        self.reset.clear()
        self._earlier_sacks.clear()
        self._sack_now = False
        self._sack_at = _NEVER
