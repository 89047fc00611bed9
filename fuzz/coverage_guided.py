"""The same targets under Atheris, guided by coverage of the pure Python form, where atheris is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def fuzz_all(names: Sequence[str], seconds: float) -> int:
    """Run each target in a process of its own, because libFuzzer ends the one it runs in; returns the exit code."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 3
    worst = 0
    for name in names:
        environment = {**os.environ, "ICELANE_PURE": "1"}
        with tempfile.TemporaryDirectory() as corpus:
            command = [sys.executable, "-m", "fuzz.coverage_guided", name, corpus, f"-max_total_time={int(seconds)}"]
            worst = max(worst, subprocess.run(command, env=environment, check=False).returncode)
    return 1 if worst else 0


def fuzz_one(name: str, corpus: str, flags: Sequence[str]) -> None:
    """Hand this process over to libFuzzer."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # optional, and has no types

    from fuzz.runner import FINDINGS, behaviour, load

    target = load(name)
    # Not instrument_imports: the finder of the pure form comes before it.
    atheris.instrument_all()
    for number, seed in enumerate(target.seeds):
        Path(corpus, f"seed-{number}").write_bytes(seed)
    FINDINGS.mkdir(exist_ok=True)

    def run(data: bytes) -> None:
        behaviour(target, data)

    atheris.Setup([sys.argv[0], corpus, *flags, "-max_len=4096", f"-artifact_prefix={FINDINGS}/{name}-"], run)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz_one(sys.argv[1], sys.argv[2], sys.argv[3:])
