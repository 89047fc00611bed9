"""The command line of the fuzzer; see the package."""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from fuzz.runner import Finding, Report, Target, all_targets, check, fuzz_by_name, fuzz_target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 when nothing was found, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Looks for inputs that break a parser.")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each target (5)")
    parser.add_argument("--target", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, help="repeat a run: the seed that it printed")
    parser.add_argument("--replay", type=pathlib.Path, metavar="FILE", help="run one input, with --target")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many targets at a time")
    parser.add_argument("--list", action="store_true", help="list the targets and run nothing")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage, where atheris is installed")
    options = parser.parse_args(arguments)
    targets = all_targets()
    chosen = options.target or sorted(targets)
    unknown = [name for name in chosen if name not in targets]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(sorted(targets))}")
    if options.list:
        print("\n".join(chosen))
        return 0
    if options.replay:
        return _replay(targets[chosen[0]], options.replay.read_bytes())
    if options.atheris:
        from fuzz.coverage_guided import fuzz_all

        return fuzz_all(chosen, options.seconds)
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    print(f"seed {seed}", flush=True)
    wanted = [targets[name] for name in chosen]
    reports = _fuzz(wanted, options.seconds, seed, options.jobs)
    return max(_print_report(name, report) for name, report in zip(chosen, reports, strict=True))


def _fuzz(targets: Sequence[Target], seconds: float, seed: int, jobs: int) -> Iterator[Report]:
    """Run each target, as many at a time as there are jobs, in processes of their own where that is more than one."""
    if min(jobs, len(targets)) == 1:
        yield from (fuzz_target(target, seconds, seed) for target in targets)
        return
    # A fresh process for each target: its memory is measured, and what another one has grown is not its own.
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        yield from pool.map(functools.partial(fuzz_by_name, seconds=seconds, seed=seed), [one.name for one in targets])


def _print_report(name: str, report: Report) -> int:
    print(
        f"{name:22} {report.inputs:9} inputs in {report.seconds:6.1f} s, {report.pool:5} kept, "
        f"{len(report.findings)} findings",
        flush=True,
    )
    for finding in report.findings:
        _print(finding)
    return 1 if report.findings else 0


def _replay(target: Target, data: bytes) -> int:
    result, finding = check(target, data)
    if finding is None:
        print(f"fine: {result!r}")
        return 0
    _print(finding)
    return 1


def _print(finding: Finding) -> None:
    print(f"\n{finding.what}\n  {finding.data[:200].hex()}{'...' if len(finding.data) > 200 else ''}")
    print(f"  python -m fuzz --target {finding.target} --replay {finding.save()}\n")


if __name__ == "__main__":
    sys.exit(main())
