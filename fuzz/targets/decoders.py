"""Decoders of every codec that is here: any bytes are frames or malformed, and a good frame is decoded after them."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import Decoder, MediaFrame
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card
from icelane.media.synthetic.sound import tone

_REGISTRY = default_registry()
_CODECS = [entry.codec for entry in _REGISTRY.entries() if entry.encoder and entry.decoder]
# Decoding more than that at once only takes time.
_MAX_SIZE = 4_096


def _good_frames(codec: RtpCodec) -> list[bytes]:
    encoder = _REGISTRY.encoder(codec)
    sound = tone(440, channels=1)
    frames: list[MediaFrame] = (
        [sound.frame(index * 960, 960) for index in range(3)]
        if codec.kind.value == "audio"
        else [draw_card(96, 64, index, pts=index * 3_000) for index in range(3)]
    )
    encoded = [output.data for frame in frames for output in encoder.encode(frame)]
    encoder.close()
    return encoded


SEEDS = [bytes([number]) + data for number, codec in enumerate(_CODECS) for data in _good_frames(codec)]
DICTIONARY = [b"\0\0\1", b"\0\0\0\1", b"\x9d\x01\x2a", b"\x49\x83\x42", b"\x12\0", b"\x0a", b"\xff\xff", b"\0" * 16]

_GOOD = {number: _good_frames(codec)[0] for number, codec in enumerate(_CODECS)}
_timestamps = itertools.count(0, 3_000)


def run(data: bytes) -> Hashable:
    """What came out of which decoder."""
    number = data[0] % len(_CODECS) if data else 0
    decoder = _REGISTRY.decoder(_CODECS[number])
    outcome = _decoded(decoder, data[1 : 1 + _MAX_SIZE])
    if decoder.sample_rate:
        assert sum(_samples(frame) for frame in decoder.conceal(decoder.sample_rate // 50)) > 0
        _decoded_fec(decoder, data[1 : 1 + _MAX_SIZE])
    good = _decoded(decoder, _GOOD[number])
    assert good is not None or decoder.sample_rate == 0, "a good frame is not decoded after a bad one"
    decoder.close()
    return _CODECS[number].name, outcome


def _decoded(decoder: Decoder, data: bytes) -> tuple[int, ...] | None:
    try:
        frames = decoder.decode(EncodedFrame(data=data, timestamp=next(_timestamps)))
    except MalformedError:
        return None
    return tuple(_samples(frame) for frame in frames)


def _decoded_fec(decoder: Decoder, data: bytes) -> None:
    try:
        decoder.decode_fec(EncodedFrame(data=data, timestamp=next(_timestamps)), decoder.sample_rate // 50)
    except MalformedError:
        return


def _samples(frame: MediaFrame) -> int:
    return frame.samples if isinstance(frame, av.AudioFrame) else frame.width
