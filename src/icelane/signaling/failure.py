"""How a mistake in somebody's program is written down: where it happened, and never what it was about."""

from __future__ import annotations

import logging
import traceback
from typing import Final

LOGGER: Final = logging.getLogger("icelane.signaling")

# Of a function that calls itself without end the innermost frames tell enough.
_MAX_FRAMES: Final = 16


def report_failure(what: str, error: BaseException) -> None:
    """`signaling.failed`: `what` was asked, the type of the error, and where it was raised, the innermost last.

    Neither its text, which may hold a token, nor any line of the source, which may as well (SG-7).
    """
    frames = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    fields = {"what": what, "error": type(error).__name__, "frames": frames[-_MAX_FRAMES:]}
    LOGGER.error("signaling.failed", extra=fields)
