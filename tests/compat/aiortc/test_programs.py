"""Programs for aiortc run over icelane, and come to the same: `programs` holds them, `results.json` what they come to.

`python -m tests.compat.aiortc.test_programs` writes that file by running them over aiortc itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interop.interpreters import need_aiortc
from tests.interop.peers.company import PEERS_PYTHON

pytestmark = pytest.mark.realtime

HERE: Final = Path(__file__).parent
RUNNER: Final = HERE / "run_program.py"
RESULTS: Final = HERE / "results.json"
SHARED: Final = {"calling", "media"}
PROGRAMS: Final = sorted({path.stem for path in (HERE / "programs").glob("*.py")} - SHARED)
PATIENCE: Final = 90.0


def result_of(interpreter: str | Path, program: str, *arguments: str) -> Any:
    """What a program comes to."""
    run = subprocess.run(
        [interpreter, RUNNER, program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, run.stdout + run.stderr
    return json.loads(lines[-1].removeprefix("RESULT "))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_comes_to_the_same_over_icelane(program: str) -> None:
    assert result_of(sys.executable, program, "ours") == json.loads(RESULTS.read_text())[program]


@pytest.mark.interop
@pytest.mark.once
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_comes_to_what_is_recorded_over_aiortc(program: str) -> None:
    assert result_of(need_aiortc(), program) == json.loads(RESULTS.read_text())[program]


if __name__ == "__main__":
    results = {program: result_of(PEERS_PYTHON, program) for program in PROGRAMS}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
