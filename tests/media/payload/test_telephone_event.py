"""Tones by name: what is sent for one, and each recognised once."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.telephone_event import (
    END_PACKETS,
    MAX_DURATION,
    EventReport,
    ToneBegan,
    ToneEnded,
    TonePacket,
    ToneReceiver,
    encode_report,
    event_of,
    parse_reports,
    tone_packets,
)

START = 0xFFFF_FF00  # so that timestamps go round


def heard(packets: list[TonePacket], receiver: ToneReceiver, start: int = START) -> list[ToneBegan | ToneEnded]:
    return [
        event
        for packet in packets
        for event in receiver.handle_payload(packet.payload, (start + packet.timestamp_offset) & 0xFFFFFFFF)
    ]


def test_keys_have_the_events_of_rfc_4733() -> None:
    """Section 3.2, table 3."""
    assert [event_of(tone) for tone in "0159*#ABCDa"] == [0, 1, 5, 9, 10, 11, 12, 13, 14, 15, 12]
    for tone in ("", "12", ",", "E", "x"):
        with pytest.raises(InvalidAccessError):
            event_of(tone)


def test_a_report_is_that_of_rfc_4733() -> None:
    """Section 2.3."""
    assert encode_report(EventReport(11, 0x1234, is_end=True, volume=10)) == bytes.fromhex("0b 8a 1234")
    assert parse_reports(bytes.fromhex("0b 8a 1234")) == (EventReport(11, 0x1234, True, 10),)
    assert parse_reports(bytes.fromhex("0b 4a 1234"))[0].volume == 10  # the reserved bit means nothing


@given(st.builds(EventReport, st.integers(0, 255), st.integers(0, MAX_DURATION), st.booleans(), st.integers(0, 63)))
def test_reports_come_back(report: EventReport) -> None:
    assert parse_reports(encode_report(report)) == (report,)


@pytest.mark.parametrize(
    "report", [EventReport(256, 1), EventReport(-1, 1), EventReport(1, 0x10000), EventReport(1, 1, volume=64)]
)
def test_a_report_that_does_not_fit_is_refused(report: EventReport) -> None:
    with pytest.raises(InvalidAccessError):
        encode_report(report)


def test_a_tone_of_100_milliseconds_is_told_as_rfc_4733_has_it() -> None:
    """The first with the marker, all of one timestamp, the last three times and with E."""
    packets = list(tone_packets(5, 800, 160))
    assert [packet.marker for packet in packets] == [True] + [False] * 6
    assert [packet.send_offset for packet in packets] == [160, 320, 480, 640, 800, 960, 1120]
    assert {packet.timestamp_offset for packet in packets} == {0}
    reports = [parse_reports(packet.payload)[0] for packet in packets]
    assert [report.duration for report in reports] == [160, 320, 480, 640, 800, 800, 800]
    assert [report.is_end for report in reports] == [False] * 4 + [True] * 3


def test_the_last_interval_may_be_a_part_of_one() -> None:
    packets = list(tone_packets(5, 400, 160))
    assert [parse_reports(packet.payload)[0].duration for packet in packets] == [160, 320, 400, 400, 400]
    assert [packet.send_offset for packet in packets] == [160, 320, 400, 560, 720]


def test_a_tone_shorter_than_an_interval_begins_and_ends_in_one_packet() -> None:
    packets = list(tone_packets(5, 100, 160))
    assert len(packets) == END_PACKETS
    assert packets[0].marker
    assert heard(packets, ToneReceiver()) == [ToneBegan(5, 10, START), ToneEnded(5, 100, START)]


def test_a_long_tone_goes_on_in_segments() -> None:
    """RFC 4733 section 2.5.1.3: a full segment ends without E, and the next one has a timestamp of its own."""
    duration = 288_000  # 6 s at 48 kHz, the longest that W3C allows
    packets = list(tone_packets(3, duration, 960))
    reports = [parse_reports(packet.payload)[0] for packet in packets]
    assert sum(packet.marker for packet in packets) == 1
    assert sorted({packet.timestamp_offset for packet in packets}) == [MAX_DURATION * index for index in range(5)]
    full = [report for report in reports if report.duration == MAX_DURATION]
    assert len(full) == 4
    assert not any(report.is_end for report in full)
    assert [report.is_end for report in reports[-4:]] == [False, True, True, True]
    assert reports[-1].duration == duration - 4 * MAX_DURATION
    assert heard(packets, ToneReceiver()) == [ToneBegan(3, 10, START), ToneEnded(3, duration, START)]


@pytest.mark.parametrize(("duration", "interval"), [(0, 160), (-1, 160), (800, 0), (800, -1)])
def test_a_tone_that_takes_no_time_is_refused(duration: int, interval: int) -> None:
    with pytest.raises(InvalidAccessError):
        tone_packets(5, duration, interval)


@given(st.integers(1, 200_000), st.integers(80, 70_000))
def test_every_tone_is_heard_once_and_as_long_as_it_was(duration: int, interval: int) -> None:
    packets = list(tone_packets(9, duration, interval))
    assert heard(packets, ToneReceiver()) == [ToneBegan(9, 10, START), ToneEnded(9, duration, START)]
    assert [packet.send_offset for packet in packets] == sorted(packet.send_offset for packet in packets)


def test_tones_are_heard_once_each_whatever_is_lost_or_late() -> None:
    generator = random.Random(4733)
    for _ in range(200):
        receiver = ToneReceiver()
        began = []
        start = generator.randrange(1 << 32)
        events = [generator.randrange(16) for _ in range(4)]
        for index, event in enumerate(events):
            packets = [packet for packet in tone_packets(event, 800, 160) if generator.random() < 0.7]
            if not packets:
                packets = list(tone_packets(event, 800, 160))[-1:]
            packets += generator.sample(packets, 1)  # one comes twice
            generator.shuffle(packets)
            told = heard(packets, receiver, (start + 1600 * index) & 0xFFFFFFFF)
            began += [tone.event for tone in told if isinstance(tone, ToneBegan)]
        assert began == events


def test_a_report_of_a_tone_that_is_over_tells_nothing() -> None:
    receiver = ToneReceiver()
    old = list(tone_packets(1, 800, 160))
    heard(old, receiver, 1000)
    assert heard(list(tone_packets(2, 800, 160))[:2], receiver, 3000) == [ToneBegan(2, 10, 3000)]
    assert heard(old, receiver, 1000) == []


def test_the_next_tone_ends_one_whose_end_was_lost() -> None:
    receiver = ToneReceiver()
    heard(list(tone_packets(1, 800, 160))[:3], receiver, 1000)
    assert heard(list(tone_packets(1, 800, 160))[:1], receiver, 3000) == [
        ToneEnded(1, 480, 1000),
        ToneBegan(1, 10, 3000),
    ]


def test_silence_ends_a_tone_once() -> None:
    receiver = ToneReceiver()
    assert receiver.handle_silence() == []
    heard(list(tone_packets(1, 800, 160))[:3], receiver)
    assert receiver.handle_silence() == [ToneEnded(1, 480, START)]
    assert receiver.handle_silence() == []
    assert heard(list(tone_packets(1, 800, 160))[3:], receiver) == []


def test_a_tone_hours_after_the_last_is_heard() -> None:
    """Timestamps of 48 kHz have gone more than half the way round after 13 hours."""
    receiver = ToneReceiver()
    heard(list(tone_packets(1, 800, 160)), receiver, 0)
    later = 13 * 3600 * 48_000
    assert heard(list(tone_packets(2, 800, 160))[:1], receiver, later) == [ToneBegan(2, 10, later)]


def test_several_events_in_a_packet_follow_each_other() -> None:
    """RFC 4733 section 2.5.1.6."""
    payload = encode_report(EventReport(1, 400, is_end=True)) + encode_report(EventReport(2, 160))
    assert ToneReceiver().handle_payload(payload, 1000) == [
        ToneBegan(1, 10, 1000),
        ToneEnded(1, 400, 1000),
        ToneBegan(2, 10, 1400),
    ]


@pytest.mark.parametrize("payload", [b"", b"\x01", bytes(5), bytes(4 * 33)])
def test_what_is_no_report_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        ToneReceiver().handle_payload(payload, 0)


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 2**32 - 1)), max_size=10))
def test_nothing_but_malformed_error_comes_out(packets: list[tuple[bytes, int]]) -> None:
    """FZ-1: and every tone that ends has begun."""
    receiver = ToneReceiver()
    lasts = False
    for payload, timestamp in packets:
        with contextlib.suppress(MalformedError):
            for event in receiver.handle_payload(payload, timestamp):
                assert isinstance(event, ToneEnded) is lasts
                lasts = not lasts
