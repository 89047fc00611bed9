"""VP8 and VP9 by libvpx, set up for conversation: no delay, constant rate, key frames when they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from icelane.errors import OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import VIDEO_CLOCK_RATE
from icelane.media.codecs.interface import (
    Encoder,
    EncoderSettings,
    MediaFrame,
)
from icelane.media.codecs.libvpx import (
    CONSTANT_BITRATE,
    GET_LAST_QUANTIZER,
    KEY_FRAMES_ON_DEMAND,
    SET_CPU_USED,
    SET_MAX_INTRA_BITRATE,
    SET_STATIC_THRESHOLD,
    SET_TOKEN_PARTITIONS,
    SET_VP9_ADAPTIVE_QUANTIZATION,
    SET_VP9_ROW_THREADS,
    SET_VP9_TILE_COLUMNS,
    Configuration,
    VpxEncoderHandle,
    VpxFrame,
    libvpx,
)
from icelane.media.codecs.video_input import PictureClock, bitrate_for, planar, rotation_of
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av


@dataclass(frozen=True, slots=True, kw_only=True)
class VpxKind:
    """What differs between the two: `speed` is `cpu-used`, the percentages how far the rate may be missed."""

    interface: str
    speed: int
    max_quantizer: int
    undershoot_percent: int
    overshoot_percent: int


VPX_VP8: Final = VpxKind(interface="vp8", speed=-8, max_quantizer=56, undershoot_percent=100, overshoot_percent=15)
VPX_VP9: Final = VpxKind(interface="vp9", speed=8, max_quantizer=52, undershoot_percent=50, overshoot_percent=50)

# In milliseconds of the rate: what a receiver is taken to buffer. Browsers use the same.
_BUFFER_SIZE: Final = 1000
_BUFFER_INITIAL_SIZE: Final = 500
_BUFFER_OPTIMAL_SIZE: Final = 600
# A picture is left out when the buffer is emptier than this, in percent: better than being late with all that follow.
_DROP_FRAME_THRESHOLD: Final = 30
_MIN_QUANTIZER: Final = 2
# Nobody waits for one: they are asked for by PLI and FIR.
_NO_KEY_FRAMES_BY_ITSELF: Final = 1_000_000_000
# A tile of VP9 has at least so many columns of pixels.
_TILE_WIDTH: Final = 256


class VpxEncoder(Encoder):
    """One stream of VP8 or VP9; it opens with the first picture, and again for one of another size."""

    def __init__(self, kind: VpxKind, codec: RtpCodec, settings: EncoderSettings) -> None:  # noqa: ARG002  (profile 0)
        self._kind = kind
        self._settings = settings
        self._bitrate = settings.bitrate
        self._clock = PictureClock(settings.frame_rate)
        self._interface = libvpx().interface(kind.interface)
        self._configuration = libvpx().default_configuration(self._interface)
        self._handle: VpxEncoderHandle | None = None
        self._is_closed = False

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
        picture = planar(frame)
        handle = self._prepare(picture.width, picture.height)
        timestamp, duration = self._clock.timestamp(picture), self._clock.duration
        encoded = handle.encode(
            (picture.width, picture.height),
            [(plane.buffer_ptr, plane.line_size) for plane in picture.planes],
            pts=timestamp,
            duration=duration,
            force_key_frame=force_key_frame,
        )
        return [_encoded_frame(output, picture, timestamp, duration) for output in encoded]

    def set_bitrate(self, bitrate: int) -> None:
        self._bitrate = bitrate
        if self._handle is not None:
            self._configuration.target_bitrate = self._target_bitrate()
            self._handle.configure(self._configuration)

    def set_frame_rate(self, frame_rate: float) -> None:
        self._clock.expect(frame_rate)

    def last_quantizer(self) -> int | None:
        if self._handle is None or self._is_closed:
            return None
        try:
            return self._handle.query(GET_LAST_QUANTIZER)
        except OperationError:
            return None  # nobody sends less for want of a figure

    def close(self) -> None:
        self._is_closed = True
        if self._handle is not None:
            self._handle.close()

    def _prepare(self, width: int, height: int) -> VpxEncoderHandle:
        if self._is_closed:
            raise OperationError("the encoder is closed")
        configuration = self._configuration
        if self._handle is not None and (configuration.width, configuration.height) == (width, height):
            return self._handle
        configuration.width, configuration.height = width, height
        # An open encoder could be told another size, and then wrote beyond its buffers: decision 0053.
        if self._handle is not None:
            self._handle.close()
        self._handle = self._open(width)
        return self._handle

    def _open(self, width: int) -> VpxEncoderHandle:
        self._fill_configuration(self._configuration)
        handle = VpxEncoderHandle(self._interface, self._configuration)
        handle.control(SET_CPU_USED, self._kind.speed if self._settings.speed is None else self._settings.speed)
        handle.control(SET_STATIC_THRESHOLD, 1)
        # A key frame takes half of the buffer at most, in percent of what a picture gets on average.
        handle.control(SET_MAX_INTRA_BITRATE, max(300, int(_BUFFER_OPTIMAL_SIZE * 0.05 * self._clock.frame_rate)))
        threads = self._settings.threads
        if self._kind is VPX_VP8:
            handle.control(SET_TOKEN_PARTITIONS, min(3, int(math.log2(threads))))
        else:
            handle.control(SET_VP9_ADAPTIVE_QUANTIZATION, 3)
            handle.control(SET_VP9_TILE_COLUMNS, int(math.log2(max(1, min(threads, width // _TILE_WIDTH)))))
            handle.control(SET_VP9_ROW_THREADS, int(threads > 1))
        return handle

    def _fill_configuration(self, configuration: Configuration) -> None:
        configuration.threads = self._settings.threads
        configuration.time_base_numerator, configuration.time_base_denominator = 1, VIDEO_CLOCK_RATE
        configuration.error_resilient = 1
        configuration.lag_in_frames = 0
        configuration.drop_frame_threshold = _DROP_FRAME_THRESHOLD
        configuration.end_usage = CONSTANT_BITRATE
        configuration.target_bitrate = self._target_bitrate()
        configuration.min_quantizer, configuration.max_quantizer = _MIN_QUANTIZER, self._kind.max_quantizer
        configuration.undershoot_percent = self._kind.undershoot_percent
        configuration.overshoot_percent = self._kind.overshoot_percent
        configuration.buffer_size = _BUFFER_SIZE
        configuration.buffer_initial_size = _BUFFER_INITIAL_SIZE
        configuration.buffer_optimal_size = _BUFFER_OPTIMAL_SIZE
        configuration.key_frame_mode = KEY_FRAMES_ON_DEMAND
        configuration.key_frame_max_distance = _NO_KEY_FRAMES_BY_ITSELF

    def _target_bitrate(self) -> int:
        return bitrate_for(self._bitrate, self._configuration.width, self._configuration.height) // 1000


def _encoded_frame(output: VpxFrame, picture: av.VideoFrame, timestamp: int, duration: int) -> EncodedFrame:
    return EncodedFrame(
        data=output.data,
        timestamp=timestamp,
        duration=duration,
        is_key=output.is_key,
        rotation=rotation_of(picture),
    )
