"""The codecs as they stand in descriptions: parameters and feedback as Chromium writes them, so that all match.

What is offered is what `icelane.media.codecs.default` finds a library for.
"""

from __future__ import annotations

from typing import Final

from icelane.media.codec import RTX, TELEPHONE_EVENT, MediaKind, RtpCodec

VIDEO_CLOCK_RATE: Final = 90_000

# RFC 4585, RFC 5104; goog-remb and transport-cc are drafts that every browser speaks.
VIDEO_FEEDBACK: Final = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
AUDIO_FEEDBACK: Final = ("transport-cc",)


def _video(name: str, *parameters: tuple[str, str]) -> RtpCodec:
    return RtpCodec(
        kind=MediaKind.VIDEO,
        name=name,
        clock_rate=VIDEO_CLOCK_RATE,
        parameters=parameters,
        feedback=VIDEO_FEEDBACK,
    )


def _h264(profile_level_id: str, packetization_mode: int) -> RtpCodec:
    return _video(
        "H264",
        ("level-asymmetry-allowed", "1"),
        ("packetization-mode", str(packetization_mode)),
        ("profile-level-id", profile_level_id),
    )


def _audio(name: str, clock_rate: int, feedback: tuple[str, ...] = AUDIO_FEEDBACK) -> RtpCodec:
    return RtpCodec(kind=MediaKind.AUDIO, name=name, clock_rate=clock_rate, feedback=feedback)


OPUS: Final = RtpCodec(
    kind=MediaKind.AUDIO,
    name="opus",
    clock_rate=48_000,
    channels=2,  # RFC 7587 section 7: always, whatever is in the packets
    parameters=(("minptime", "10"), ("useinbandfec", "1")),
    feedback=AUDIO_FEEDBACK,
)
G722: Final = _audio("G722", 8_000)  # RFC 3551 section 4.5.2: sampled at 16 000, counted at 8 000
PCMU: Final = _audio("PCMU", 8_000)
PCMA: Final = _audio("PCMA", 8_000)
TONES: Final = (_audio(TELEPHONE_EVENT, 48_000, ()), _audio(TELEPHONE_EVENT, 8_000, ()))

VP8: Final = _video("VP8")
VP9: Final = _video("VP9", ("profile-id", "0"))
# Baseline, constrained baseline, main and high, each of level 3.1, whole and fragmented NAL units.
H264: Final = tuple(_h264(profile, mode) for profile in ("42001f", "42e01f", "4d001f", "64001f") for mode in (1, 0))
AV1: Final = _video("AV1", ("level-idx", "5"), ("profile", "0"), ("tier", "0"))
H265: Final = _video("H265", ("level-id", "93"), ("profile-id", "1"), ("tier-flag", "0"), ("tx-mode", "SRST"))
RETRANSMISSION: Final = RtpCodec(kind=MediaKind.VIDEO, name=RTX, clock_rate=VIDEO_CLOCK_RATE)
