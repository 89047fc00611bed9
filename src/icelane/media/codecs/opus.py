"""Opus by libopus (RFC 6716), as its parameters in a description have it (RFC 7587 section 6.1)."""

from __future__ import annotations

from typing import Final

from icelane.media.codec import RtpCodec
from icelane.media.codecs.audio_input import VOICE_LEVEL, AudioInput, audio_level
from icelane.media.codecs.audio_output import audio_frames
from icelane.media.codecs.interface import MIN_BITRATE, Decoder, Encoder, EncoderSettings, MediaFrame
from icelane.media.codecs.libopus import (
    APPLICATION_AUDIO,
    APPLICATION_VOIP,
    MAX_SAMPLES,
    SAMPLE_RATE,
    SET_BITRATE,
    SET_DTX,
    SET_INBAND_FEC,
    SET_MAX_BANDWIDTH,
    SET_PACKET_LOSS,
    SET_VBR,
    OpusDecoderHandle,
    OpusEncoderHandle,
    max_bandwidth,
)
from icelane.media.frame import EncodedFrame

CHANNELS_OUT: Final = 2
FRAME_SAMPLES: Final = 960  # 20 ms: what programs of Python expect a frame to have

# RFC 7587 section 3.1.1: what is good for speech of full band, with each channel's share.
_DEFAULT_BITRATE: Final = 32_000
_MAX_BITRATE: Final = 510_000
# In milliseconds: what libopus makes of one packet, but for those below 10, which cost more header than sound.
_PACKET_TIMES: Final = (10, 20, 40, 60)
# RFC 7587 section 3.1.3: with DTX a packet of one or two bytes need not be sent.
_UNSENT_SIZE: Final = 2
# What libopus conceals in steps of: 2.5 ms.
_CONCEALED_STEP: Final = 120


class OpusEncoder(Encoder):
    """One stream of Opus for a receiver that described itself by `codec`."""

    def __init__(self, codec: RtpCodec, settings: EncoderSettings) -> None:
        self._channels = 2 if codec.parameter("stereo") == "1" else 1
        self._max_bitrate = parameter_number(codec, "maxaveragebitrate", _MAX_BITRATE)
        samples = packet_milliseconds(codec, settings) * SAMPLE_RATE // 1000
        self._input = AudioInput(rate=SAMPLE_RATE, channels=self._channels, samples=samples)
        application = settings.application or ("audio" if self._channels == 2 else "voip")
        self._handle = OpusEncoderHandle(
            self._channels, APPLICATION_AUDIO if application == "audio" else APPLICATION_VOIP
        )
        self._uses_dtx = codec.parameter("usedtx") == "1"
        self._handle.set(SET_INBAND_FEC, int(codec.parameter("useinbandfec") == "1"))
        self._handle.set(SET_DTX, int(self._uses_dtx))
        self._handle.set(SET_VBR, int(codec.parameter("cbr") != "1"))
        self._handle.set(SET_MAX_BANDWIDTH, max_bandwidth(parameter_number(codec, "maxplaybackrate", SAMPLE_RATE)))
        self.set_packet_loss(settings.packet_loss)
        self.set_bitrate(settings.bitrate or _DEFAULT_BITRATE * self._channels)

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:  # noqa: ARG002
        encoded = []
        for pts, piece in self._input.pieces(frame):
            data = self._handle.encode(piece.planes[0].buffer_ptr, piece.samples)
            if self._uses_dtx and len(data) <= _UNSENT_SIZE:
                continue
            level = audio_level(piece)
            encoded.append(
                EncodedFrame(
                    data=data,
                    timestamp=pts,
                    duration=piece.samples,
                    audio_level=level,
                    voice_activity=level <= VOICE_LEVEL,
                )
            )
        return encoded

    def set_bitrate(self, bitrate: int) -> None:
        self._handle.set(SET_BITRATE, max(MIN_BITRATE, min(bitrate, self._max_bitrate, _MAX_BITRATE)))

    def set_packet_loss(self, fraction: float) -> None:
        self._handle.set(SET_PACKET_LOSS, round(100 * max(0.0, min(fraction, 1.0))))

    def close(self) -> None:
        self._handle.close()


class OpusDecoder(Decoder):
    """Decodes to stereo at 48 kHz in frames of 20 ms, whatever packets hold; shorter ones give shorter frames."""

    sample_rate = SAMPLE_RATE

    def __init__(self, codec: RtpCodec) -> None:  # noqa: ARG002  (whatever the parameters, libopus decodes it)
        self._handle = OpusDecoderHandle(CHANNELS_OUT)
        self._next_timestamp = 0

    def decode(self, frame: EncodedFrame) -> list[MediaFrame]:
        return self._frames(self._handle.decode(frame.data), frame.timestamp) if frame.data else []

    def conceal(self, samples: int) -> list[MediaFrame]:
        frames: list[MediaFrame] = []
        while samples >= _CONCEALED_STEP:
            step = min(samples, MAX_SAMPLES) // _CONCEALED_STEP * _CONCEALED_STEP
            frames += self._frames(self._handle.decode(None, step), self._next_timestamp)
            samples -= step
        return frames

    def decode_fec(self, next_frame: EncodedFrame, samples: int) -> list[MediaFrame]:
        step = min(samples, MAX_SAMPLES) // _CONCEALED_STEP * _CONCEALED_STEP
        if not step or not next_frame.data:
            return self.conceal(samples)
        return self._frames(self._handle.decode(next_frame.data, step, fec=True), next_frame.timestamp - step)

    def close(self) -> None:
        self._handle.close()

    def _frames(self, pcm: bytes, timestamp: int) -> list[MediaFrame]:
        self._next_timestamp = timestamp + len(pcm) // (2 * CHANNELS_OUT)
        return audio_frames(pcm, rate=SAMPLE_RATE, channels=CHANNELS_OUT, pts=timestamp, longest=FRAME_SAMPLES)


def packet_milliseconds(codec: RtpCodec, settings: EncoderSettings) -> int:
    """How long packets are: what was wished, within `minptime` and `maxptime`, or what the receiver asks for."""
    wished = parameter_number(codec, "ptime", round(settings.packet_time * 1000))
    shortest = parameter_number(codec, "minptime", _PACKET_TIMES[0])
    longest = parameter_number(codec, "maxptime", _PACKET_TIMES[-1])
    allowed = [time for time in _PACKET_TIMES if shortest <= time <= longest] or [20]
    return min(allowed, key=lambda time: abs(time - wished))


def parameter_number(codec: RtpCodec, name: str, default: int) -> int:
    """A parameter that is a positive number, `default` where it is missing or is none: a peer wrote it."""
    text = codec.parameter(name)
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text) > 0 else default
