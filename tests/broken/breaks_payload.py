"""Payload formats that believe what packets say of themselves."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.media.payload import av1, h264, nal_unit, packetizer, telephone_event, vp8, vp9
from tests.broken.registry import breaks, swap

PAYLOAD = "tests/media/payload"


@breaks("FZ-1", test=f"{PAYLOAD}/test_vp8.py::test_nothing_but_malformed_error_comes_out")
def a_vp8_payload_that_ends_too_early_raises_index_error() -> None:
    swap(vp8.Vp8Depacketizer, "parse", lambda self, payload: vp8._parse(payload))


@breaks("FZ-1", test=f"{PAYLOAD}/test_vp9.py::test_nothing_but_malformed_error_comes_out")
def a_vp9_payload_that_ends_too_early_raises_index_error() -> None:
    swap(vp9.Vp9Depacketizer, "parse", lambda self, payload: vp9._parse(payload))


@breaks("FZ-1", test=f"{PAYLOAD}/test_vp9.py::test_more_than_three_references_are_malformed")
def a_vp9_picture_names_as_many_references_as_it_likes() -> None:
    swap(vp9, "MAX_REFERENCES", 1000)


@breaks("FZ-1", test=f"{PAYLOAD}/test_nal_unit.py::test_lengths_that_lead_astray_are_malformed")
def a_unit_in_an_aggregation_packet_is_as_long_as_there_are_bytes() -> None:
    def parse(payload: bytes, position: int, header_size: int) -> list[bytes]:
        units = []
        while position + 2 <= len(payload):
            size = payload[position] << 8 | payload[position + 1]
            units.append(payload[position + 2 : position + 2 + size])
            position += 2 + size
        return units

    swap(nal_unit, "parse_aggregate", parse)


@breaks(
    "FZ-1",
    test=(
        f"{PAYLOAD}/test_nal_unit.py::test_more_units_than_the_bound_are_malformed",
        f"{PAYLOAD}/test_av1.py::test_more_obus_than_the_bound_are_malformed",
    ),
)
def a_packet_has_as_many_units_as_it_likes() -> None:
    for module in (nal_unit, av1):
        swap(module, "MAX_UNITS", 1 << 30)


@breaks(
    "FZ-1",
    test=(
        f"{PAYLOAD}/test_packetizer.py::test_a_frame_of_too_many_packets_is_malformed",
        f"{PAYLOAD}/test_packetizer.py::test_a_frame_of_too_many_bytes_is_malformed",
    ),
)
def a_frame_grows_without_end() -> None:
    swap(packetizer, "check_fragments", lambda fragments: None)


@breaks("FZ-1", test=f"{PAYLOAD}/test_h264.py::test_what_we_never_agree_on_is_malformed")
def interleaved_h264_is_taken_for_a_unit() -> None:
    swap(h264, "_STAP_A", 32)


@breaks("FZ-1", test=f"{PAYLOAD}/test_telephone_event.py::test_what_is_no_report_is_malformed")
def a_packet_reports_as_many_events_as_it_likes() -> None:
    swap(telephone_event, "MAX_EVENTS", 1 << 20)
