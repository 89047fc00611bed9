"""Where the console script begins. It imports next to nothing, so that the server is deaf to SIGHUP almost at once.

The commands take half a second to import. Whoever starts the server and reloads it at once, as a supervisor may, would
end it in that time.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence


def run() -> None:
    """Run the command that the arguments of the process name, and exit with its code."""
    if serves(sys.argv[1:]) and hasattr(signal, "SIGHUP"):
        # What has changed is read later anyway. Not SIG_IGN, which the programs that we run would inherit.
        signal.signal(signal.SIGHUP, lambda *_: None)
    from icelane.cli.main import main

    main()


def serves(arguments: Sequence[str]) -> bool:
    """Whether these are the arguments of `icelane serve`."""
    # No option before the command has a value, so the first word is the command.
    return next((word for word in arguments if not word.startswith("-")), "") == "serve"
