"""G.722."""

from __future__ import annotations

from icelane.media.payload.g722 import SAMPLING_RATE, G722Depacketizer, G722Packetizer, parse_duration


def test_the_clock_is_half_of_the_sampling_rate() -> None:
    """RFC 3551 section 4.5.2: 20 ms are 160 bytes, 320 samples and 160 units of the clock."""
    assert parse_duration(bytes(160)) == 160
    assert SAMPLING_RATE * 20 // 1000 == 320


def test_a_packet_of_20_milliseconds_comes_back() -> None:
    data = bytes(range(160))
    (payload,) = G722Packetizer().packetize(data, 1200)
    depacketizer = G722Depacketizer()
    assert depacketizer.assemble([depacketizer.parse(payload)]) == payload == data
