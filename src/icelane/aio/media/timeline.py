"""Where frames belong in a recording: by their own times, from where the first one came in."""

from __future__ import annotations

from typing import Final

# A track's times that go back by more than this, in seconds, or on by more than that, have begun anew: another source.
_BACK: Final = 0.5
_ON: Final = 10.0


class Timeline:
    """Turns the times of one track's frames into places in the recording, both in seconds."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._expected = 0.0
        self._end = 0.0

    def place(self, time: float, length: float, arrival: float) -> float:
        """Where the frame of that `time` and `length` belongs that came `arrival` after the beginning of the recording.

        Only the first frame goes by its arrival, and one behind a jump: those after it are as far from it as their
        times are.
        """
        if self._offset is None:
            self._offset = arrival - time
        elif not -_BACK <= time - self._expected <= _ON:
            self._offset = max(arrival, self._end) - time
        self._expected = time + length
        place = max(0.0, time + self._offset)
        self._end = place + length
        return place
