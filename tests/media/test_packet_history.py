"""What is kept to be sent again, and what is not."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.media.packet_history import MAX_AGE, MAX_BYTES, MAX_PACKETS, MAX_RETRANSMISSIONS, PacketHistory
from icelane.rtp.packet import RtpPacket

pytestmark = pytest.mark.twin


def packet(number: int, size: int = 100) -> RtpPacket:
    return RtpPacket(96, number & 0xFFFF, 0, 1, bytes(size))


def test_a_packet_is_sent_again_at_once_but_not_twice_within_a_round_trip() -> None:
    history = PacketHistory()
    history.keep([packet(7)], Instant(0.0))
    assert history.take(7, 0.1, Instant(0.02)) is not None
    assert history.take(7, 0.1, Instant(0.11)) is None
    assert history.take(7, 0.1, Instant(0.121)) is not None


def test_a_peer_that_claims_no_round_trip_waits_nevertheless() -> None:
    history = PacketHistory()
    history.keep([packet(7)], Instant(0.0))
    assert history.take(7, 0.0, Instant(0.01)) is not None
    assert history.take(7, 0.0, Instant(0.015)) is None


def test_a_packet_is_sent_again_so_often_and_no_more() -> None:
    history = PacketHistory()
    history.keep([packet(7)], Instant(0.0))
    taken = [history.take(7, 0.05, Instant(0.1 * turn)) for turn in range(1, MAX_RETRANSMISSIONS + 4)]
    assert len([one for one in taken if one is not None]) == MAX_RETRANSMISSIONS


def test_what_is_old_is_gone() -> None:
    history = PacketHistory()
    history.keep([packet(7)], Instant(0.0))
    assert history.take(7, 0.1, Instant(MAX_AGE + 0.1)) is None
    history.keep([packet(8)], Instant(MAX_AGE + 0.1))
    assert len(history) == 1


def test_packets_and_bytes_are_bounded() -> None:
    history = PacketHistory()
    for number in range(MAX_PACKETS + 100):
        history.keep([packet(number)], Instant(0.0))
    assert len(history) == MAX_PACKETS
    assert history.take(99, 0.1, Instant(0.0)) is None
    assert history.take(100, 0.1, Instant(0.0)) is not None
    for number in range(MAX_PACKETS):
        history.keep([packet(number, MAX_BYTES // 100)], Instant(0.0))
    assert history.size <= MAX_BYTES


def test_a_number_that_comes_again_replaces_the_old_packet() -> None:
    history = PacketHistory()
    history.keep([packet(7, 10)], Instant(0.0))
    history.keep([packet(7 + 65536, 20)], Instant(0.1))
    assert (len(history), history.size) == (1, 20)
