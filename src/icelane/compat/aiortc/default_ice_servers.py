"""The servers that a connection asks when nobody said which: what aiortc does, and the only place that names one."""

from __future__ import annotations

from icelane.compat.aiortc.rtcconfiguration import RTCIceServer

DEFAULT_ICE_SERVERS: list[RTCIceServer] = [RTCIceServer(urls="stun:stun.l.google.com:19302")]
"""For `iceServers=None`; looked at when a connection is made. Empty it, and nobody is contacted."""
