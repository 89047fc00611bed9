"""What this end can do with audio and video, as its descriptions say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.media.codec import RTX, MediaKind, RtpCodec
from icelane.rtp.header_extension import (
    ABSOLUTE_SEND_TIME,
    AUDIO_LEVEL,
    CONTRIBUTING_AUDIO_LEVELS,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RTP_STREAM_ID,
    RTP_STREAM_ID,
    TRANSPORT_SEQUENCE_NUMBER,
    VIDEO_ORIENTATION,
)

# In the order in which new numbers are given. Whatever else a peer offers is not in our answer.
EXTENSIONS: Final = {
    MediaKind.AUDIO: (MID, AUDIO_LEVEL, ABSOLUTE_SEND_TIME, TRANSPORT_SEQUENCE_NUMBER, CONTRIBUTING_AUDIO_LEVELS),
    MediaKind.VIDEO: (
        MID,
        ABSOLUTE_SEND_TIME,
        TRANSPORT_SEQUENCE_NUMBER,
        VIDEO_ORIENTATION,
        PLAYOUT_DELAY,
        RTP_STREAM_ID,
        REPAIRED_RTP_STREAM_ID,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCapabilities:
    """Our codecs in the order of preference. One called `rtx` says that all beside it can be retransmitted.

    A kind without codecs is rejected in offers, and none is offered.
    """

    audio: tuple[RtpCodec, ...] = ()
    video: tuple[RtpCodec, ...] = ()

    def codecs(self, kind: MediaKind) -> tuple[RtpCodec, ...]:
        """Those of one kind."""
        return self.audio if kind is MediaKind.AUDIO else self.video


def retransmits(codecs: tuple[RtpCodec, ...]) -> bool:
    """Whether retransmission (RFC 4588) is among them."""
    return any(codec.name.lower() == RTX for codec in codecs)


def kind_of(name: object) -> MediaKind | None:
    """The kind that an `m=` line or a program names, None for those that are not known."""
    return next((kind for kind in MediaKind if kind.value == name), None)
