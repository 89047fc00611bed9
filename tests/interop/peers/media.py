"""What the tests can ask of a peer's sound and pictures: `media.js` in a browser, `programs/` in Python.

Tones have a frequency in Hz and a level of 0 to 1, clocks are in milliseconds since 1970, modulo 2**32: both ends are
on one machine, so that a clock read from a picture tells how old the picture is.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from tests.interop.peers.remote import RemotePeer

Kind = Literal["audio", "video"]
CLOCK_MODULUS = 2**32
_AVERAGED = 30  # intervals between pictures
_USUAL_INTERVAL = 1000 / 30


@dataclass(frozen=True, kw_only=True)
class HeardTone:
    """What was in a stretch of sound. `longest_silence` is in milliseconds, by steps of five."""

    frequency: float
    level: float
    longest_silence: float


@dataclass(frozen=True, kw_only=True)
class SeenPicture:
    """A picture as it was shown: the number in it, None where none could be read, and when it was looked at."""

    number: int | None
    at: int
    width: int
    height: int
    rtp_timestamp: int | None

    @property
    def age(self) -> int | None:
        """Milliseconds from drawing to showing."""
        return None if self.number is None else (self.at - self.number) % CLOCK_MODULUS


def readable_share(pictures: Sequence[SeenPicture]) -> float:
    """Of the pictures, those whose clock could be read."""
    return sum(one.number is not None for one in pictures) / len(pictures)


def median_age(pictures: Sequence[SeenPicture]) -> float:
    """Milliseconds from glass to glass, in the median."""
    return statistics.median(one.age for one in pictures if one.age is not None)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was heard and seen in a stretch of time that ended at `ended_at`, and `getStats` on both sides of it."""

    tone: HeardTone
    pictures: list[SeenPicture]
    ended_at: int
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]

    def counted(self, kind: Kind, name: str) -> float | None:
        """By how much a count of the inbound stream of a kind has grown; None where the peer does not count it."""
        before, after = (_inbound(entries, kind).get(name) for entries in (self.before, self.after))
        return None if before is None or after is None else after - before

    def freezes(self) -> list[float]:
        """How long pictures stood still, in milliseconds each, as `freezeCount` of the W3C's statistics defines it.

        That is an interval of three times the average of the last thirty, and of 150 ms more than it. What was shown
        last stands until the end.
        """
        shown_at = [*(one.at for one in self.pictures), self.ended_at]
        intervals = [(later - earlier) % CLOCK_MODULUS for earlier, later in pairwise(shown_at)]
        found: list[float] = []
        for index, interval in enumerate(intervals):
            recent = intervals[max(0, index - _AVERAGED) : index]
            average = statistics.fmean(recent) if recent else _USUAL_INTERVAL
            if interval > max(3 * average, average + 150):
                found.append(interval)
        return found


def _inbound(entries: Sequence[Mapping[str, Any]], kind: Kind) -> Mapping[str, Any]:
    return next((one for one in entries if one.get("type") == "inbound-rtp" and one.get("kind") == kind), {})


@dataclass(frozen=True)
class RemoteMedia:
    """The sound and pictures of one peer."""

    peer: RemotePeer

    async def capabilities(self, kind: Kind) -> dict[str, list[dict[str, Any]]]:
        """The codecs that it sends and receives, as RTCRtpCodec has them."""
        found: dict[str, list[dict[str, Any]]] = await self.peer.ask("capabilities", kind=kind)
        return found

    async def send_tone(self, frequency: float = 440.0, level: float = 0.25) -> None:
        """Add a track with a tone."""
        await self.peer.ask("sendTone", frequency=frequency, level=level)

    async def send_clock(self, width: int = 640, height: int = 360, frame_rate: int = 30) -> None:
        """Add a track with a clock that can be read from its pixels."""
        await self.peer.ask("sendClock", width=width, height=height, frameRate=frame_rate)

    async def add_transceiver(self, kind: Kind, direction: str = "recvonly") -> None:
        await self.peer.ask("addTransceiver", kind=kind, direction=direction)

    async def prefer_codec(self, kind: Kind, mime_type: str, parameters: str = "") -> None:
        """`setCodecPreferences` with those first that are called so and have `parameters` in their `fmtp`."""
        await self.peer.ask("preferCodec", kind=kind, mimeType=mime_type, parameters=parameters)

    async def hear_tone(self, seconds: float = 1.0) -> HeardTone:
        """Listen to the first remote sound, from where it is not silent any more."""
        return _tone(await self.peer.ask("hearTone", seconds=seconds))

    async def see_clock(self, frames: int = 30) -> list[SeenPicture]:
        """Look at the next pictures of the first remote video."""
        return _pictures(await self.peer.ask("seeClock", frames=frames))

    async def observe(self, seconds: float) -> Observed:
        """Both for so long, each measured when it is over."""
        found = await self.peer.ask("observe", seconds=seconds)
        return Observed(
            tone=_tone(found["tone"]),
            pictures=_pictures(found["pictures"]),
            ended_at=found["endedAt"],
            before=found["before"],
            after=found["after"],
        )

    async def set_direction(self, kind: Kind, direction: str) -> None:
        await self.peer.ask("setDirection", kind=kind, direction=direction)

    async def remove_track(self, kind: Kind) -> None:
        """`removeTrack` of what it sends of this kind, which ends."""
        await self.peer.ask("removeTrack", kind=kind)

    async def stop_transceiver(self, kind: Kind) -> None:
        await self.peer.ask("stopTransceiver", kind=kind)

    async def send_tones(self, tones: str, duration: int = 100, gap: int = 70) -> None:
        """`insertDTMF` on what it sends of sound; returns when all have been sent."""
        await self.peer.ask("sendTones", tones=tones, duration=duration, gap=gap)

    async def transceivers(self) -> list[dict[str, Any]]:
        """Of each: `mid`, `kind`, `direction`, `currentDirection`, and whether its remote track is `muted`."""
        found: list[dict[str, Any]] = await self.peer.ask("transceivers")
        return found

    async def stats(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The entries of `getStats`, or those of one type."""
        entries: Sequence[Mapping[str, Any]] = await self.peer.ask("stats")
        return [dict(one) for one in entries if kind is None or one.get("type") == kind]


def _tone(found: Mapping[str, Any]) -> HeardTone:
    return HeardTone(frequency=found["frequency"], level=found["level"], longest_silence=found["longestSilence"])


def _pictures(found: Sequence[Mapping[str, Any]]) -> list[SeenPicture]:
    return [
        SeenPicture(
            number=one["number"],
            at=one["at"],
            width=one["width"],
            height=one["height"],
            rtp_timestamp=one["rtpTimestamp"],
        )
        for one in found
    ]
