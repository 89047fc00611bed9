"""Counted packets, over a wire that carries, loses or changes them."""

from __future__ import annotations

import asyncio

import pytest

import demo.exchange
from demo.exchange import PAYLOAD, Exchanged, Inbox, measure_round_trip, transfer


class Wire:
    """Carries packets to `inbox` one loop turn later; `drop` and `damage` hold sequence numbers to mistreat."""

    def __init__(self, drop: frozenset[int] = frozenset(), damage: frozenset[int] = frozenset()) -> None:
        self.inbox: Inbox | None = None
        self._drop = drop
        self._damage = damage

    def send(self, packet: bytes) -> None:
        assert self.inbox is not None
        number = int.from_bytes(packet[1:5], "big")
        if number in self._drop:
            return
        if number in self._damage:
            packet = packet[:-1] + bytes([packet[-1] ^ 1])
        asyncio.get_running_loop().call_soon(self.inbox.handle_packet, packet)


def connect(wire: Wire) -> tuple[Inbox, Inbox]:
    """The two inboxes of a pair of ends: `wire` leads from left to right, a sound one back."""
    back = Wire()
    left, right = Inbox(wire.send), Inbox(back.send)
    wire.inbox, back.inbox = right, left
    return left, right


def transferred(wire: Wire, packets: int) -> Exchanged:
    """What `transfer` makes of `wire`."""

    async def run() -> Exchanged:
        _, right = connect(wire)
        return await transfer(wire.send, right, packets=packets)

    return asyncio.run(run())


def test_every_packet_is_counted_and_compared() -> None:
    result = transferred(Wire(), 200)
    assert (result.packets_sent, result.packets_received) == (200, 200)
    assert result.bytes_sent == result.bytes_received == 200 * PAYLOAD
    assert result.intact


def test_a_lost_packet_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.exchange, "PATIENCE", 0.01)
    result = transferred(Wire(drop=frozenset({7})), 200)
    assert (result.packets_sent, result.packets_received) == (200, 199)
    assert not result.intact


def test_a_dead_path_ends_the_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.exchange, "PATIENCE", 0.01)
    result = transferred(Wire(drop=frozenset(range(200))), 200)
    assert (result.packets_received, result.intact) == (0, False)


def test_a_changed_byte_is_noticed() -> None:
    assert not transferred(Wire(damage=frozenset({7})), 20).intact


def test_the_round_trip_is_measured_by_answered_pings() -> None:
    async def run() -> float | None:
        wire = Wire()
        left, _ = connect(wire)
        return await measure_round_trip(wire.send, left)

    round_trip = asyncio.run(run())
    assert round_trip is not None
    assert 0 < round_trip < 1
