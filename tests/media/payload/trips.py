"""From a frame to packets and back."""

from __future__ import annotations

from icelane.media.payload.packetizer import Depacketizer, Fragment, Packetizer


def fragments_of(depacketizer: Depacketizer, payloads: list[bytes]) -> list[Fragment]:
    return [depacketizer.parse(payload) for payload in payloads]


def trip(packetizer: Packetizer, depacketizer: Depacketizer, data: bytes, max_size: int) -> list[Fragment]:
    """What is read of what was written; everything that holds for each codec holds."""
    payloads = packetizer.packetize(data, max_size)
    assert payloads
    assert all(0 < len(payload) <= max_size for payload in payloads)
    fragments = fragments_of(depacketizer, payloads)
    assert fragments[0].begins_frame
    assert not fragments[0].continues
    assert not fragments[-1].is_continued
    return fragments


def round_trip(packetizer: Packetizer, depacketizer: Depacketizer, data: bytes, max_size: int) -> bytes:
    """The frame that comes out."""
    return depacketizer.assemble(trip(packetizer, depacketizer, data, max_size))
