"""One end of a call runs over icelane and the other over aiortc, by the same program."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.interop.interpreters import need_aiortc

pytestmark = [pytest.mark.interop, pytest.mark.once]

PROGRAM: Final = Path(__file__).parent / "ends/end.py"
PATIENCE: Final = 90.0


@pytest.mark.parametrize("offerer", ["icelane", "aiortc"])
def test_sound_pictures_and_words_are_echoed(offerer: str, tmp_path: Path) -> None:
    socket = tmp_path / "signals"
    ours, theirs = [sys.executable, str(PROGRAM)], [need_aiortc(), str(PROGRAM)]
    offering, answering = (ours, theirs) if offerer == "icelane" else (theirs, ours)
    first = start([*offering, "offer", str(socket)], is_ours=offering is ours)
    try:
        deadline = time.monotonic() + PATIENCE
        while not socket.exists() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        second = start([*answering, "answer", str(socket)], is_ours=answering is ours)
        try:
            said, complaints = first.communicate(timeout=PATIENCE)
        finally:
            second.kill()
            more = second.communicate()
    finally:
        first.kill()
    assert said.startswith("RESULT "), (said, complaints, more)
    heard = json.loads(said.removeprefix("RESULT "))
    assert heard == {"messages": ["echo hello"], "frequency": 500, "luma": 160}


def start(command: list[str], *, is_ours: bool) -> subprocess.Popen[str]:
    arguments = [*command, "ours"] if is_ours else command
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
