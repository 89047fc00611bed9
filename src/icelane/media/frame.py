"""An encoded frame: what an encoder gives and a decoder takes, between packets and codecs."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.core.clock import UnixSeconds


@dataclass(slots=True, kw_only=True)
class EncodedFrame:
    """One picture, or one packet of sound, as the codec wrote it.

    `data` is what decoders read: for H.264 and H.265 NAL units each behind a start code (Annex B), for AV1 a temporal
    unit of OBUs with sizes and without temporal delimiter, for VP8, VP9 and audio the bitstream itself. `timestamp`
    is in units of the codec's RTP clock: 32 bits as on the wire when received, any growing int when sent. `duration`
    is in the same units, 0 when unknown. `is_key` says that decoding may begin here; it always holds for audio.
    `audio_level` is in -dBov from 0 (loudest) to 127 (silence), None when unknown. `rotation` is how many degrees
    clockwise the picture is to be turned to stand upright. `follows_gap` is True where frames before it never came, and
    were left out. `captured_at` is when, on the wall clock of a sender that has said so.
    """

    data: bytes
    timestamp: int
    duration: int = 0
    is_key: bool = True
    payload_type: int = -1
    audio_level: int | None = None
    voice_activity: bool = False
    rotation: int = 0
    follows_gap: bool = False
    captured_at: UnixSeconds | None = None

    def sent_as(self, payload_type: int, timestamp: int) -> EncodedFrame:
        """The same frame, as it goes into another stream."""
        return EncodedFrame(
            data=self.data,
            timestamp=timestamp,
            duration=self.duration,
            is_key=self.is_key,
            payload_type=payload_type,
            audio_level=self.audio_level,
            voice_activity=self.voice_activity,
            rotation=self.rotation,
            follows_gap=self.follows_gap,
            captured_at=self.captured_at,
        )
