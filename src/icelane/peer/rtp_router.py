"""Which transceiver a packet is for (RFC 9143 section 9.2).

    1. its mid extension            and the SSRC is that section's from now on
    2. its SSRC                     learnt before, or named by a description
    3. its payload type             when only one section has it; the SSRC is learnt
    4. nobody's: dropped and counted

Only authentic packets come here, so the peer alone can fill the table of SSRCs, and what it can hold is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from icelane.peer.transceiver import Transceiver
from icelane.rtp.header_extension import MID
from icelane.rtp.packet import RtpPacket

# SSRCs that packets have taught. At the bound the one heard longest ago is forgotten, and learnt again by its next
# packet that says what it is (SR-4).
MAX_LEARNT: Final = 256


class RtpRouter:
    """The tables of one transport. `unknown` counts packets that were nobody's."""

    __slots__ = (
        "_by_mid",
        "_by_payload_type",
        "_learnt",
        "_mid_identifiers",
        "_passed_over",
        "_signalled",
        "unknown",
    )

    def __init__(self) -> None:
        self.unknown = 0
        self._mid_identifiers: frozenset[int] = frozenset()
        # Where a section names several sources, as Plan B does: it has one track here, the first.
        self._passed_over: frozenset[int] = frozenset()
        self._by_mid: dict[bytes, Transceiver] = {}
        self._by_payload_type: dict[int, Transceiver | None] = {}
        self._signalled: dict[int, Transceiver] = {}
        self._learnt: OrderedDict[int, Transceiver] = OrderedDict()

    def set_transceivers(self, transceivers: Iterable[Transceiver]) -> None:
        """An exchange has changed who receives, and what."""
        receiving = {one: one.negotiated for one in transceivers if one.receives and one.negotiated is not None}
        self._by_mid = {(one.mid or "").encode(): one for one in receiving}
        self._by_payload_type.clear()
        self._signalled.clear()
        identifiers: set[int] = set()
        passed_over: set[int] = set()
        for transceiver, negotiated in receiving.items():
            identifiers.update(number for number, uri in negotiated.receive_extensions if uri == MID)
            for codec in negotiated.receive_codecs:
                for number in (codec.payload_type, codec.rtx_payload_type):
                    if number is not None:
                        self._by_payload_type[number] = None if number in self._by_payload_type else transceiver
            for source in negotiated.remote_sources[:1]:
                self._signalled[source.ssrc] = transceiver
                if source.rtx_ssrc is not None:
                    self._signalled[source.rtx_ssrc] = transceiver
            passed_over.update(source.ssrc for source in negotiated.remote_sources[1:])
        self._mid_identifiers = frozenset(identifiers)
        self._passed_over = frozenset(passed_over)
        self._learnt = OrderedDict((ssrc, one) for ssrc, one in self._learnt.items() if one in receiving)

    def sort(self, packets: list[RtpPacket]) -> dict[Transceiver, list[RtpPacket]]:
        """Whose the packets are, each transceiver's in their order; without those that are nobody's."""
        sorted_: dict[Transceiver, list[RtpPacket]] = {}
        last: Transceiver | None = None
        batch: list[RtpPacket] = []
        for packet in packets:
            transceiver = self.route(packet)
            if transceiver is None:
                continue
            if transceiver is not last:
                last = transceiver
                batch = sorted_.setdefault(transceiver, [])
            batch.append(packet)
        return sorted_

    def route(self, packet: RtpPacket) -> Transceiver | None:
        """Whose the packet is, None when it is nobody's."""
        ssrc = packet.ssrc
        if ssrc in self._passed_over:
            self.unknown += 1
            return None
        for number, data in packet.extensions:
            if number in self._mid_identifiers:
                return self._learn(ssrc, self._by_mid.get(data))
        found = self._learnt.get(ssrc)
        if found is not None:
            self._learnt.move_to_end(ssrc)
            return found
        found = self._signalled.get(ssrc) or self._by_payload_type.get(packet.payload_type)
        return self._learn(ssrc, found)

    @property
    def learnt(self) -> int:
        """How many SSRCs are known by their packets."""
        return len(self._learnt)

    def _learn(self, ssrc: int, transceiver: Transceiver | None) -> Transceiver | None:
        if transceiver is None:
            self.unknown += 1
            return None
        learnt = self._learnt
        learnt[ssrc] = transceiver
        learnt.move_to_end(ssrc)
        if len(learnt) > MAX_LEARNT:
            learnt.popitem(last=False)
        return transceiver
