"""What times a newcomer's first call, without the minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benches.first_five_minutes import Stopwatch, clean_environment, run_step


def test_a_newcomer_has_nothing_of_ours_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ICELANE_PURE", "XDG_STATE_HOME", "PYTHONPATH", "PIP_CACHE_DIR"):
        monkeypatch.setenv(name, "/somewhere")
    found = clean_environment(tmp_path)
    assert not [name for name, value in found.items() if value == "/somewhere"]
    assert found["HOME"] == str(tmp_path)
    assert found["PIP_NO_CACHE_DIR"] == "1"
    assert found["PATH"] == os.environ["PATH"]


def test_each_step_is_printed_as_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Stopwatch()
    with watch.step("counting"):
        subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    assert "counting: " in capsys.readouterr().out
    assert 0 < watch.cpu <= watch.total * (os.cpu_count() or 1) + 1


def test_a_step_that_fails_says_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        run_step(sys.executable, "-c", "import sys; sys.exit('no such thing')", environment=os.environ)
