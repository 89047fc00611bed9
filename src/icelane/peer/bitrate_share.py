"""What of a peer's estimate each stream may take: REMB names streams, and says one rate for all of them together."""

from __future__ import annotations

from collections.abc import Mapping

from icelane.media.codec import MediaKind
from icelane.media.event import BitrateLimited
from icelane.media.outbound_stream import OutboundStream
from icelane.peer.transceiver import Transceiver


class BitrateShares:
    """Of one connection. Pictures that are sent and named share evenly; sound is small beside them, and not counted."""

    def __init__(self) -> None:
        self._estimates: dict[Transceiver, BitrateLimited] = {}
        self._told: dict[Transceiver, int] = {}

    def learn(self, transceiver: Transceiver, estimate: BitrateLimited) -> None:
        """The last estimate that names the transceiver's stream."""
        self._estimates[transceiver] = estimate

    def forget(self, transceiver: Transceiver) -> None:
        """It is stopped."""
        self._estimates.pop(transceiver, None)
        self._told.pop(transceiver, None)

    def changes(self, streams: Mapping[Transceiver, OutboundStream]) -> list[tuple[Transceiver, int]]:
        """The shares, in bit/s, that are others than last time, with what is sent now."""
        pictures = [stream.options.ssrc for one, stream in streams.items() if one.kind is MediaKind.VIDEO and one.sends]
        changed: list[tuple[Transceiver, int]] = []
        for transceiver, estimate in self._estimates.items():
            sharing = sum(ssrc in estimate.ssrcs for ssrc in pictures)
            share = estimate.bits_per_second // max(1, sharing)
            if self._told.get(transceiver) != share:
                self._told[transceiver] = share
                changed.append((transceiver, share))
        return changed
