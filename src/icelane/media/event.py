"""What streams tell beside packets and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from icelane.core.clock import Duration

# Of a stream that is sent


@dataclass(frozen=True, slots=True)
class KeyFrameRequested:
    """The receiver cannot go on without a key frame. Told at most once in a while, and not while one is on its way."""


@dataclass(frozen=True, slots=True)
class BitrateLimited:
    """The receiver estimates that no more than this fits on the way to it (REMB), over all streams that it named."""

    bits_per_second: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ToneStarted:
    """A tone begins: its character; "" when the last one and the gap behind it are over (W3C `tonechange`)."""

    tone: str


OutboundEvent: TypeAlias = KeyFrameRequested | BitrateLimited | ToneStarted

# Of a stream that is received


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """Packets come from this SSRC from now on: the first one of a section, or a new one in place of another."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The source said goodbye (RFC 3550 section 6.6)."""

    ssrc: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SourceSilent:
    """Nothing came from the source for a while, and it did not say goodbye."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class SourceHeard:
    """Packets come again after SourceSilent or SourceEnded."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class ToneReceived:
    """A telephone event came: its character, and for how long it lasted."""

    tone: str
    duration: Duration


InboundEvent: TypeAlias = SourceChanged | SourceEnded | SourceSilent | SourceHeard | ToneReceived
