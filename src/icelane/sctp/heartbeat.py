"""HEARTBEAT (RFC 9260 section 8.3): asks a silent peer whether it is there, and answers when asked.

ICE consent finds out sooner that a path is dead, so this only keeps what lies between from forgetting us, and counts.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER, Instant, later
from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal
from icelane.sctp.chunks import ChunkType, encode_chunk
from icelane.sctp.control_chunks import encode_parameter

INTERVAL: Final = 30.0  # RFC 9260 section 16
_HEARTBEAT_INFO: Final = 1
_NONCE_SIZE: Final = 16


class Heartbeat:
    """One question at a time. `unanswered` counts those in a row that nothing came back for."""

    def __init__(self, entropy: Entropy) -> None:
        self.unanswered = 0
        self.deadline = NEVER
        self._entropy = entropy
        self._info = b""

    def on_activity(self, now: Instant) -> None:
        """The peer is alive: ask again after a while without a word of it."""
        self.deadline = later(now, INTERVAL)
        self.unanswered = 0

    def ask(self, now: Instant, timeout: float) -> bytes:
        """The HEARTBEAT chunk; `timeout` is the current retransmission timeout."""
        if self._info:
            self.unanswered += 1
        self._info = encode_parameter(_HEARTBEAT_INFO, self._entropy.token(_NONCE_SIZE))
        self.deadline = later(now, timeout + INTERVAL)
        return encode_chunk(ChunkType.HEARTBEAT, 0, self._info)

    def handle_answer(self, info: bytes) -> None:
        """A HEARTBEAT ACK; one that answers nothing of ours says nothing."""
        if self._info and equal(info, self._info):
            self._info = b""
            self.unanswered = 0
