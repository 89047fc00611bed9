"""Where frames belong in a recording: by their own times, from where the first one came in."""

from __future__ import annotations

from typing import Final

from icelane.media.capture_time import CaptureTime

# A track's times that go back by more than this, in seconds, or on by more than that, have begun anew: another source.
_BACK: Final = 0.5
_ON: Final = 10.0
# What capture times say is taken over when it differs by more than this, in seconds. What differs by less, as reports
# are a little off, is taken over bit by bit: that share of it with each frame. When it differs by more than that,
# somebody has set a clock.
_CLOSE: Final = 0.01
_SHARE: Final = 0.02
_APART: Final = 10.0
# Endpoints whose clocks are known. A track has one at a time; at the bound the rest goes by arrivals.
MAX_ENDPOINTS: Final = 256


class CaptureClocks:
    """Which moment of a recording a capture time is: the same for all tracks of one endpoint."""

    def __init__(self) -> None:
        self._begin_by_cname: dict[str, float] = {}

    def place(self, time: CaptureTime, otherwise: float) -> float:
        """In seconds since the recording began: `otherwise` for what is the first of an endpoint."""
        begin = self._begin_by_cname.get(time.cname)
        if begin is None or abs(time.at - begin - otherwise) > _APART:
            if begin is None and len(self._begin_by_cname) >= MAX_ENDPOINTS:
                return otherwise
            begin = self._begin_by_cname[time.cname] = time.at - otherwise
        return time.at - begin


class Timeline:
    """Turns the times of one track's frames into places in the recording, both in seconds."""

    def __init__(self, clocks: CaptureClocks | None = None) -> None:
        self._clocks = clocks or CaptureClocks()
        self._offset: float | None = None
        self._expected = 0.0
        self._end = 0.0

    def place(self, time: float, length: float, arrival: float, captured: CaptureTime | None = None) -> float:
        """Where the frame of that `time` and `length` belongs that came `arrival` after the beginning of the recording.

        Only the first frame goes by its arrival, and one behind a jump: those after it are as far from it as their
        times are. What was `captured` at a known time goes by that, together with the other tracks of its endpoint.
        """
        if self._offset is None:
            self._offset = arrival - time
        elif not -_BACK <= time - self._expected <= _ON:
            self._offset = max(arrival, self._end) - time
        self._expected = time + length
        if captured is not None:
            off = self._clocks.place(captured, time + self._offset) - time - self._offset
            self._offset += off if abs(off) > _CLOSE else off * _SHARE
        place = max(0.0, time + self._offset)
        self._end = place + length
        return place
