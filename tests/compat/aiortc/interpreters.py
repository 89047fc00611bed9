"""Who runs a program for aiortc: an interpreter that has it, or ours with icelane in its place."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.interop.conftest import is_required

ROOT: Final = Path(__file__).resolve().parents[3]
PEERS: Final = ROOT / ".venv-peers/bin/python"


def need_aiortc() -> str:
    """An interpreter that has aiortc; skips the test, or fails it where a run promises the whole."""
    if (
        PEERS.exists()
        and subprocess.run([PEERS, "-c", "import aiortc"], capture_output=True, check=False).returncode == 0
    ):
        return str(PEERS)
    missing = "aiortc is not installed: make .venv-peers/.installed"
    if is_required():
        pytest.fail(missing)
    pytest.skip(missing)
