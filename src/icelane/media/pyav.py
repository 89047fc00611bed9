"""PyAV, for whoever works on frames: the one place where it is imported, so that its absence is told in one way.

    from icelane.media.pyav import av

Raises MissingExtraError on import where PyAV is not installed.
"""

from __future__ import annotations

from icelane.errors import MissingExtraError

try:
    import av as av
except ModuleNotFoundError as error:
    raise MissingExtraError("frames of audio and video need PyAV", extra="media") from error
