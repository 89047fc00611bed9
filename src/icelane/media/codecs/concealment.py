"""Sound in place of what did not come, for codecs that do not conceal by themselves: the last once more, fading."""

from __future__ import annotations

from array import array
from typing import Final

# Repeated for so long; after that a repetition sounds worse than silence.
_REPEATED_SECONDS: Final = 0.06


class FadingConcealment:
    """Keeps the last packed s16 samples that were heard and repeats them, half as loud each time, then silence."""

    def __init__(self, *, rate: int, channels: int) -> None:
        self._channels = channels
        self._limit = int(rate * _REPEATED_SECONDS)
        self._last = array("h")
        self._concealed = 0

    def heard(self, pcm: bytes) -> None:
        """These samples came."""
        self._last = array("h", pcm)
        self._concealed = 0

    def conceal(self, samples: int) -> bytes:
        """As many samples for each channel in place of lost ones."""
        wanted = samples * self._channels
        faded = array("h")
        while len(faded) < wanted and self._last and self._concealed < self._limit:
            self._last = array("h", [value // 2 for value in self._last])
            faded.extend(self._last)
            self._concealed += max(1, len(self._last) // self._channels)
        del faded[wanted:]
        return faded.tobytes() + bytes(2 * (wanted - len(faded)))
