"""Sound by FFmpeg's codecs: G.722, G.711, and Opus where libopus cannot be reached, without its FEC and concealment."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from icelane.errors import MalformedError, OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.audio_input import VOICE_LEVEL, AudioInput, audio_bytes, audio_level
from icelane.media.codecs.audio_output import audio_frames
from icelane.media.codecs.concealment import FadingConcealment
from icelane.media.codecs.interface import Decoder, Encoder, EncoderSettings, MediaFrame
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

_LAYOUTS: Final = {1: "mono", 2: "stereo"}

# Frames that come out hold at most so much, whatever is in a packet.
_FRAME_SECONDS: Final = Fraction(1, 50)
# Audio that one packet may hold, in seconds; concealment is bounded by it as well.
_MAX_SECONDS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PyavAudioCodec:
    """FFmpeg's names for a codec, its sampling rate in Hz and channels, and how long its packets are, in seconds.

    `packet_seconds` is None where the sender chooses.
    """

    encoder: str
    decoder: str
    rate: int
    channels: int = 1
    packet_seconds: Fraction | None = None


# FFmpeg's encoder of G.722 takes 320 samples at a time.
PYAV_G722: Final = PyavAudioCodec(encoder="g722", decoder="g722", rate=16_000, packet_seconds=Fraction(1, 50))
PYAV_PCMU: Final = PyavAudioCodec(encoder="pcm_mulaw", decoder="pcm_mulaw", rate=8_000)
PYAV_PCMA: Final = PyavAudioCodec(encoder="pcm_alaw", decoder="pcm_alaw", rate=8_000)
PYAV_OPUS: Final = PyavAudioCodec(
    encoder="libopus", decoder="libopus", rate=48_000, channels=2, packet_seconds=Fraction(1, 50)
)


class PyavAudioEncoder(Encoder):
    """An encoder of `which`; for Opus the rate and the loss stay as they were in the beginning."""

    def __init__(self, which: PyavAudioCodec, codec: RtpCodec, settings: EncoderSettings) -> None:
        seconds = which.packet_seconds or Fraction(settings.packet_time).limit_denominator(1000)
        self._rate = which.rate
        self._clock_rate = codec.clock_rate
        self._input = AudioInput(rate=which.rate, channels=which.channels, samples=int(seconds * which.rate))
        self._context: AudioCodecContext = _audio_context(which.encoder, "w", which)
        self._context.time_base = Fraction(1, which.rate)
        if which is PYAV_OPUS:
            self._context.bit_rate = settings.bitrate or 64_000
            self._context.options = {
                "application": settings.application or "voip",
                "fec": str(int(codec.parameter("useinbandfec") == "1")),
                "packet_loss": str(round(100 * settings.packet_loss)),
            }

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:  # noqa: ARG002
        encoded = []
        for pts, piece in self._input.pieces(frame):
            level = audio_level(piece)
            try:
                packets = self._context.encode(piece)
            except (av.FFmpegError, ValueError) as error:
                raise OperationError(f"audio cannot be encoded: {error}") from error
            encoded += [
                EncodedFrame(
                    data=bytes(packet),
                    timestamp=pts * self._clock_rate // self._rate,
                    duration=piece.samples * self._clock_rate // self._rate,
                    audio_level=level,
                    voice_activity=level <= VOICE_LEVEL,
                )
                for packet in packets
            ]
        return encoded


class PyavAudioDecoder(Decoder):
    """A decoder of `which` to packed s16, with fading repetitions in place of what is lost."""

    def __init__(self, which: PyavAudioCodec, codec: RtpCodec) -> None:
        self._which = which
        self._clock_rate = codec.clock_rate
        self._context: AudioCodecContext = _audio_context(which.decoder, "r", which)
        self._concealment = FadingConcealment(rate=which.rate, channels=which.channels)
        self._next_pts = 0
        self.sample_rate = which.rate

    def decode(self, frame: EncodedFrame) -> list[MediaFrame]:
        if not frame.data:
            return []
        try:
            decoded = self._context.decode(av.Packet(frame.data))
        except (av.FFmpegError, ValueError) as error:
            raise MalformedError(f"audio does not decode: {error}") from error
        pcm = b"".join(bytes(audio_bytes(sound)) for sound in decoded)
        self._concealment.heard(pcm)
        return self._frames(pcm, frame.timestamp * self.sample_rate // self._clock_rate)

    def conceal(self, samples: int) -> list[MediaFrame]:
        samples = min(samples, _MAX_SECONDS * self.sample_rate)
        return self._frames(self._concealment.conceal(samples), self._next_pts)

    def _frames(self, pcm: bytes, pts: int) -> list[MediaFrame]:
        self._next_pts = pts + len(pcm) // (2 * self._which.channels)
        return audio_frames(
            pcm,
            rate=self.sample_rate,
            channels=self._which.channels,
            pts=pts,
            longest=int(_FRAME_SECONDS * self.sample_rate),
        )


def _audio_context(name: str, mode: str, which: PyavAudioCodec) -> AudioCodecContext:
    context = av.CodecContext.create(av.Codec(name, "w" if mode == "w" else "r"))
    if not isinstance(context, av.AudioCodecContext):
        raise OperationError(f"FFmpeg's {name} is no codec of audio")
    context.format = "s16"
    context.layout = _LAYOUTS[which.channels]
    context.sample_rate = which.rate
    return context
