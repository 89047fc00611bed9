"""What the tests of codecs encode, and what they count in what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from icelane.media.codec import RtpCodec
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import Decoder, Encoder, EncoderSettings, MediaFrame
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import tone

MILLISECONDS = 33


def cards(count: int, *, width: int = 640, height: int = 360, first: int = 0) -> Iterator[av.VideoFrame]:
    """Test cards of 30 frames a second, each with its time in milliseconds."""
    for index in range(first, first + count):
        yield draw_card(width, height, index * MILLISECONDS, pts=index * MILLISECONDS * 90)


def tones(count: int, *, frequency: int = 440, rate: int = 48_000, channels: int = 2) -> list[av.AudioFrame]:
    """A tone at -20 dBov in frames of 20 ms."""
    samples = rate // 50
    sound = tone(frequency, rate=rate, channels=channels)
    return [sound.frame(index * samples, samples) for index in range(count)]


def ends(codec: RtpCodec, settings: EncoderSettings | None = None) -> tuple[Encoder, Decoder]:
    """An encoder and a decoder as this machine has them."""
    registry = default_registry()
    return registry.encoder(codec, settings), registry.decoder(codec)


def encoded(encoder: Encoder, frames: Iterable[MediaFrame]) -> list[EncodedFrame]:
    """All that comes out for `frames`."""
    return [output for frame in frames for output in encoder.encode(frame)]


def heard(decoder: Decoder, frames: Iterable[EncodedFrame]) -> list[av.AudioFrame]:
    """The sound of `frames`."""
    return [sound for frame in frames for sound in decoder.decode(frame) if isinstance(sound, av.AudioFrame)]


def seen(decoder: Decoder, frames: Iterable[EncodedFrame]) -> list[av.VideoFrame]:
    """The pictures of `frames`."""
    return [picture for frame in frames for picture in decoder.decode(frame) if isinstance(picture, av.VideoFrame)]


def clocks(pictures: Iterable[av.VideoFrame]) -> list[int | None]:
    """What the test cards say."""
    return [read_card(picture) for picture in pictures]
