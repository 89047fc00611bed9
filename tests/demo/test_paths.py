"""What counts as carried."""

from __future__ import annotations

from dataclasses import replace

from demo.call import CallReport, PageReport
from demo.paths import Outcome, PathResult, all_carried, failed, of_call, skipped

CARRIED = PathResult(path="a", outcome=Outcome.CARRIED)

END = PageReport(
    connection_state="connected",
    local_candidate="relay",
    remote_candidate="relay",
    relay_protocol="udp",
    transport_bytes_sent=1200,
    transport_bytes_received=1100,
    round_trip=0.002,
    frames_decoded=30,
    video_packets_received=60,
    video_packets_lost=0,
    set_up=0.5,
    payload_sent=1000,
    payload_received=1000,
    payload_intact=True,
)


def call(callee: PageReport) -> CallReport:
    return CallReport(caller=END, callee=callee)


def test_one_path_that_failed_spoils_the_whole() -> None:
    assert all_carried([CARRIED, CARRIED])
    assert not all_carried([CARRIED, failed("b", TimeoutError("late"))])


def test_what_was_skipped_counts_neither_way() -> None:
    assert all_carried([CARRIED, skipped("b", "not installed")])
    assert not all_carried([skipped("b", "not installed")])
    assert not all_carried([])


def test_a_call_adds_up_both_ends_and_takes_the_slower_set_up() -> None:
    result = of_call("browser", "udp", call(replace(END, set_up=0.7, round_trip=None, video_packets_lost=2)))
    assert result == PathResult(
        path="browser",
        outcome=Outcome.CARRIED,
        set_up=0.7,
        round_trip=0.002,
        bytes_sent=2000,
        bytes_received=2000,
        packets=122,
        packets_lost=2,
        remark="60 pictures decoded",
    )


def test_a_call_that_lost_or_changed_data_failed() -> None:
    assert of_call("browser", "udp", call(replace(END, payload_received=999))).outcome is Outcome.FAILED
    assert of_call("browser", "udp", call(replace(END, payload_intact=False))).outcome is Outcome.FAILED


def test_a_call_that_went_around_the_relay_or_by_another_transport_failed() -> None:
    around = of_call("browser", "udp", call(replace(END, remote_candidate="host")))
    assert (around.outcome, around.remark) == (Outcome.FAILED, "the selected pair is not relayed")
    assert of_call("browser", "tcp", call(END)).outcome is Outcome.FAILED
