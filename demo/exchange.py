"""Counted packets between two ends in this process, over whatever lies between them.

    left, right = Inbox(send_from_left), Inbox(send_from_right)    # each end's arrivals go to its inbox
    round_trip = await measure_round_trip(send_from_left, left)
    forth = await transfer(send_from_left, right, packets=1000)

Every packet is a kind, a sequence number and random payload:

    0        1                                 5
    +--------+---------------------------------+---------------------+
    |  kind  |         sequence number         |  payload (PAYLOAD)  |
    +--------+---------------------------------+---------------------+
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import statistics
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

PAYLOAD = 1195  # bytes; with the header 1,200, which fits every path that WebRTC uses
IN_FLIGHT = 32  # packets on the way at once, well within the default buffer of a UDP socket
PINGS = 20
PATIENCE = 2.0  # seconds without any arrival, after which what is missing counts as lost

_HEADER = struct.Struct("!BI")
_PING, _PONG, _DATA = range(3)

Send = Callable[[bytes], object]
"""Sends one packet to the other end, without waiting."""


@dataclass(frozen=True, kw_only=True)
class Exchanged:
    """One direction: bytes and packets that left and came, and whether what came is what left."""

    bytes_sent: int
    bytes_received: int
    packets_sent: int
    packets_received: int
    intact: bool


class Inbox:
    """What arrived at one end. Pings are answered at once through `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._data: dict[int, bytes] = {}
        self._pongs: set[int] = set()
        self._news = asyncio.Event()

    def handle_packet(self, packet: bytes) -> None:
        """A packet came in from the other end."""
        kind, number = _HEADER.unpack_from(packet)
        if kind == _PING:
            self._send(_HEADER.pack(_PONG, number))
        elif kind == _PONG:
            self._pongs.add(number)
        else:
            self._data[number] = packet[_HEADER.size :]
        self._news.set()

    @property
    def count(self) -> int:
        """How many different data packets have come."""
        return len(self._data)

    @property
    def data(self) -> bytes:
        """The payload in the order of its sequence numbers."""
        return b"".join(self._data[number] for number in sorted(self._data))

    async def data_beyond(self, count: int) -> bool:
        """Wait until more than `count` data packets have come; False when nothing came for PATIENCE."""
        return await self._until(lambda: self.count > count)

    async def pong(self, number: int) -> bool:
        """Wait for the answer to ping `number`; False when it did not come."""
        return await self._until(lambda: number in self._pongs)

    async def _until(self, condition: Callable[[], bool]) -> bool:
        while not condition():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), PATIENCE)
            except TimeoutError:
                return False
        return True


async def measure_round_trip(send: Send, inbox: Inbox) -> float | None:
    """The median of PINGS round trips to the other end and back, in seconds; None when one was lost."""
    times = []
    for number in range(PINGS):
        began = time.perf_counter()
        send(_HEADER.pack(_PING, number))
        if not await inbox.pong(number):
            return None
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def transfer(send: Send, inbox: Inbox, *, packets: int) -> Exchanged:
    """Send `packets` packets to the end whose arrivals go to `inbox`, at most IN_FLIGHT at a time."""
    sent = hashlib.sha256()
    count = 0
    while count < packets:
        if count - inbox.count >= IN_FLIGHT and not await inbox.data_beyond(count - IN_FLIGHT):
            break
        payload = secrets.token_bytes(PAYLOAD)
        sent.update(payload)
        send(_HEADER.pack(_DATA, count) + payload)
        count += 1
    await inbox.data_beyond(count - 1)
    arrived = inbox.data
    return Exchanged(
        bytes_sent=count * PAYLOAD,
        bytes_received=len(arrived),
        packets_sent=count,
        packets_received=inbox.count,
        intact=count == packets and hashlib.sha256(arrived).digest() == sent.digest(),
    )
