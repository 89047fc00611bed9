"""Which packets came already (RFC 3711 section 3.3.2), and which number a packet has (section 3.3.1)."""

from __future__ import annotations

from typing import Final

from icelane.errors import ReplayError

# A packet that is as far behind the newest one is refused. RFC 3711 asks for 64 at least. At 1,000 packets per second
# it is a second, which is longer than anybody waits for a packet that is sent again.
WINDOW_SIZE: Final = 1024
_MASK: Final = (1 << WINDOW_SIZE) - 1
_INDEXES: Final = 1 << 48


class ReplayWindow:
    """The packets of one stream by their index: 48 bits in SRTP, 31 in SRTCP."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._seen = 0  # bit n: the packet n before the highest one

    def check(self, index: int) -> None:
        """Raises ReplayError when this packet came already, or is too old to know."""
        age = self.highest - index
        if age >= WINDOW_SIZE:
            raise ReplayError(f"{age} packets behind the newest one")
        if age >= 0 and self._seen >> age & 1:
            raise ReplayError("a packet that came already")

    def add(self, index: int) -> None:
        """Remember a packet that passed `check` and is authentic."""
        if index > self.highest:
            self._seen = (self._seen << min(index - self.highest, WINDOW_SIZE) & _MASK) | 1
            self.highest = index
        else:
            self._seen |= 1 << self.highest - index


def estimate_index(highest: int, sequence_number: int) -> int:
    """The index of 48 bits that a packet most likely has, when `highest` is that of the newest one; -1: there is none.

    A stream begins with a rollover counter of 0, and nothing is before that. After 2**48 packets it begins anew, which
    the replay window refuses: the keys are used up.
    """
    if highest < 0:
        return sequence_number
    rollover, last = highest >> 16, highest & 0xFFFF
    if last < 0x8000:
        if sequence_number - last > 0x8000 and rollover > 0:
            rollover -= 1
    elif last - 0x8000 > sequence_number:
        rollover += 1
    return (rollover << 16 | sequence_number) % _INDEXES
