"""What the tests of negotiated media have in common: capabilities as a browser has them, and peers that have them."""

from __future__ import annotations

from typing import Final

from icelane.media.codec import MediaKind, RtpCodec
from icelane.peer.description import Description
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.transceiver import Transceiver
from icelane.sdp.media import MediaDescription
from icelane.sdp.session import parse_session
from tests.peer.negotiating import Peer

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO

FEEDBACK: Final = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")

OPUS: Final = RtpCodec(
    kind=AUDIO,
    name="opus",
    clock_rate=48_000,
    channels=2,
    parameters=(("minptime", "10"), ("useinbandfec", "1")),
    feedback=("transport-cc",),
)
G722: Final = RtpCodec(kind=AUDIO, name="G722", clock_rate=8_000)
PCMU: Final = RtpCodec(kind=AUDIO, name="PCMU", clock_rate=8_000)
PCMA: Final = RtpCodec(kind=AUDIO, name="PCMA", clock_rate=8_000)
TONES: Final = RtpCodec(kind=AUDIO, name="telephone-event", clock_rate=8_000, parameters=(("0-15", ""),))
VP8: Final = RtpCodec(kind=VIDEO, name="VP8", clock_rate=90_000, feedback=FEEDBACK)
H264: Final = RtpCodec(
    kind=VIDEO,
    name="H264",
    clock_rate=90_000,
    parameters=(("level-asymmetry-allowed", "1"), ("packetization-mode", "1"), ("profile-level-id", "42e01f")),
    feedback=FEEDBACK,
)
RTX: Final = RtpCodec(kind=VIDEO, name="rtx", clock_rate=90_000)

CAPABILITIES: Final = MediaCapabilities(audio=(OPUS, G722, PCMU, PCMA, TONES), video=(VP8, H264, RTX))


class MediaPeer(Peer):
    """A negotiation with media."""

    def __init__(
        self, seed: int = 1, *, wants_data: bool = False, capabilities: MediaCapabilities | None = CAPABILITIES
    ) -> None:
        super().__init__(seed, wants_data=wants_data, media=capabilities)

    @property
    def transceivers(self) -> list[Transceiver]:
        return list(self.negotiation.media.transceivers)

    def add_track(self, track: str, kind: MediaKind = AUDIO, *streams: str) -> Transceiver:
        return self.negotiation.media.transceivers.add_track(track, kind, streams)

    def needs_negotiation(self) -> bool:
        """W3C [[NegotiationNeeded]], as things are now."""
        self.negotiation.update_negotiation_needed()
        return self.negotiation.negotiation_needed


def media_pair() -> tuple[MediaPeer, MediaPeer]:
    return MediaPeer(1), MediaPeer(2)


def sections(description: Description) -> list[MediaDescription]:
    return parse_session(description.sdp).media


def told(peer: MediaPeer) -> list[str]:
    """The names of the events since last time."""
    names = [type(event).__name__ for event in peer.heard]
    peer.heard.clear()
    return names
