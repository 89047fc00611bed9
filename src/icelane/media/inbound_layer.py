"""Which of several layers of one picture is taken, where a peer sends them though the answer has none (RFC 8853).

Layers are sources of one section that are told apart by their stream identifiers (RFC 8852), which packets have until
the receiver has reported them. The one that came first is taken as long as it comes.
"""

from __future__ import annotations

from typing import Final

from icelane.rtp.header_extension import REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID, ExtensionMap
from icelane.rtp.packet import RtpPacket

# SSRCs of other layers and of their retransmissions. Nobody sends more layers than three or four; beyond the bound the
# first ones are learnt anew, when they say again what they are.
MAX_OTHERS: Final = 16


class LayerChoice:
    """Of one section. Packets of the source that is taken need not be shown to it."""

    __slots__ = ("_identifier", "_others", "_repaired", "_taken")

    def __init__(self, extensions: ExtensionMap) -> None:
        self._identifier = extensions.identifier_of(RTP_STREAM_ID)
        self._repaired = extensions.identifier_of(REPAIRED_RTP_STREAM_ID)
        self._taken: bytes | None = None
        self._others: dict[int, None] = {}

    def take(self, packet: RtpPacket) -> None:
        """Packets of this source are taken from now on."""
        self._taken = None if self._identifier is None else packet.extension(self._identifier)
        self._others.pop(packet.ssrc, None)

    def is_other(self, packet: RtpPacket, *, is_repeated: bool = False) -> bool:
        """Whether a packet of another SSRC, or a retransmission, is of a layer that is not taken."""
        identifier = self._repaired if is_repeated else self._identifier
        name = None if identifier is None or self._taken is None else packet.extension(identifier)
        if name is None:
            return packet.ssrc in self._others
        if name == self._taken:
            self._others.pop(packet.ssrc, None)
            return False
        self._others[packet.ssrc] = None
        while len(self._others) > MAX_OTHERS:
            del self._others[next(iter(self._others))]
        return True
