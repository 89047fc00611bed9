"""How a mistake in somebody's program is written down: where it happened, and never what it was about."""

from __future__ import annotations

import logging
from typing import Final

from icelane.core.raised import frames_of

LOGGER: Final = logging.getLogger("icelane.signaling")


def report_failure(what: str, error: BaseException) -> None:
    """`signaling.failed`: `what` was asked, the type of the error, and where it was raised, the innermost last.

    Neither its text, which may hold a token, nor any line of the source, which may as well (SG-7).
    """
    fields = {"what": what, "error": type(error).__name__, "frames": frames_of(error)}
    LOGGER.error("signaling.failed", extra=fields)
