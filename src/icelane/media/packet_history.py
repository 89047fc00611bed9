"""Packets that were sent, for a while: what a NACK asks for is looked up here."""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import Duration, Instant
from icelane.rtp.packet import RtpPacket

# At each bound the oldest packet is forgotten, and a NACK for it is refused. Two seconds are twice as long as our own
# receiver waits; the other two are for streams that are faster than 8 Mbit/s.
MAX_AGE: Final[Duration] = 2.0
MAX_PACKETS: Final = 2048
MAX_BYTES: Final = 2_500_000
# How often one packet is sent again: a peer that asks for ever gets no more than this.
MAX_RETRANSMISSIONS: Final = 10
# The least time between two retransmissions of a packet, however short the peer claims the round trip to be.
MIN_INTERVAL: Final[Duration] = 0.01


class SentPacket:
    """One of them."""

    __slots__ = ("last_sent_at", "packet", "retransmissions", "sent_at", "size")

    def __init__(self, packet: RtpPacket, now: Instant) -> None:
        self.packet = packet
        self.size = len(packet.payload)
        self.sent_at = now
        self.last_sent_at = now
        self.retransmissions = 0


class PacketHistory:
    """The last packets of one stream by their sequence numbers. The packets are not copied."""

    __slots__ = ("_bytes", "_order", "_sent")

    def __init__(self) -> None:
        self._sent: dict[int, SentPacket] = {}
        # As they were sent, those among them whose number was used again. A dictionary would be slow to tell its first.
        self._order: deque[SentPacket] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def size(self) -> int:
        """Bytes of payload that are kept."""
        return self._bytes

    def keep(self, packets: list[RtpPacket], now: Instant) -> None:
        """`packets` have been sent."""
        sent, order = self._sent, self._order
        for packet in packets:
            entry = SentPacket(packet, now)
            earlier = sent.get(packet.sequence_number)
            if earlier is not None:
                self._bytes -= earlier.size
                earlier.size = 0
            sent[packet.sequence_number] = entry
            order.append(entry)
            self._bytes += entry.size
        self._trim(now)

    def take(self, sequence_number: int, round_trip: Duration, now: Instant) -> RtpPacket | None:
        """The packet that is to be sent again; None when it is not there, or was sent within one round trip."""
        entry = self._sent.get(sequence_number & 0xFFFF)
        if entry is None or now - entry.sent_at > MAX_AGE or entry.retransmissions >= MAX_RETRANSMISSIONS:
            return None
        # The first time it can only have been lost: whoever asks has seen a later one.
        if entry.retransmissions and now - entry.last_sent_at < max(round_trip, MIN_INTERVAL):
            return None
        entry.retransmissions += 1
        entry.last_sent_at = now
        return entry.packet

    def _trim(self, now: Instant) -> None:
        sent, order = self._sent, self._order
        while order:
            oldest = order[0]
            if len(order) <= MAX_PACKETS and self._bytes <= MAX_BYTES and now - oldest.sent_at <= MAX_AGE:
                return
            order.popleft()
            self._bytes -= oldest.size
            number = oldest.packet.sequence_number
            if sent.get(number) is oldest:
                del sent[number]
