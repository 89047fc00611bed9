"""Packets that were sent, for a while: what a NACK asks for is looked up here."""

from __future__ import annotations

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


class _SentPacket:
    __slots__ = ("last_sent_at", "packet", "retransmissions", "sent_at")

    def __init__(self, packet: RtpPacket, now: Instant) -> None:
        self.packet = packet
        self.sent_at = now
        self.last_sent_at = now
        self.retransmissions = 0


class PacketHistory:
    """The last packets of one stream by their sequence numbers. The packets are not copied."""

    __slots__ = ("_bytes", "_sent")

    def __init__(self) -> None:
        self._sent: dict[int, _SentPacket] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def size(self) -> int:
        """Bytes of payload that are kept."""
        return self._bytes

    def keep(self, packet: RtpPacket, now: Instant) -> None:
        """`packet` has been sent."""
        sent = self._sent
        number = packet.sequence_number
        earlier = sent.pop(number, None)
        if earlier is not None:
            self._bytes -= len(earlier.packet.payload)
        sent[number] = _SentPacket(packet, now)
        self._bytes += len(packet.payload)
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
        sent = self._sent
        while sent:
            number = next(iter(sent))
            oldest = sent[number]
            if len(sent) <= MAX_PACKETS and self._bytes <= MAX_BYTES and now - oldest.sent_at <= MAX_AGE:
                return
            del sent[number]
            self._bytes -= len(oldest.packet.payload)
