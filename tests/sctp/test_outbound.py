"""What is sent, and whom a SACK may be believed."""

from __future__ import annotations

import time

import pytest

from icelane.core.clock import Instant
from icelane.errors import AssociationError
from icelane.sctp.chunks import SackChunk, parse_data
from icelane.sctp.congestion.rfc9260 import Rfc9260Controller
from icelane.sctp.outbound import MAX_OUTSTANDING, Outbound
from icelane.sctp.send_queue import OutgoingMessage

FIRST = 2**32 - 5
MTU = 1160


class Wide(Rfc9260Controller):
    """A window that is never full."""

    def __init__(self) -> None:
        super().__init__(MTU)
        self.window = 1 << 30

    def on_recovery_entered(self, flight: int, now: Instant) -> None:
        pass

    def on_timeout(self, now: Instant) -> None:
        pass


def outbound(count: int = 0, size: int = 1000, window: int = 1 << 30) -> Outbound:
    """With `count` messages of a packet each on their way."""
    us = Outbound(FIRST, MTU, Wide())
    us.peer_window = window
    us.partial_reliability = True
    for _ in range(count):
        queue(us, bytes(size))
    while packet(us, 0.0):
        pass
    return us


def queue(us: Outbound, data: bytes, stream_id: int = 0, ordered: bool = True, retransmissions: int = -1) -> None:
    message = OutgoingMessage(us.queue.stream(stream_id), 51, data, ordered)
    message.max_retransmissions = retransmissions
    us.send(message)


def packet(us: Outbound, now: float, room: int = MTU - 12) -> bytes:
    parts: list[bytes] = []
    us.fill(parts, room, now)
    return b"".join(parts)


def sack(acked: int, *gaps: int, window: int = 1 << 30) -> SackChunk:
    """Acknowledges the first `acked` chunks."""
    return SackChunk((FIRST - 1 + acked) & 0xFFFFFFFF, window, list(gaps), 0)


def tsns(data: bytes) -> list[int]:
    """Which chunks, counted from 0, a packet holds."""
    found, at = [], 0
    while at < len(data):
        length = data[at + 2] << 8 | data[at + 3]
        found.append((parse_data(data, at, at + length).tsn - FIRST) & 0xFFFFFFFF)
        at += length + (-length & 3)
    return found


def test_acknowledged_data_is_forgotten() -> None:
    us = outbound(10)
    assert (us.flight, us.unacked, us.outstanding) == (10_000, 10_000, 10)
    us.handle_sack(sack(4), 0.1)
    assert (us.flight, us.unacked, us.outstanding) == (6_000, 6_000, 6)
    us.handle_sack(sack(10), 0.1)
    assert us.idle
    assert us.next_timeout() == float("inf")


def test_an_old_sack_says_nothing() -> None:
    us = outbound(10)
    us.handle_sack(sack(4), 0.1)
    us.handle_sack(sack(2, 1, 1), 0.1)
    assert us.outstanding == 6


# -- SC-3


@pytest.mark.parametrize(
    "gaps", [(0xFFFF, 0xFFFF), (1, 0xFFFF), (5, 3), (0, 2), (0, 0), (1, 11), (11, 11), (2, 3, 9, 200), (0xFFFF, 1)]
)
def test_a_gap_block_that_was_never_sent_ends_the_association(gaps: tuple[int, ...]) -> None:
    """SC-3."""
    us = outbound(10)
    with pytest.raises(AssociationError):
        us.handle_sack(sack(0, *gaps), 0.1)


@pytest.mark.parametrize("ahead", [11, 12, 1000, 2**31 - 1])
def test_acknowledging_what_was_never_sent_ends_the_association(ahead: int) -> None:
    """SC-3."""
    us = outbound(10)
    with pytest.raises(AssociationError):
        us.handle_sack(sack(ahead), 0.1)
    assert us.unacked == 10_000


def test_overlapping_and_repeated_blocks_count_once() -> None:
    """SC-3."""
    us = outbound(20)
    for _ in range(3):
        us.handle_sack(sack(0, 2, 5, 4, 9, 2, 9, 9, 9), 0.1)
    assert us.unacked == 12_000


def test_ten_thousand_blocks_are_handled_in_bounded_time() -> None:
    """SC-3: also when the same SACK comes again and again."""
    us = outbound(MAX_OUTSTANDING, size=10)
    assert us.outstanding == MAX_OUTSTANDING
    blocks = [number for n in range(1, MAX_OUTSTANDING // 2) for number in (2 * n, 2 * n)]
    start = time.process_time()
    us.handle_sack(sack(0, *blocks), 0.1)
    first = time.process_time() - start
    start = time.process_time()
    us.handle_sack(sack(0, *blocks), 0.2)
    again = time.process_time() - start
    assert first < 0.4, first  # 50 ms in the compiled form, on a machine that does nothing else
    assert again < 0.2, again


def test_the_sender_is_bounded_whatever_the_peer_s_window() -> None:
    """SC-4: a peer that acknowledges nothing does not make us keep more and more."""
    us = outbound(17_000, size=10)
    assert us.outstanding == 16_384


# -- the peer's window


def test_no_more_is_sent_than_the_peer_has_room_for() -> None:
    us = outbound(10, window=3_500)
    assert us.unacked == 3_000


def test_a_closed_window_is_probed_with_one_chunk_after_a_timeout() -> None:
    us = outbound(3, window=0)
    assert us.unacked == 0
    at = us.next_timeout()
    assert at == us.recovery.timeout
    probe = packet(us, at)
    assert tsns(probe) == [0]
    assert probe[1] & 8  # RFC 7053: answer at once
    assert not packet(us, at)
    us.handle_sack(sack(1, window=1 << 20), at + 0.1)
    assert tsns(packet(us, at + 0.1)) == [1]


# -- losses


def test_three_gap_reports_make_a_chunk_lost_and_it_goes_again() -> None:
    us = outbound(10)
    us.handle_sack(sack(0, 2, 3), 0.1)
    assert not packet(us, 0.1)
    us.handle_sack(sack(0, 2, 4), 0.1)
    assert tsns(packet(us, 0.1)) == [0]
    assert us.retransmissions == 1


def test_what_was_lost_again_is_noticed_by_what_was_sent_later() -> None:
    us = outbound(10)
    us.handle_sack(sack(0, 2, 10), 0.1)
    assert tsns(packet(us, 0.1)) == [0]
    queue(us, bytes(10))
    packet(us, 0.11)
    us.handle_sack(sack(0, 2, 11), 0.21)
    us.handle_timeout(0.3)
    assert tsns(packet(us, 0.3)) == [0]
    assert us.timeouts == 0


def test_after_silence_the_newest_chunk_goes_again_as_a_probe() -> None:
    us = outbound(10)
    us.handle_sack(sack(5), 0.1)
    at = us.next_timeout()
    assert at == pytest.approx(0.1 + 2 * 0.1)
    us.handle_timeout(at)
    assert tsns(packet(us, at)) == [9]


def test_after_a_timeout_everything_goes_again_in_order() -> None:
    us = outbound(3)
    us.handle_timeout(1.0)
    assert us.timeouts == 1
    assert [tsns(packet(us, 1.0)) for _ in range(3)] == [[0], [1], [2]]
    assert us.next_timeout() == pytest.approx(1.0 + 2.0)


def test_a_peer_may_take_back_what_it_acknowledged_by_gaps() -> None:
    """RFC 9260 section 6.2.1: the cumulative TSN now lies below what was acknowledged, and time shows it."""
    us = outbound(4)
    us.handle_sack(sack(1, 2, 3), 0.1)  # 0, 2 and 3
    us.handle_sack(sack(2), 0.2)  # 2 is next, and is not reported any more
    us.handle_timeout(us.next_timeout())
    assert [tsns(packet(us, 5.0)) for _ in range(2)] == [[2], [3]]


# -- fragments and turns


def test_a_long_message_fills_packets_and_a_short_one_joins_them() -> None:
    us = Outbound(FIRST, MTU, Wide())
    us.peer_window = 1 << 30
    queue(us, bytes(3000))
    queue(us, bytes(100), stream_id=1)
    sizes = []
    while data := packet(us, 0.0):
        sizes.append(len(data))
    assert sizes[:2] == [MTU - 12] * 2
    assert len(sizes) == 3


def test_streams_take_turns_message_by_message() -> None:
    us = Outbound(FIRST, MTU, Wide())
    us.peer_window = 1 << 30
    for stream_id in (1, 2):
        for _ in range(3):
            queue(us, bytes(1100), stream_id)
    seen = []
    while data := packet(us, 0.0):
        seen.append(parse_data(data, 0, len(data)).stream_id)
    assert seen == [1, 2, 1, 2, 1, 2]


# -- partial reliability


def test_a_message_without_retransmissions_is_given_up_and_the_peer_is_told() -> None:
    us = outbound()
    queue(us, bytes(1000), stream_id=7, retransmissions=0)
    packet(us, 0.0)
    us.handle_timeout(1.0)
    assert not packet(us, 1.0)
    assert us.forward_due()
    assert us.take_forward(1000, 1.0) == (FIRST, {7: 0})
    assert not us.forward_due()
    us.handle_timeout(us.next_timeout())
    assert us.forward_due()  # it may be lost too
    us.handle_sack(sack(1), 5.0)
    assert us.idle
    assert us.next_timeout() == float("inf")


def test_a_message_that_is_given_up_half_sent_takes_one_more_tsn() -> None:
    us = Outbound(FIRST, MTU, Wide())
    us.partial_reliability = True
    us.peer_window = 1200
    message = OutgoingMessage(us.queue.stream(3), 51, bytes(5000), True)
    message.expires_at = Instant(0.5)
    us.send(message)
    assert tsns(packet(us, 0.0)) == [0]
    us.handle_sack(sack(1, window=1200), 0.6)
    assert not packet(us, 0.6)
    assert us.take_forward(1000, 0.6) == (FIRST + 1, {3: 0})
    assert us.queue.buffered == 0


def test_a_message_that_expires_unsent_takes_no_tsn() -> None:
    us = Outbound(FIRST, MTU, Wide())
    us.partial_reliability = True
    message = OutgoingMessage(us.queue.stream(3), 51, bytes(500), True)
    message.expires_at = Instant(0.5)
    us.send(message)
    us.peer_window = 1 << 20
    assert not packet(us, 0.6)
    assert us.next_tsn == FIRST
    assert us.idle


def test_a_peer_without_forward_tsn_gets_everything() -> None:
    us = Outbound(FIRST, MTU, Wide())
    us.peer_window = 1 << 20
    queue(us, bytes(100), retransmissions=0)
    packet(us, 0.0)
    us.handle_timeout(1.0)
    assert tsns(packet(us, 1.0)) == [0]
