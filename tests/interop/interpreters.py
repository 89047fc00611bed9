"""Which interpreter has aiortc: it needs things that icelane does not, so it is in an environment of its own."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Final

from tests.interop.conftest import miss
from tests.interop.peers.company import MAKE_PEERS, PEERS_PYTHON

INTERPRETERS: Final = (str(PEERS_PYTHON), sys.executable)


def need_aiortc() -> str:
    """An interpreter that has aiortc; skips the test, or fails it where a run promises the whole."""
    return _find_interpreter() or miss(f"aiortc is not installed: {MAKE_PEERS}")


@functools.cache
def _find_interpreter() -> str | None:
    for interpreter in INTERPRETERS:
        try:
            found = subprocess.run([interpreter, "-c", "import aiortc"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if found.returncode == 0:
            return interpreter
    return None
