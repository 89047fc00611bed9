"""What a call costs: `python -m benches.media [--smoke] [--full] [--json FILE]`.

Ours beside aiortc, two processes each, one per end, on a CPU each, over loopback. The peers take turns in every round,
the first round is dropped; figures are medians. CPU time is that of the whole process of an end: track, codec, RTP,
SRTP, socket and event loop.

- Packets per CPU-second of each end, for either profile of SRTP: VP8 that is encoded already goes into a track and
  comes out again, 2000 packets of 1200 bytes a second, and nobody decodes it. In pictures of 10 packets most of what
  that costs is to wake up for each; in pictures of 50 it is what happens to packets.
- Streams of Opus per core: a tone of 48 kHz, stereo, eight streams in one connection.
- Streams of 720p per core: 30 pictures a second that move, VP8, one stream; what was encoded and came counts.
- Latency from glass to glass: the card is drawn, encoded, sent, decoded and read; 640 by 480 at 30 a second.

Loopback is that of a namespace of its own, since aiortc gathers no loopback addresses: that needs root. Without, only
ours is measured, on this machine's loopback.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benches.command import Options, Session, announce, parse_options, write_json
from benches.measure import Summary
from benches.peers import REFERENCE, Pair, PeerFailedError, choose_peers, loopback, note_what_disturbs, running
from benches.table import Cell, print_table

PROGRAM = "benches.media_peer"

BEGIN_TIMEOUT = 20.0
"""Seconds until something must have come."""

ATTEMPTS = 3
"""Calls that are tried for one sample: where a machine is busy a peer may lose its connection."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to do."""

    rounds: int
    seconds: float
    """Of one run."""
    settle: float
    """Seconds before it, in which rates and delays find their level."""


NORMAL = Plan(rounds=4, seconds=4.0, settle=3.0)
FULL = Plan(rounds=8, seconds=10.0, settle=5.0)
SMOKE = Plan(rounds=2, seconds=0.5, settle=0.2)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent."""

    name: str
    kind: str
    streams: int = 1
    frames_per_second: int = 0
    """Of one stream whose frames count; 0 where packets do."""
    profile: str = ""

    @property
    def counted(self) -> str:
        """Which of the receiver's counts it is measured by."""
        return "frames" if self.frames_per_second else "packets"


LOADS = (
    Load(name="packets, AES128_CM_HMAC_SHA1_80", kind="packets", profile="AES128_CM_HMAC_SHA1_80"),
    Load(name="packets, AEAD_AES_128_GCM", kind="packets", profile="AEAD_AES_128_GCM"),
    Load(name="large pictures, AES128_CM_HMAC_SHA1_80", kind="large", profile="AES128_CM_HMAC_SHA1_80"),
    Load(name="large pictures, AEAD_AES_128_GCM", kind="large", profile="AEAD_AES_128_GCM"),
    Load(name="Opus, streams per core", kind="opus", streams=8, frames_per_second=50),
    Load(name="720p VP8, streams per core", kind="720p", frames_per_second=30),
    Load(name="latency, 480p VP8", kind="clock", frames_per_second=30),
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: packets, or streams, that a CPU-second of each end is enough for; ages in milliseconds."""

    sent: float
    received: float
    came: float
    """Frames or packets a second."""
    ages: tuple[float, ...]


@dataclass(kw_only=True)
class Row:
    """One load, by the peer's name."""

    load: Load
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.load.name


def measure_call(pair: Pair, load: Load, plan: Plan) -> Sample:
    """One call, and another one where nothing came."""
    for _ in range(ATTEMPTS):
        if (sample := _measure_once(pair, load, plan)) is not None:
            return sample
    raise PeerFailedError(f"nothing came: {pair.peer.name}, {load.name}")


def _measure_once(pair: Pair, load: Load, plan: Plan) -> Sample | None:
    sender, receiver = pair.offerer, pair.answerer
    receiver.call("expect", kind=load.kind, profile=load.profile)
    sender.call("open", kind=load.kind, streams=load.streams, profile=load.profile)
    _await_media(pair, load)
    time.sleep(plan.settle)
    receiver.call("counts")
    before, began = pair.cpu_seconds(), time.monotonic()
    time.sleep(plan.seconds)
    found = receiver.call("counts")
    used = [after - was for after, was in zip(pair.cpu_seconds(), before, strict=True)]
    seconds = time.monotonic() - began
    for end in (sender, receiver):
        end.call("close")
    came = found[load.counted]
    if not came:
        return None
    units = came / (load.frames_per_second or 1)
    return Sample(
        sent=units / used[0], received=units / used[1], came=came / seconds, ages=tuple(sorted(found["ages"]))
    )


def _await_media(pair: Pair, load: Load) -> None:
    deadline = time.monotonic() + BEGIN_TIMEOUT
    while True:
        found: Any = pair.answerer.call("counts")
        if found[load.counted]:
            return
        if time.monotonic() > deadline:
            raise PeerFailedError(f"nothing came within {BEGIN_TIMEOUT:g} s: {pair.peer.name}, {load.name}")
        time.sleep(0.1)


def choose_plan(options: Options) -> Plan:
    """The plan that the options name."""
    plan = SMOKE if options.smoke else FULL if options.full else NORMAL
    return Plan(rounds=options.rounds or plan.rounds, seconds=options.seconds or plan.seconds, settle=plan.settle)


def measure(options: Options, session: Session) -> list[Row]:
    """Everything that the options ask for."""
    plan, peers = choose_plan(options), choose_peers(options, session, [REFERENCE])
    rows = [Row(load=load) for load in LOADS if options.only in load.name]
    if not rows:
        session.note(f"no row has {options.only!r} in its name")
    with loopback(session) as network:
        for row in rows:
            # For each load anew, since a profile is chosen for a whole process.
            with running(peers, PROGRAM, network, session) as pairs:
                for round_number in range(plan.rounds):
                    for pair in pairs:
                        sample = measure_call(pair, row.load, plan)
                        if round_number > 0:  # the first one warms up
                            row.samples.setdefault(pair.peer.name, []).append(sample)
            session.progress(plan.rounds, plan.rounds, f"rounds of {row.name}")
    return rows


def print_results(rows: Sequence[Row]) -> None:
    """Both tables."""
    costs = [row for row in rows if row.load.kind != "clock"]
    if costs:
        print_table(
            "A call over loopback: what one CPU-second is enough for",
            ["peer", "what", "sent", "spread", "ratio", "received", "spread", "ratio", "came/s"],
            [_cost_cells(row) for row in costs],
            f"packets, or seconds of a stream; ratios: to {REFERENCE} in the same run, higher is better; "
            "came/s: packets or frames that were there",
        )
    clocks = [row for row in rows if row.load.kind == "clock"]
    if clocks:
        print_table(
            "From glass to glass, milliseconds",
            ["peer", "what", "median", "p99", "ratio", "pictures/s"],
            [_latency_cells(row) for row in clocks],
            f"ratio: of medians, to {REFERENCE} in the same run, lower is better",
        )


def _cost_cells(row: Row) -> list[list[Cell]]:
    reference = row.samples.get(REFERENCE)
    lines = []
    for name, samples in row.samples.items():
        cells = [name, row.name]
        for side in ("sent", "received"):
            found = _summary(samples, side)
            cells += [f"{found.median:.0f}" if found.median >= 1000 else f"{found.median:.1f}", f"{found.spread:.0%}"]
            cells.append(f"{found.median / _summary(reference, side).median:.2f}" if reference else "")
        cells.append(f"{_summary(samples, 'came').median:.0f}")
        lines.append(cells)
    return lines


def _latency_cells(row: Row) -> list[list[Cell]]:
    reference = row.samples.get(REFERENCE)
    return [
        [
            name,
            row.name,
            f"{_age(samples, 50):.1f}",
            f"{_age(samples, 99):.1f}",
            f"{_age(samples, 50) / _age(reference, 50):.2f}" if reference else "",
            f"{_summary(samples, 'came').median:.0f}",
        ]
        for name, samples in row.samples.items()
    ]


def _summary(samples: Sequence[Sample], value: str) -> Summary:
    return Summary.of([getattr(sample, value) for sample in samples])


def _age(samples: Sequence[Sample], percent: int) -> float:
    """The median over the runs of what so many percent were younger than."""
    return Summary.of([sample.ages[len(sample.ages) * percent // 100] for sample in samples if sample.ages]).median


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "media")
    with announce(options) as session:
        note_what_disturbs(session, f"ratios to {REFERENCE}")
        try:
            rows = measure(options, session)
        except PeerFailedError as error:
            sys.exit(str(error))
        print_results(rows)
        write_json(options, session, rows)


if __name__ == "__main__":
    main()
