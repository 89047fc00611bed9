"""Frames of real encoders, and whether a decoder takes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icelane.media.codecs.thread_policy import ordinary_threads

WIDTH, HEIGHT = 322, 182

VIDEO = {
    "VP8": ("libvpx", "vp8", {"deadline": "realtime", "cpu-used": "8"}),
    "VP9": ("libvpx-vp9", "vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "H264": ("libx264", "h264", {"preset": "ultrafast", "tune": "zerolatency"}),
    "H265": ("libx265", "hevc", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"}),
    "AV1": ("libsvtav1", "libdav1d", {"preset": "12"}),
}
# FFmpeg 8 is the first that has AV1 in RTP.
IN_RTP_OF_FFMPEG = [name for name in VIDEO if name != "AV1" or av.library_versions["libavformat"] >= (62,)]
AUDIO = {
    "opus": ("libopus", "libopus", 48_000, 960),
    "PCMU": ("pcm_mulaw", "pcm_mulaw", 8_000, 160),
    "PCMA": ("pcm_alaw", "pcm_alaw", 8_000, 160),
    "G722": ("g722", "g722", 16_000, 320),
}


def _picture(index: int) -> VideoFrame:
    """Stripes that move, and enough noise to need several packets."""
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    noise = index * 7919 + 1
    for plane in frame.planes:
        content = bytearray(plane.buffer_size)
        for position in range(0, len(content), 3):
            noise = noise * 1103515245 + 12345 & 0x7FFFFFFF
            content[position] = noise >> 16 & 0x3F | (position + index * 4 & 0x40)
        plane.update(bytes(content))
    frame.pts = index
    return frame


@functools.cache
def video_frames(name: str, count: int = 6) -> tuple[bytes, ...]:
    """Encoded frames, the first and the last but two of them key frames where the encoder lets us choose."""
    encoder, _, options = VIDEO[name]
    context = cast(VideoCodecContext, av.CodecContext.create(encoder, "w"))
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.bit_rate = 2_000_000
    context.gop_size = count - 2
    context.thread_count = 1
    context.options = options
    with ordinary_threads():
        context.open()
    frames: list[bytes] = []
    for index in range(count):
        frames += map(bytes, context.encode(_picture(index)))
    frames += map(bytes, context.encode(None))
    return tuple(frames)


def decoded_sizes(name: str, frames: Sequence[bytes]) -> list[tuple[int, int]]:
    """Width and height of each picture that a decoder makes of the frames."""
    context = cast(VideoCodecContext, av.CodecContext.create(VIDEO[name][1], "r"))
    context.thread_count = 1
    pictures: list[VideoFrame] = []
    for frame in frames:
        pictures += context.decode(Packet(frame))
    pictures += context.decode(None)
    return [(picture.width, picture.height) for picture in pictures]


@functools.cache
def audio_frames(name: str, count: int = 5) -> tuple[bytes, ...]:
    """Encoded frames of 20 ms."""
    encoder, _, rate, samples = AUDIO[name]
    context = cast(AudioCodecContext, av.CodecContext.create(encoder, "w"))
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    frames: list[bytes] = []
    for index in range(count):
        frame = AudioFrame("s16", "mono", samples)
        frame.planes[0].update(
            bytes((position * (index + 3)) & 0xFF for position in range(frame.planes[0].buffer_size))
        )
        frame.sample_rate, frame.pts = rate, index * samples
        frames += map(bytes, context.encode(frame))
    return tuple(frames)


def decoded_samples(name: str, frames: Sequence[bytes]) -> int:
    """How many samples a decoder makes of the frames."""
    _, decoder, rate, _ = AUDIO[name]
    context = cast(AudioCodecContext, av.CodecContext.create(decoder, "r"))
    context.sample_rate, context.layout = rate, "mono"
    return sum(sound.samples for frame in frames for sound in context.decode(Packet(frame)))


class _Sink:
    """A file that keeps each write: FFmpeg's RTP muxer makes one for each packet."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.packets.append(bytes(data))
        return len(data)


def packets_of_ffmpeg(name: str, frames: Sequence[bytes], keys: Sequence[int], size: int) -> list[list[bytes]]:
    """The payloads of each frame as FFmpeg packetizes it, in RTP packets of at most `size` bytes.

    `keys` are the numbers of the key frames, which only its packetizer of AV1 wants to know.
    """
    sink = _Sink()
    options = {"packetsize": str(size), "strict": "experimental"}
    with av.open(sink, "w", format="rtp", options=options) as container:
        stream = cast(VideoStream, container.add_stream(VIDEO[name][0], rate=30))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        with ordinary_threads():
            container.start_encoding()  # opens an encoder as well, which nothing is given to
        for index, frame in enumerate(frames):
            packet = Packet(frame)
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = index
            packet.is_keyframe = index in keys
            container.mux(packet)
    payloads_by_timestamp: dict[bytes, list[bytes]] = {}
    for written in sink.packets:
        if written[1] & 0x7F == 96:  # not RTCP
            payloads_by_timestamp.setdefault(written[4:8], []).append(written[12:])
    return list(payloads_by_timestamp.values())
