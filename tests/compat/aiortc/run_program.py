"""`python run_program.py NAME [ours]`: what a program of `programs` returns, as JSON, over aiortc or over icelane."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent / "programs"))
    if sys.argv[2:] == ["ours"]:
        names = importlib.import_module("icelane.compat.aiortc")
        names.install()
        names.DEFAULT_ICE_SERVERS.clear()
    program = importlib.import_module(sys.argv[1])
    print("RESULT " + json.dumps(asyncio.run(program.main())))
