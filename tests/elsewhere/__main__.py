"""Tries the pure library in a process that looks like one on another system.

    python -m tests.elsewhere darwin imports    every module
    python -m tests.elsewhere win32 call        two peer connections on loopback, and messages between them
    python -m tests.elsewhere darwin relay      the same through our TURN server

Exits 1 when something fails, or when anything was asked of the kernel that means something else there.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import Final

from tests.elsewhere.systems import SYSTEMS, become, run, strayed

TRIALS: Final = ("imports", "call", "relay")


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.elsewhere", description="Tries the library elsewhere.")
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("trial", choices=TRIALS)
    options = parser.parse_args()
    if os.environ.get("ICELANE_PURE") != "1":
        parser.error("what was compiled for this system is none of another: set ICELANE_PURE=1")
    logging.getLogger("icelane").setLevel(logging.ERROR)  # what is refused on purpose is none
    become(options.system)
    # Not before: what is imported looks around at once.
    from tests.elsewhere import trials

    if options.trial == "imports":
        print(trials.import_everything())
    else:
        run(trials.call if options.trial == "call" else trials.relay, options.system)
    for what in strayed:
        print(f"elsewhere this is something else: {what}", file=sys.stderr)
    return 1 if strayed else 0


if __name__ == "__main__":
    sys.exit(main())
