"""What an audio decoder is to do next: decode, make up for a loss from the packet behind it, or conceal.

Durations are in ticks of the RTP clock, which for G.722 are half as many as samples.
"""

from __future__ import annotations

from typing import TypeAlias

from icelane.media.frame import EncodedFrame


class Decode:
    """Decode `frame`. `skipped` ticks before it are left out, so as to be less behind: a decoder may fade over."""

    __slots__ = ("frame", "skipped")

    def __init__(self, frame: EncodedFrame, skipped: int = 0) -> None:
        self.frame = frame
        self.skipped = skipped

    def __repr__(self) -> str:
        return f"Decode({self.frame.timestamp}, skipped={self.skipped})"

    @property
    def duration(self) -> int:
        """How long it plays."""
        return self.frame.duration


class DecodeForwardErrorCorrection:
    """Decode `duration` ticks before `frame` from what `frame` says about them (RFC 6716 section 2.1.7).

    Where it says nothing they are to be concealed. `frame` itself is decoded later.
    """

    __slots__ = ("duration", "frame")

    def __init__(self, frame: EncodedFrame, duration: int) -> None:
        self.frame = frame
        self.duration = duration

    def __repr__(self) -> str:
        return f"DecodeForwardErrorCorrection({self.frame.timestamp}, {self.duration})"


class Conceal:
    """Make up `duration` ticks. `silence` says that nothing is missing there: the source has a pause (DTX)."""

    __slots__ = ("duration", "silence")

    def __init__(self, duration: int, silence: bool = False) -> None:
        self.duration = duration
        self.silence = silence

    def __repr__(self) -> str:
        return f"Conceal({self.duration}, silence={self.silence})"


Playout: TypeAlias = Decode | DecodeForwardErrorCorrection | Conceal
"""One instruction. One behind the other they are the sound without a gap."""
