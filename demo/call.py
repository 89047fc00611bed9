"""A call between two ends, whatever they are, and what both of them measured.

page ----.                 .---- page           chromium.PageEnd
          >--  run_call --<
peer ----'                 '---- peer           peer.PeerEnd
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Protocol

STATISTICS_INTERVAL = 0.1  # seconds between two looks at the statistics


@dataclass(frozen=True, kw_only=True)
class Security:
    """How one end says that the connection is protected. Fingerprints are as SDP writes them: `sha-256 6B:0C:...`."""

    protocol: str
    cipher_suite: str
    srtp_profile: str | None
    """What the handshake agreed on for media, by its name in the registry of IANA; a call without media has no
    use for it. None where nothing was agreed on."""
    local_fingerprint: str
    remote_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What an end's `getStats` says, in the words of W3C. Times in seconds; the candidates are of the selected pair."""

    connection_state: str
    local_candidate: str
    remote_candidate: str
    relay_protocol: str
    transport_bytes_sent: int
    transport_bytes_received: int
    round_trip: float | None
    security: Security
    frames_decoded: int = 0
    video_packets_received: int = 0
    video_packets_lost: int = 0
    codecs: tuple[str, ...] = field(default=())
    """Of what comes in, each once."""
    problems: tuple[str, ...] = field(default=())
    """Candidate errors, as the end words them."""


@dataclass(frozen=True, kw_only=True)
class EndReport(Statistics):
    """What one end measured."""

    set_up: float
    payload_sent: int
    payload_received: int
    payload_intact: bool
    """The SHA-256 of what arrived here is that of what the other end sent."""

    @property
    def relayed(self) -> bool:
        """Whether both ends of the selected pair are relayed addresses."""
        return self.local_candidate == "relay" == self.remote_candidate


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """Both ends of one call."""

    caller: EndReport
    callee: EndReport

    @property
    def ends(self) -> tuple[EndReport, EndReport]:
        return self.caller, self.callee

    @property
    def compared(self) -> bool:
        """Whether each end has seen the certificate that the other one has, and both speak of the same encryption."""
        ours, theirs = self.caller.security, self.callee.security
        return (
            ours.local_fingerprint == theirs.remote_fingerprint
            and ours.remote_fingerprint == theirs.local_fingerprint
            and (ours.protocol, ours.cipher_suite) == (theirs.protocol, theirs.cipher_suite)
            and ours.srtp_profile == theirs.srtp_profile
        )


class End(Protocol):
    """One end of a call that may only use relayed candidates."""

    async def begin(self, *, video: bool) -> None:
        """Make the connection and the channel, with a picture of its own to send if `video`."""
        ...

    async def offer(self) -> str:
        """The SDP of an offer."""
        ...

    async def answer(self, sdp: str) -> str:
        """The SDP of the answer to an offer."""
        ...

    async def accept(self, sdp: str) -> None:
        """Take the answer to our offer."""
        ...

    async def next_candidate(self) -> str:
        """The next candidate of ours, as JSON."""
        ...

    async def add_candidate(self, candidate: str) -> None:
        """One of the other end's, once its description is here."""
        ...

    async def opened(self) -> float:
        """Wait for the channel; seconds since `begin`."""
        ...

    async def send(self, size: int) -> str:
        """Send random bytes; their SHA-256 in hexadecimal."""
        ...

    async def received(self, size: int) -> tuple[int, str]:
        """Wait for so many bytes; how many came, and their SHA-256 in hexadecimal."""
        ...

    async def statistics(self) -> Statistics:
        """What holds now."""
        ...

    async def problems(self) -> tuple[str, ...]:
        """The candidate errors so far, as `Statistics` has them; also of a call that came to nothing."""
        ...


async def run_call(caller: End, callee: End, *, payload: int, frames: int = 0) -> CallReport:
    """Let both ends exchange `payload` bytes each way, and decode `frames` pictures each."""
    carriers = [
        asyncio.ensure_future(_carry_candidates(source, target))
        for source, target in ((caller, callee), (callee, caller))
    ]
    try:
        for end in (caller, callee):
            await end.begin(video=frames > 0)
        offer = await caller.offer()
        await caller.accept(await callee.answer(offer))
        set_up = await asyncio.gather(caller.opened(), callee.opened())
        idle = [await end.statistics() for end in (caller, callee)]  # a full queue is no round trip
        at_callee, at_caller = await asyncio.gather(
            _transfer(caller, callee, payload), _transfer(callee, caller, payload)
        )
        await asyncio.gather(*(_wait_for_frames(end, frames) for end in (caller, callee)))
        return CallReport(
            caller=await _report(caller, idle[0], set_up[0], payload, at_caller),
            callee=await _report(callee, idle[1], set_up[1], payload, at_callee),
        )
    finally:
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)


async def _carry_candidates(source: End, target: End) -> None:
    while True:
        await target.add_candidate(await source.next_candidate())


async def _transfer(source: End, target: End, size: int) -> tuple[int, bool]:
    """Send `size` bytes; returns how many came and whether they are the ones that were sent."""
    sent, (count, arrived) = await asyncio.gather(source.send(size), target.received(size))
    return count, arrived == sent


async def _wait_for_frames(end: End, frames: int) -> None:
    while frames and (await end.statistics()).frames_decoded < frames:
        await asyncio.sleep(STATISTICS_INTERVAL)


async def _report(end: End, idle: Statistics, set_up: float, sent: int, arrived: tuple[int, bool]) -> EndReport:
    statistics = replace(await end.statistics(), round_trip=idle.round_trip)
    return EndReport(
        **vars(statistics),
        set_up=set_up,
        payload_sent=sent,
        payload_received=arrived[0],
        payload_intact=arrived[1],
    )
