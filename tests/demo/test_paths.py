"""What counts as carried."""

from __future__ import annotations

from dataclasses import replace

from demo.call import CallReport, EndReport, Security
from demo.paths import (
    CarriedResult,
    Outcome,
    PathResult,
    SecurityResult,
    all_carried,
    failed,
    of_call,
    of_room,
    skipped,
)

CARRIED = PathResult(path="a", outcome=Outcome.CARRIED)

CALLER, CALLEE = "sha-256 6B:0C", "sha-256 1F:E2"
SUITE = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
END = EndReport(
    connection_state="connected",
    local_candidate="relay",
    remote_candidate="relay",
    relay_protocol="udp",
    transport_bytes_sent=1200,
    transport_bytes_received=1100,
    round_trip=0.002,
    security=Security(
        protocol="DTLSv1.2",
        cipher_suite=SUITE,
        srtp_profile="SRTP_AEAD_AES_128_GCM",
        local_fingerprint=CALLER,
        remote_fingerprint=CALLEE,
    ),
    frames_decoded=30,
    video_packets_received=60,
    video_packets_lost=0,
    set_up=0.5,
    payload_sent=1000,
    payload_received=1000,
    payload_intact=True,
)
OTHER = replace(END, security=replace(END.security, local_fingerprint=CALLEE, remote_fingerprint=CALLER))


def call(callee: EndReport) -> CallReport:
    return CallReport(caller=END, callee=callee)


def test_one_path_that_failed_spoils_the_whole() -> None:
    assert all_carried([CARRIED, CARRIED])
    assert not all_carried([CARRIED, failed("b", TimeoutError("late"))])


def test_what_was_skipped_counts_neither_way() -> None:
    assert all_carried([CARRIED, skipped("b", "not installed")])
    assert not all_carried([skipped("b", "not installed")])
    assert not all_carried([])


def test_a_call_adds_up_both_ends_and_takes_the_slower_set_up() -> None:
    result = of_call("browser", "udp", call(replace(OTHER, set_up=0.7, round_trip=None, video_packets_lost=2)))
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


def test_a_call_without_pictures_has_nothing_to_remark() -> None:
    ends = [replace(end, frames_decoded=0, video_packets_received=0) for end in (END, OTHER)]
    result = of_call("peers", "udp", CallReport(caller=ends[0], callee=ends[1]))
    assert (result.outcome, result.packets, result.remark) == (Outcome.CARRIED, 0, "")


def test_a_call_that_lost_or_changed_data_failed() -> None:
    assert of_call("browser", "udp", call(replace(OTHER, payload_received=999))).outcome is Outcome.FAILED
    assert of_call("browser", "udp", call(replace(OTHER, payload_intact=False))).outcome is Outcome.FAILED


def test_a_call_that_went_around_the_relay_or_by_another_transport_failed() -> None:
    around = of_call("browser", "udp", call(replace(OTHER, remote_candidate="host")))
    assert (around.outcome, around.remark) == (Outcome.FAILED, "the selected pair is not relayed")
    assert of_call("browser", "tcp", call(OTHER)).outcome is Outcome.FAILED


def test_a_call_that_failed_says_which_problems_each_end_had_with_its_server() -> None:
    callee = replace(OTHER, remote_candidate="host", problems=("turn:a: 401 Unauthenticated", "turn:b: 701 no answer"))
    around = of_call("browser", "udp", call(callee))
    assert around.remark == (
        "the selected pair is not relayed; callee: turn:a: 401 Unauthenticated; callee: turn:b: 701 no answer"
    )


def test_a_call_that_carried_everything_keeps_its_problems_to_itself() -> None:
    assert of_call("browser", "udp", call(replace(OTHER, problems=("turn:b: 701 no answer",)))).remark == (
        "60 pictures decoded"
    )


def test_a_path_that_ended_in_an_exception_says_what_is_noted_on_it() -> None:
    error = OSError("gone")
    error.add_note("caller: turn:a: 401 Unauthenticated")
    assert failed("browser", error).remark == "OSError: gone; caller: turn:a: 401 Unauthenticated"


def test_a_call_whose_ends_see_different_certificates_or_suites_failed() -> None:
    for change in (
        {"local_fingerprint": "sha-256 00:00"},
        {"remote_fingerprint": "sha-256 00:00"},
        {"protocol": "DTLSv1.3"},
        {"cipher_suite": "TLS_NULL_WITH_NULL_NULL"},
        {"srtp_profile": None},
    ):
        between = replace(OTHER, security=replace(OTHER.security, **change))
        assert of_call("peers", "udp", call(between)).outcome is Outcome.FAILED, change


IN_THE_ROOM = [
    replace(end, relay_protocol="tls", codecs=codecs)
    for end, codecs in ((END, ("VP8", "opus")), (OTHER, ("opus", "VP8")))
]
CODE = "0678 6633 9755 5148 4617"


def in_the_room(callee: EndReport | None = None) -> CallReport:
    return CallReport(caller=IN_THE_ROOM[0], callee=callee or IN_THE_ROOM[1])


def test_a_call_in_a_room_says_what_was_negotiated_and_carried() -> None:
    callee = replace(IN_THE_ROOM[1], frames_decoded=31, transport_bytes_received=1150)
    result = of_room("room", in_the_room(callee), codes=(CODE, CODE), greeted=True)
    assert (result.outcome, result.remark) == (Outcome.CARRIED, "")
    assert result.security == SecurityResult(
        protocol="DTLSv1.2",
        cipher_suite=SUITE,
        srtp_profile="SRTP_AEAD_AES_128_GCM",
        path="relay to relay, TURN over TLS",
        caller_fingerprint=CALLER,
        callee_fingerprint=CALLEE,
        code=CODE,
    )
    assert result.carried == CarriedResult(
        codecs=("VP8", "opus"),
        files_forth=1000,
        files_back=1000,
        pictures_forth=31,
        pictures_back=30,
        bytes_forth=1150,
        bytes_back=1100,
    )


def test_a_call_in_a_room_fails_by_anything_that_does_not_hold() -> None:
    dark = replace(IN_THE_ROOM[1], frames_decoded=0)
    around = replace(IN_THE_ROOM[1], remote_candidate="host")
    for call_, codes, greeted, said in (
        (in_the_room(), (CODE, CODE[::-1]), True, "different security codes"),
        (in_the_room(), (None, None), True, "different security codes"),
        (in_the_room(), (CODE, CODE), False, "words were lost"),
        (in_the_room(dark), (CODE, CODE), True, "no picture"),
        (in_the_room(around), (CODE, CODE), True, "not relayed"),
    ):
        result = of_room("room", call_, codes=codes, greeted=greeted)
        assert (result.outcome, result.security) == (Outcome.FAILED, None)
        assert said in result.remark
