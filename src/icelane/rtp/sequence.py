"""Numbers that wrap: which of two is later (RFC 1982), and the same numbers without an end.

Half of the circle counts as ahead and half as behind, so what is unwrapped has to come within half a circle of what
came before: 32,767 packets for sequence numbers, and 6.6 hours at 90 kHz for timestamps.
"""

from __future__ import annotations

from typing import Final

SEQUENCE_NUMBERS: Final = 1 << 16
TIMESTAMPS: Final = 1 << 32


def sequence_distance(later: int, earlier: int) -> int:
    """How far one sequence number lies ahead of another, -32,768 to 32,767."""
    return ((later - earlier + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(later: int, earlier: int) -> int:
    """How far one timestamp lies ahead of another, -2**31 to 2**31 - 1."""
    return ((later - earlier + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Unwrapper:
    """Gives each number of `circle` values (a power of two) the integer that is nearest to the last one given.

    The first number is its own integer; one that was before it may be negative.
    """

    __slots__ = ("_half", "_last", "_mask", "_started")

    def __init__(self, circle: int = SEQUENCE_NUMBERS) -> None:
        self._mask = circle - 1
        self._half = circle >> 1
        self._last = 0
        self._started = False

    def unwrap(self, number: int) -> int:
        """The integer of `number`, which from now on is the last one, whether it is ahead or behind."""
        if not self._started:
            self._started = True
            self._last = number & self._mask
        else:
            self._last = self.peek(number)
        return self._last

    def peek(self, number: int) -> int:
        """The integer of `number`; the last one stays."""
        if not self._started:
            return number & self._mask
        return self._last + ((number - self._last + self._half) & self._mask) - self._half
