"""Media that listens to anybody, and that lets a peer grow tables."""

from __future__ import annotations

from contextlib import suppress

from icelane.errors import IcelaneError
from icelane.peer import rtp_router
from icelane.peer.media_plane import MediaPlane
from icelane.peer.media_transport import MediaTransport
from icelane.rtp.classify import is_rtcp
from icelane.rtp.packet import RtpPacket, parse_rtp_packet
from icelane.rtp.rtcp import RtcpPacket
from tests.broken.registry import breaks, swap

TRANSPORT = "tests/peer/test_media_transport.py::test_what_is_not_the_peers_is_counted_and_nothing_else"
SCENARIO = "tests/scenarios/test_two_peers_exchange_media.py::test_what_is_not_authentic_reaches_nothing"


@breaks("SR-2", test=(TRANSPORT, SCENARIO))
def packets_in_the_clear_are_taken() -> None:
    unprotect = MediaTransport.unprotect

    def lenient(self: MediaTransport, packets: list[bytes]) -> tuple[list[RtpPacket], list[RtcpPacket]]:
        rtp, rtcp = unprotect(self, packets)
        for data in packets:
            with suppress(IcelaneError):
                if not rtp and not rtcp and not is_rtcp(data):
                    rtp.append(parse_rtp_packet(data))
        return rtp, rtcp

    swap(MediaTransport, "unprotect", lenient)


@breaks("SR-2", test=SCENARIO)
def sources_are_learnt_before_they_are_authentic() -> None:
    handle = MediaPlane.handle_packets

    def eager(self: MediaPlane, packets: list[bytes], now: float) -> bool:
        for data in packets:
            with suppress(IcelaneError):
                self.router.route(parse_rtp_packet(data))
        return handle(self, packets, now)  # type: ignore[arg-type]  # an Instant is a float

    swap(MediaPlane, "handle_packets", eager)


@breaks("SR-4", test="tests/peer/test_rtp_router.py::test_65536_ssrcs_of_a_peer_leave_a_bounded_table")
def every_source_is_remembered() -> None:
    swap(rtp_router, "MAX_LEARNT", 1 << 30)
