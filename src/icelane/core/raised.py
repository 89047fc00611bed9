"""Where an exception was raised, for logs: neither its text nor a line of the source, which may hold a secret."""

from __future__ import annotations

import traceback
from typing import Final

# Of a function that calls itself without end the innermost frames tell enough.
MAX_FRAMES: Final = 16


def frames_of(error: BaseException, most: int = MAX_FRAMES) -> list[str]:
    """`FILE:LINE FUNCTION` of the innermost frames, the innermost last."""
    frames = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return frames[-most:]
