"""AV1 by SVT-AV1, set up for conversation: no delay, constant rate, key frames when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from icelane.errors import OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.ffmpeg_encoders import SVT_AV1_PRESET
from icelane.media.codecs.interface import Encoder, EncoderSettings, MediaFrame
from icelane.media.codecs.libsvtav1 import SvtAv1Handle, libsvtav1
from icelane.media.codecs.video_input import PictureClock, bitrate_for, planar, rotation_of
from icelane.media.frame import EncodedFrame
from icelane.media.payload.obu import TEMPORAL_DELIMITER

# Chroma has half the size, so that a line or a column of odd sides is left out.
_SIDES: Final = 2
_NO_KEY_FRAMES_BY_ITSELF: Final = "-1"


class SvtAv1Encoder(Encoder):
    """One stream of AV1; it opens with the first picture, and again for one of another size."""

    def __init__(self, codec: RtpCodec, settings: EncoderSettings) -> None:  # noqa: ARG002  (the main profile)
        self._library = libsvtav1()
        self._settings = settings
        self._bitrate = settings.bitrate
        self._clock = PictureClock(settings.frame_rate)
        self._size = (0, 0)
        self._rate = 0
        self._handle: SvtAv1Handle | None = None
        self._is_closed = False

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
        picture = planar(frame)
        width, height = (max(_SIDES, side // _SIDES * _SIDES) for side in (picture.width, picture.height))
        handle = self._prepare(width, height)
        rate = bitrate_for(self._bitrate, width, height)
        is_changed, self._rate = rate != self._rate, rate
        encoded = handle.encode(
            (width, height),
            [(plane.buffer_ptr, plane.line_size) for plane in picture.planes],
            pts=self._clock.timestamp(picture),
            force_key_frame=force_key_frame,
            bitrate=rate if is_changed else None,
        )
        return [
            EncodedFrame(
                data=one.data.removeprefix(TEMPORAL_DELIMITER),
                timestamp=one.pts,
                duration=self._clock.duration,
                is_key=one.is_key,
                rotation=rotation_of(frame),
            )
            for one in encoded
        ]

    def set_bitrate(self, bitrate: int) -> None:
        self._bitrate = bitrate

    def set_frame_rate(self, frame_rate: float) -> None:
        self._clock.expect(frame_rate)

    def close(self) -> None:
        self._is_closed = True
        if self._handle is not None:
            self._handle.close()

    def _prepare(self, width: int, height: int) -> SvtAv1Handle:
        if self._is_closed:
            raise OperationError("the encoder is closed")
        if self._handle is not None and self._size == (width, height):
            return self._handle
        if self._handle is not None:
            self._handle.close()
        self._size, self._rate = (width, height), bitrate_for(self._bitrate, width, height)
        self._handle = SvtAv1Handle(self._library, self._parameters())
        return self._handle

    def _parameters(self) -> Mapping[str, str]:
        speed = self._settings.speed
        return {
            "width": str(self._size[0]),
            "height": str(self._size[1]),
            "fps-num": str(round(self._clock.frame_rate * 1000)),
            "fps-denom": "1000",
            "input-depth": "8",
            "preset": str(SVT_AV1_PRESET if speed is None else speed),
            "pred-struct": "1",
            "rc": "2",
            "rtc": "1",
            "lookahead": "0",
            "scd": "0",
            "keyint": _NO_KEY_FRAMES_BY_ITSELF,
            "irefresh-type": "2",
            "tbr": str(max(1, self._rate // 1000)),
            "lp": str(self._settings.threads),
        }
