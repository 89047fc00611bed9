"""RFC 3550's counts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant
from icelane.media.reception import MAX_DROPOUT, WINDOW, Reception
from icelane.rtp.ntp import ntp_of
from icelane.testing.clock import DEFAULT_EPOCH

pytestmark = pytest.mark.twin

SSRC = 0xABCD


def reception() -> Reception:
    return Reception(SSRC, 8000)


def receive(source: Reception, numbers: list[int]) -> list[int]:
    return [source.receive(number & 0xFFFF, 160 * index, Instant(0.02 * index)) for index, number in enumerate(numbers)]


def test_numbers_go_on_behind_65535() -> None:
    source = reception()
    got = receive(source, [65534, 65535, 65536, 65537])
    assert -1 not in got
    assert [number - got[0] for number in got] == [0, 1, 2, 3]
    assert source.packets_lost == 0
    block = source.report_block(Instant(1.0))
    assert block is not None
    assert block.highest_sequence_number == 65537


def test_what_is_missing_is_lost_until_it_comes() -> None:
    source = reception()
    receive(source, [10, 11, 14])
    assert source.packets_lost == 2
    receive(source, [12])
    assert source.packets_lost == 1


def test_a_packet_that_comes_twice_counts_twice_and_is_known() -> None:
    source = reception()
    numbers = receive(source, [10, 11, 11])
    assert source.packets_lost == -1
    assert [source.mark(number) for number in numbers] == [True, True, False]


def test_the_fraction_is_of_the_time_since_the_last_report() -> None:
    source = reception()
    receive(source, [0, 1, 2, 3])
    first = source.report_block(Instant(1.0))
    receive(source, [4, 7])
    second = source.report_block(Instant(2.0))
    third = source.report_block(Instant(3.0))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.fraction_lost, first.packets_lost) == (0, 0)
    assert (second.fraction_lost, second.packets_lost) == (128, 2)
    assert (third.fraction_lost, third.packets_lost) == (0, 2)


def test_the_report_refers_to_the_last_sender_report() -> None:
    source = reception()
    receive(source, [0])
    blank = source.report_block(Instant(0.0))
    assert blank is not None
    assert (blank.last_sender_report, blank.delay_since_last_sender_report) == (0, 0)
    ntp = ntp_of(DEFAULT_EPOCH)
    source.handle_sender_report(ntp, Instant(1.0))
    block = source.report_block(Instant(1.5))
    assert block is not None
    assert block.last_sender_report == ntp >> 16 & 0xFFFFFFFF
    assert block.delay_since_last_sender_report == 32_768


def test_a_stray_number_is_dropped_and_two_in_a_row_are_another_beginning() -> None:
    source = reception()
    receive(source, [0, 1, 2])
    assert receive(source, [20_000]) == [-1]
    assert source.restarts == 0
    before = source.highest
    assert receive(source, [30_000]) == [-1]
    (number,) = receive(source, [30_001])
    assert source.restarts == 1
    assert number == source.highest > before + (1 << 16) - 1
    assert number & 0xFFFF == 30_001
    assert source.packets_lost == 0


def test_a_gap_as_long_as_allowed_is_a_gap() -> None:
    source = reception()
    receive(source, [0, MAX_DROPOUT])
    assert source.restarts == 0
    assert source.packets_lost == MAX_DROPOUT - 1


def test_jitter_is_that_of_appendix_a8() -> None:
    """Against the recurrence of RFC 3550 appendix A.8, in the units of the clock."""
    source, expected, transit = reception(), 0.0, 0.0
    seeded = random.Random(1)
    for index in range(100):
        arrived = 0.02 * index + seeded.random() * 0.01
        source.receive(index, 160 * index, Instant(arrived))
        now = arrived * 8000 - 160 * index
        if index:
            expected += (abs(now - transit) - expected) / 16
        transit = now
    assert abs(source.jitter * 8000 - expected) < 1e-6


def test_a_media_clock_that_begins_anew_is_no_jitter() -> None:
    source = reception()
    source.receive(0, 0, Instant(0.0))
    source.receive(1, 3_000_000_000, Instant(0.02))
    assert source.jitter == 0


def test_what_is_too_old_to_know_counts_as_having_come() -> None:
    source = reception()
    receive(source, [0, WINDOW + 1])
    assert not source.mark(source.highest - WINDOW)
    assert source.mark(source.highest - WINDOW + 1)


@given(st.lists(st.integers(0, 200), max_size=60, unique=True))
def test_each_packet_is_new_once(order: list[int]) -> None:
    source = reception()
    receive(source, [500])
    new = [source.mark(number) for number in receive(source, [number + 400 for number in order]) if number >= 0]
    again = [source.mark(number) for number in receive(source, [number + 400 for number in order]) if number >= 0]
    assert all(new)
    assert not any(again)
