"""Packets become frames, in order and in time; and what happens when one is missing."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import NEVER, Instant
from icelane.media.frame_buffer import MAX_BYTES, MAX_FRAMES, MAX_PACKETS, BufferedFrame, FrameBuffer
from icelane.media.payload.packetizer import Fragment
from icelane.rtp.packet import RtpPacket

pytestmark = pytest.mark.twin

PACKETS = 3


class Sender:
    """Frames of three packets each, the first of which begins the frame."""

    def __init__(self, buffer: FrameBuffer) -> None:
        self.buffer = buffer

    def put(
        self,
        frame: int,
        packet: int,
        now: float = 1.0,
        *,
        key: bool = False,
        size: int = 10,
        layer: int = 0,
        index: int | None = None,
    ) -> bool:
        number = 100 + PACKETS * frame + packet
        rtp = RtpPacket(96, number & 0xFFFF, 3000 * frame, 1, bytes(size), packet == PACKETS - 1)
        fragment = Fragment(
            (bytes(size),),
            begins_frame=packet == 0,
            is_key=key if packet == 0 else None,
            temporal_layer=layer,
            tl0_picture_index=index,
        )
        return self.buffer.insert(number, 3000 * frame, rtp, fragment, Instant(now))

    def put_frame(
        self, frame: int, now: float = 1.0, *, key: bool = False, layer: int = 0, index: int | None = None
    ) -> None:
        for packet in range(PACKETS):
            self.put(frame, packet, now, key=key, layer=layer, index=index)


def made() -> tuple[FrameBuffer, Sender]:
    buffer = FrameBuffer(90_000)
    return buffer, Sender(buffer)


def taken(buffer: FrameBuffer, now: float = 1.0) -> list[BufferedFrame]:
    frames = []
    while (frame := buffer.take(Instant(now))) is not None:
        frames.append(frame)
    return frames


def numbers(frames: list[BufferedFrame]) -> list[int]:
    return [frame.timestamp // 3000 for frame in frames]


def test_a_frame_leaves_when_its_last_packet_comes() -> None:
    buffer, sender = made()
    sender.put(0, 0, key=True)
    sender.put(0, 1)
    assert taken(buffer) == []
    sender.put(0, 2)
    (frame,) = taken(buffer)
    assert frame.is_key
    assert [packet.sequence_number for packet in frame.packets] == [100, 101, 102]
    assert len(buffer) == 0


def test_nothing_leaves_before_the_first_key_frame() -> None:
    buffer, sender = made()
    sender.put_frame(0)
    before = buffer.wants_key_frame
    sender.put_frame(1, key=True)
    assert (before, buffer.wants_key_frame) == (True, False)
    sender.put_frame(2)
    frames = taken(buffer)
    assert numbers(frames) == [1, 2]
    assert [frame.follows_gap for frame in frames] == [True, False]
    assert buffer.frames_dropped == 1


@given(st.permutations(list(range(6 * PACKETS))))
def test_whatever_the_order_frames_leave_in_theirs(order: list[int]) -> None:
    buffer, sender = made()
    for position in order:
        sender.put(position // PACKETS, position % PACKETS, key=position // PACKETS == 0)
    assert numbers(taken(buffer)) == list(range(6))
    assert len(buffer) == 0


def test_a_packet_that_comes_twice_or_too_late_is_of_no_use() -> None:
    _, sender = made()
    assert sender.put(0, 0, key=True)
    assert not sender.put(0, 0, key=True)
    sender.put(0, 1)
    sender.put(0, 2)
    assert not sender.put(0, 1)


def test_a_missing_packet_is_waited_for() -> None:
    buffer, sender = made()
    sender.put_frame(0, 1.0, key=True)
    sender.put(1, 0, 1.033)
    sender.put(1, 2, 1.033)
    sender.put_frame(2, 1.066)
    assert numbers(taken(buffer, 1.066)) == [0]
    sender.put(1, 1, 1.1)
    assert numbers(taken(buffer, 1.2)) == [1, 2]
    assert not buffer.wants_key_frame
    assert buffer.next_at == NEVER


def test_patience_ends_and_a_key_frame_is_wanted() -> None:
    buffer, sender = made()
    buffer.patience = 0.5
    sender.put_frame(0, 1.0, key=True)
    sender.put_frame(2, 1.066)
    taken(buffer, 1.066)
    while not buffer.wants_key_frame:
        at = buffer.next_at
        assert 1.066 <= at <= 1.57
        taken(buffer, at)
        buffer.handle_timeout(at)
    assert abs(at - 1.566) < 0.001
    sender.put_frame(3, 1.6)
    sender.put_frame(4, 1.633, key=True)
    frames = taken(buffer, 2.0)
    assert numbers(frames) == [4]
    assert frames[0].follows_gap


def test_a_later_key_frame_is_a_way_on_once_the_missing_frame_is_overdue() -> None:
    buffer, sender = made()
    sender.put_frame(0, 1.0, key=True)
    sender.put(1, 0, 1.033)
    sender.put_frame(2, 1.066)
    sender.put_frame(3, 1.1, key=True)
    buffer.handle_timeout(Instant(1.15))
    frames = taken(buffer, 1.3)
    assert numbers(frames) == [0, 3]
    assert not buffer.wants_key_frame
    assert not sender.put(1, 1, 1.2)


def test_frames_behind_an_incomplete_key_frame_are_kept_for_it() -> None:
    buffer, sender = made()
    sender.put(0, 0, key=True)
    sender.put(0, 2)
    sender.put_frame(1)
    sender.put(0, 1)
    assert numbers(taken(buffer, 2.0)) == [0, 1]


def test_a_key_frame_whose_beginning_is_missing_when_patience_ends_is_still_waited_for() -> None:
    buffer, sender = made()
    sender.put_frame(0, 1.0, key=True)
    sender.put(2, 0, 1.066, key=True)
    sender.put(2, 2, 1.066)
    buffer.give_up(Instant(1.1))
    assert buffer.wants_key_frame
    sender.put(2, 1, 1.2)
    assert numbers(taken(buffer, 2.0)) == [0, 2]


def test_missing_frames_of_an_upper_layer_are_passed_over() -> None:
    """RFC 7741 section 4.2: TL0PICIDX counts the frames of the base layer."""
    buffer, sender = made()
    sender.put_frame(0, 1.0, key=True, index=7)
    sender.put(1, 0, 1.033, layer=1, index=7)  # the rest of it is lost
    sender.put_frame(2, 1.066, layer=0, index=8)
    buffer.handle_timeout(Instant(1.15))
    frames = taken(buffer, 1.3)
    assert numbers(frames) == [0, 2]
    assert frames[1].follows_gap
    assert not buffer.wants_key_frame


def test_missing_frames_of_the_base_layer_are_not() -> None:
    buffer, sender = made()
    sender.put_frame(0, 1.0, key=True, index=7)
    sender.put_frame(2, 1.066, layer=0, index=9)
    buffer.handle_timeout(Instant(1.15))
    assert numbers(taken(buffer, 1.3)) == [0]
    buffer.handle_timeout(Instant(2.2))
    assert buffer.wants_key_frame


def test_the_end_of_a_frame_is_also_told_by_the_packet_behind_it() -> None:
    buffer, _ = made()
    for number, timestamp, begins in ((0, 0, True), (1, 0, False), (2, 3000, True)):
        fragment = Fragment((b"x",), begins_frame=begins, is_key=begins or None)
        buffer.insert(number, timestamp, RtpPacket(96, number, timestamp, 1, b"x"), fragment, Instant(1.0))
    assert [len(frame.packets) for frame in taken(buffer)] == [2]


def test_padding_between_frames_is_no_gap() -> None:
    buffer, sender = made()
    sender.put_frame(0, key=True)
    buffer.skip(104, Instant(1.0))
    buffer.skip(103, Instant(1.0))
    for number in (105, 106):
        rtp = RtpPacket(96, number, 9000, 1, b"x", number == 106)
        buffer.insert(number, 9000, rtp, Fragment((b"x",), begins_frame=number == 105), Instant(1.0))
    assert numbers(taken(buffer, 2.0)) == [0, 3]


def test_frames_are_held_back_by_as_much_as_late_ones_need() -> None:
    buffer, sender = made()
    seeded = random.Random(1)
    held = []
    for frame in range(300):
        at = 1.0 + frame / 30 + seeded.random() * 0.03
        sender.put_frame(frame, at, key=frame == 0)
        held += [one.play_at for one in taken(buffer, 1e9)]
    gaps = [later - earlier for earlier, later in pairwise(held[200:])]
    assert max(gaps) < 0.045
    assert 0.02 < buffer.delay(Instant(11.0)) < 0.04


def test_what_synchronization_and_the_application_ask_for_is_added() -> None:
    buffer, sender = made()
    buffer.minimum_delay = 0.2
    buffer.synchronization_delay = 0.1
    sender.put_frame(0, 1.0, key=True)
    assert abs(buffer.next_at - 1.3) < 1e-6
    assert taken(buffer, 1.29) == []
    assert numbers(taken(buffer, 1.31)) == [0]


def test_frames_that_nobody_fetches_are_bounded() -> None:
    buffer, sender = made()
    buffer.minimum_delay = 1.0
    for frame in range(MAX_FRAMES + 5):
        sender.put_frame(frame, 1.0, key=frame == 0)
    assert numbers(taken(buffer, 1.0)) == [0, 1, 2, 3, 4]


def test_packets_that_become_no_frame_are_bounded() -> None:
    buffer, _ = made()
    for number in range(2 * MAX_PACKETS):
        fragment = Fragment((b"x",), begins_frame=False)
        buffer.insert(2 * number, 5 * number, RtpPacket(96, 0, 0, 1, b"x"), fragment, Instant(1.0))
        assert len(buffer) <= MAX_PACKETS
    buffer, _ = made()
    size = MAX_BYTES // 4
    for number in range(10):
        big = RtpPacket(96, 0, 0, 1, bytes(size))
        buffer.insert(10**6 + 2 * number, number, big, Fragment((b"x",), begins_frame=False), Instant(1.0))
        assert len(buffer) <= 4


def test_after_a_restart_everything_is_new() -> None:
    buffer, sender = made()
    sender.put_frame(5, key=True)
    sender.put(7, 0)
    buffer.restart()
    assert len(buffer) == 0
    sender.put_frame(0, key=True)
    assert numbers(taken(buffer, 3.0)) == [5, 0]


def test_where_a_frame_only_may_begin_the_packet_before_it_has_to_be_known() -> None:
    """H.264: a slice may begin a frame, or follow parameter sets that are still missing."""
    buffer, sender = made()
    buffer.payload_tells_beginning = False
    sender.put_frame(0, 1.0)
    buffer.give_up(Instant(1.0))
    for packet in range(PACKETS):
        sender.put(2, packet, 1.1, key=True)
    assert taken(buffer, 2.0) == []
    sender.put(1, 0, 1.2)
    sender.put(1, 1, 1.2)
    sender.put(1, 2, 1.2)
    assert numbers(taken(buffer, 2.0)) == [2]


def test_the_first_packet_of_all_may_begin_a_frame() -> None:
    buffer, sender = made()
    buffer.payload_tells_beginning = False
    sender.put_frame(5, 1.0, key=True)
    assert numbers(taken(buffer, 2.0)) == [5]
