"""PCMU and PCMA."""

from __future__ import annotations

from icelane.media.payload.g711 import G711Depacketizer, G711Packetizer, parse_duration


def test_a_byte_is_a_sample_of_each_channel() -> None:
    assert parse_duration(bytes(160)) == 160
    assert parse_duration(bytes(320), channels=2) == 160


def test_a_packet_of_20_milliseconds_comes_back() -> None:
    data = bytes(range(160))
    (payload,) = G711Packetizer().packetize(data, 1200)
    depacketizer = G711Depacketizer()
    assert depacketizer.assemble([depacketizer.parse(payload)]) == payload == data
