"""Bit rates that programs set for aiortc's encoder of H.264, in bit/s. They are not looked at.

An encoder of icelane's follows the size of pictures and what the peer takes; `setParameters` of the sender below has
`maxBitrate`.
"""

from __future__ import annotations

DEFAULT_BITRATE = 1_000_000
MIN_BITRATE = 500_000
MAX_BITRATE = 3_000_000
