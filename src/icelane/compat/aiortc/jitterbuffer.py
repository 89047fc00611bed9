"""aiortc's jitter buffer by name, for programs that put another one into a receiver.

icelane's own buffers are bounded by memory and time, not by a number of packets, and take a key frame of any size that
a peer may send. What is made here is not looked at.
"""

from __future__ import annotations


class JitterFrame:
    """A frame that is complete."""

    def __init__(self, data: bytes, timestamp: int) -> None:
        self.data = data
        self.timestamp = timestamp


class JitterBuffer:
    """Keeps what it is told, and does nothing."""

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        """Raises ValueError for a capacity that is no power of two."""
        if capacity <= 0 or capacity & (capacity - 1):
            raise ValueError("the capacity of a jitter buffer is a power of two")
        self._capacity = capacity
        self._prefetch = prefetch
        self._is_video = is_video

    @property
    def capacity(self) -> int:
        """Packets that it was to keep."""
        return self._capacity
