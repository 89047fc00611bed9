"""The transport-wide sequence number: one counter for all streams of a transport, by which feedback names packets."""

from __future__ import annotations


class TransportSequence:
    """Counts packets in the order in which they leave. All streams that share a transport are given the same one."""

    __slots__ = ("_next",)

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def take(self) -> int:
        """The number of the next packet: it grows without end, the wire has its low 16 bits."""
        number = self._next
        self._next = number + 1
        return number
