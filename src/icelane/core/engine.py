"""The engine contract: five verbs, two polls.

    handle_datagram(data, path, now)     bytes came in            (streams: handle_bytes, handle_closed)
    handle_timeout(now)                  a deadline passed
    poll_transmit() -> Transmit | None   what to send             \\  after every mutation the driver drains
    poll_event()    -> Event | None      what happened            /  both polls, then reads
    next_timeout()  -> Instant | None    when to be called again

An engine is told time, bytes and randomness and never asks for them. It has no callbacks, no locks, no coroutines.
Application commands are plain verbs on the engine. One drain per mutation: a driver calls exactly one mutator, drains
every poll to None, then reads `next_timeout()`.

    engine.handle_datagram(data, path, now)
    while (transmit := engine.poll_transmit()) is not None:
        socket.sendto(transmit.data, transmit.path.remote)
    while (event := engine.poll_event()) is not None:
        react(event)
    timer.reschedule(engine.next_timeout())
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from icelane.core.clock import Instant
from icelane.core.net import Path

E_co = TypeVar("E_co", covariant=True)


class Transmit:
    """One datagram (or one piece of a stream) to put on the wire.

    `data` belongs to the driver once polled. `dont_fragment` asks for the DF bit. Made for every packet, so slotted and
    not frozen.
    """

    __slots__ = ("data", "dont_fragment", "path")

    def __init__(self, path: Path, data: bytes, dont_fragment: bool = False) -> None:
        self.path = path
        self.data = data
        self.dont_fragment = dont_fragment

    def __repr__(self) -> str:
        return f"Transmit({self.path}, {len(self.data)} bytes)"


def transmits_on(path: Path, batch: Iterable[bytes]) -> list[Transmit]:
    """Datagrams that all leave on one path."""
    return [Transmit(path, data) for data in batch]


def by_path(transmits: list[Transmit]) -> list[tuple[Path, list[bytes]]]:
    """What follows one another on one path, together, in the order in which it is to leave."""
    batches: list[tuple[Path, list[bytes]]] = []
    last: Path | None = None
    batch: list[bytes] = []
    for transmit in transmits:
        path = transmit.path
        if last is None or (path is not last and path != last):
            last, batch = path, []
            batches.append((path, batch))
        batch.append(transmit.data)
    return batches


class Engine(Protocol[E_co]):
    """What every protocol engine answers to."""

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """Bytes came in on `path`: a whole datagram, or a whole framed message of a stream."""
        ...

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed. Calling it early is harmless."""
        ...

    def poll_transmit(self) -> Transmit | None:
        """The next thing to send, or None."""
        ...

    def poll_event(self) -> E_co | None:
        """The next thing that happened, or None."""
        ...

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        ...
