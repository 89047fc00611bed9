"""Pictures of any format as encoders take them, and the time that they stand for."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from icelane.errors import LocalProtocolError, OperationError
from icelane.media.codecs.capability import VIDEO_CLOCK_RATE
from icelane.media.codecs.interface import MAX_BITRATE, MAX_FRAME_RATE, MIN_BITRATE, MediaFrame
from icelane.media.pyav import av

TIME_BASE: Final = Fraction(1, VIDEO_CLOCK_RATE)
PIXEL_FORMAT: Final = "yuv420p"

# The sides of a picture that encoders are given; VP8 has 14 bits for each, H.264's levels end near 8192.
MAX_SIDE: Final = 8_192

# Rates with which an encoder begins that was told none, by pixels of a picture, in bit/s: what browsers aim at.
_DEFAULT_BITRATES: Final = ((320 * 240, 300_000), (640 * 480, 800_000), (960 * 540, 1_200_000), (1280 * 720, 2_000_000))
_LARGEST_DEFAULT_BITRATE: Final = 3_500_000


def planar(frame: MediaFrame) -> av.VideoFrame:
    """`frame` in I420: itself where it is that already, which then is not to be written.

    Raises LocalProtocolError when it is no picture or too large, OperationError when PyAV cannot convert it.
    """
    if not isinstance(frame, av.VideoFrame):
        raise LocalProtocolError(f"an encoder of video takes av.VideoFrame, not {type(frame).__name__}")
    if not 0 < frame.width <= MAX_SIDE or not 0 < frame.height <= MAX_SIDE:
        raise LocalProtocolError(f"a picture has sides of 1 to {MAX_SIDE}, not {frame.width} and {frame.height}")
    if frame.format.name in (PIXEL_FORMAT, "yuvj420p"):
        return frame
    try:
        return frame.reformat(format=PIXEL_FORMAT)
    except (av.FFmpegError, ValueError) as error:
        raise OperationError(f"a picture in {frame.format.name} cannot be converted: {error}") from error


def own_copy(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A picture in I420 of that size to write into, whose time is to be set; the given one may be others' as well."""
    copy = av.VideoFrame(width, height, PIXEL_FORMAT)
    lines = [plane.line_size for plane in copy.planes]
    if (width, height) == (picture.width, picture.height) and lines == [plane.line_size for plane in picture.planes]:
        for to, source in zip(copy.planes, picture.planes, strict=True):
            to.update(memoryview(source))  # type: ignore[arg-type]  # PyAV takes whatever is a buffer
        return copy
    return picture.reformat(width=width, height=height, format=PIXEL_FORMAT)


class PictureClock:
    """RTP timestamps of pictures: those they bring, or one after the other at the expected rate.

    Encoders want times that grow, and get one tick more where they do not.
    """

    def __init__(self, frame_rate: float) -> None:
        self.frame_rate = frame_rate
        self._last: int | None = None

    def expect(self, frame_rate: float) -> None:
        """From now on so many pictures a second, within what encoders can be told."""
        self.frame_rate = max(1.0, min(frame_rate, MAX_FRAME_RATE))

    @property
    def duration(self) -> int:
        """How long a picture is expected to stand."""
        return max(1, round(VIDEO_CLOCK_RATE / self.frame_rate))

    def timestamp(self, frame: av.VideoFrame) -> int:
        """Of the next picture."""
        if frame.pts is not None and frame.time_base is not None:
            # By hand: time bases are fractions up to PyAV 18, and something else of the same shape from 19 on.
            timestamp = frame.pts * VIDEO_CLOCK_RATE * frame.time_base.numerator // frame.time_base.denominator
        else:
            timestamp = 0 if self._last is None else self._last + self.duration
        if self._last is not None and timestamp <= self._last:
            timestamp = self._last + 1
        self._last = timestamp
        return timestamp


def default_bitrate(width: int, height: int) -> int:
    """Where to begin for pictures of that size, in bit/s."""
    pixels = width * height
    return next((bitrate for limit, bitrate in _DEFAULT_BITRATES if pixels <= limit), _LARGEST_DEFAULT_BITRATE)


def bitrate_for(wished: int | None, width: int, height: int) -> int:
    """What is wished, else `default_bitrate`, in bit/s; within what encoders take."""
    return max(MIN_BITRATE, min(wished or default_bitrate(width, height), MAX_BITRATE))


def rotation_of(picture: MediaFrame) -> int:
    """How many degrees clockwise a picture is to be turned to stand upright."""
    # PyAV counts the other way round, and did not before version 14.1.
    rotation: int = getattr(picture, "rotation", 0)
    return -rotation % 360
