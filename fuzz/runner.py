"""Runs one target against its oracle."""

from __future__ import annotations

import enum
import gc
import hashlib
import importlib
import pathlib
import pkgutil
import random
import re
import resource
import time
import traceback
import tracemalloc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import fuzz.targets
from fuzz.mutator import STUN_TOKENS, Mutator
from icelane.errors import MalformedError

CORPUS: Final = pathlib.Path(__file__).parent / "corpus"
FINDINGS: Final = pathlib.Path(__file__).parent / "findings"

# FZ-1. Processor time, because a shared machine stops us at times; and only when every one of several runs was slow.
SLOW_SECONDS: Final = 0.010
SLOW_RETRIES: Final = 5
# Peak allocation of one input, measured on a sample of inputs because measuring costs more than running.
MAX_PEAK: Final = 16 << 20
PEAK_SAMPLE: Final = 997
# Growth of the process from the end of the warm-up on; the pool's own inputs are far below it.
MAX_GROWTH: Final = 64 << 20
WARM_UP: Final = 500
# How many inputs are kept because they behaved in a new way; beyond it one replaces another.
MAX_POOL: Final = 2000
MAX_FINDINGS: Final = 10

_DIGITS: Final = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True)
class Target:
    """A parser or engine under test."""

    name: str
    seeds: Sequence[bytes]
    run: Callable[[bytes], Hashable]
    dictionary: Sequence[bytes]


class FindingKind(enum.Enum):
    """How an input broke the oracle."""

    ESCAPED = "escaped"
    """An exception came out that must not."""
    SLOW = "slow"
    MEMORY = "memory"


@dataclass(frozen=True)
class Finding:
    """An input that broke the oracle."""

    target: str
    data: bytes
    kind: FindingKind
    what: str

    def save(self) -> pathlib.Path:
        """Write the input where `--replay` finds it."""
        FINDINGS.mkdir(exist_ok=True)
        path = FINDINGS / f"{self.target}-{hashlib.sha256(self.data).hexdigest()[:8]}"
        path.write_bytes(self.data)
        return path


@dataclass(frozen=True)
class Report:
    """What a run did."""

    inputs: int
    pool: int
    seconds: float
    findings: tuple[Finding, ...]


def all_targets() -> dict[str, Target]:
    """Every target by name."""
    return {name: load(name) for _, name, _ in pkgutil.iter_modules(fuzz.targets.__path__)}


def load(name: str) -> Target:
    """The target of that name, with the inputs that are kept in the corpus."""
    module = importlib.import_module(f"fuzz.targets.{name}")
    return Target(
        name=name,
        seeds=[*module.SEEDS, *kept_inputs(name)],
        run=module.run,
        dictionary=getattr(module, "DICTIONARY", STUN_TOKENS),
    )


def kept_inputs(name: str) -> list[bytes]:
    """The corpus file of a target: one input a line in hexadecimal, with a comment after `#`."""
    path = CORPUS / f"{name}.hex"
    if not path.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [bytes.fromhex(line) for line in lines if line]


def behaviour(target: Target, data: bytes) -> Hashable:
    """What the target does with `data`; raises whatever escapes that must not."""
    try:
        return target.run(data)
    except MalformedError as refusal:
        return _DIGITS.sub("N", str(refusal))


def check(target: Target, data: bytes, measure_peak: bool = False) -> tuple[Hashable, Finding | None]:
    """Run one input against the oracle."""
    if measure_peak:
        tracemalloc.start()
    start = time.process_time()
    try:
        result = behaviour(target, data)
    except Exception:  # the oracle: anything else that escapes is a finding
        return None, Finding(target.name, data, FindingKind.ESCAPED, traceback.format_exc())
    finally:
        elapsed = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1] if measure_peak else 0
        tracemalloc.stop()
    if peak > MAX_PEAK:
        what = f"an input of {len(data)} bytes allocated {peak} bytes"
        return result, Finding(target.name, data, FindingKind.MEMORY, what)
    if elapsed > SLOW_SECONDS and not measure_peak:
        elapsed = min(_time(target, data) for _ in range(SLOW_RETRIES))
        if elapsed > SLOW_SECONDS:
            what = f"an input of {len(data)} bytes took {elapsed * 1000:.1f} ms"
            return result, Finding(target.name, data, FindingKind.SLOW, what)
    return result, None


def fuzz_target(target: Target, seconds: float, seed: int) -> Report:
    """Mutate until `seconds` have passed. Every seed runs first, however short the time is."""
    generator = random.Random(seed)
    mutator = Mutator(generator, target.dictionary)
    pool: list[bytes] = []
    seen: set[Hashable] = set()
    findings: dict[str, Finding] = {}
    baseline = 0
    inputs = 0
    start = time.monotonic()
    waiting = list(target.seeds)
    while (waiting or time.monotonic() - start < seconds) and len(findings) < MAX_FINDINGS:
        seeded = bool(waiting)
        data = waiting.pop() if seeded else mutator.mutate(generator.choice(pool), generator.choice(pool))
        inputs += 1
        result, finding = check(target, data, measure_peak=inputs % PEAK_SAMPLE == 0)
        if finding is not None:
            findings.setdefault(finding.what, finding)
        if seeded or result not in seen:
            seen.add(result)
            _keep(pool, data, generator)
        if inputs == WARM_UP:
            baseline = _resident()
        elif baseline and inputs % WARM_UP == 0 and _resident() - baseline > MAX_GROWTH:
            what = f"the process grew by more than {MAX_GROWTH >> 20} MiB"
            grown = Finding(target.name, data, FindingKind.MEMORY, what)
            findings.setdefault("growth", grown)
            break
    return Report(inputs, len(pool), time.monotonic() - start, tuple(findings.values()))


def fuzz_by_name(name: str, seconds: float, seed: int) -> Report:
    """The same, for a process that is handed nothing but a name."""
    return fuzz_target(load(name), seconds, seed)


def _keep(pool: list[bytes], data: bytes, generator: random.Random) -> None:
    if len(pool) < MAX_POOL:
        pool.append(data)
    else:
        pool[generator.randrange(MAX_POOL)] = data


def _time(target: Target, data: bytes) -> float:
    start = time.process_time()
    behaviour(target, data)
    return time.process_time() - start


def _resident() -> int:
    # Engines and their worlds are cycles, which the collector finds late when they are few and large.
    gc.collect()
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
