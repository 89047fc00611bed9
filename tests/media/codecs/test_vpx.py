"""VP8 and VP9: content survives, the rate follows without key frames."""

from __future__ import annotations

from contextlib import suppress

import pytest

from icelane.errors import LocalProtocolError, MalformedError, NotSupportedError, OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs import libvpx as binding
from icelane.media.codecs.capability import VP8, VP9
from icelane.media.codecs.interface import EncoderSettings, QuantizerTeller
from icelane.media.codecs.vpx import VPX_VP8, VPX_VP9, VpxEncoder
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from tests.media.codecs.material import MILLISECONDS, cards, clocks, encoded, ends, seen, tones

BOTH = pytest.mark.parametrize("codec", [VP8, VP9], ids=["VP8", "VP9"])


def noisy_cards(count: int, first: int = 0) -> list[av.VideoFrame]:
    """Cards whose lower half no encoder can predict, so that the rate is what limits them."""
    state, pictures = 1, []
    for picture in cards(count, width=320, height=240, first=first):
        data = bytearray(bytes(picture.planes[0]))
        for offset in range(len(data) // 2, len(data), 8):
            state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
            data[offset : offset + 8] = bytes([(state >> 16 & 0x0F) + 120]) * 8
        picture.planes[0].update(bytes(data))
        pictures.append(picture)
    return pictures


@BOTH
def test_the_clock_is_read_after_500_kbit_a_second(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec, EncoderSettings(bitrate=500_000))
    assert isinstance(encoder, VpxEncoder)
    frames = encoded(encoder, cards(30))
    pictures = seen(decoder, frames)
    assert len(frames) >= 29
    assert clocks(pictures) == [frame.timestamp // 90 for frame in frames]
    assert [picture.pts for picture in pictures] == [frame.timestamp for frame in frames]
    assert sum(len(frame.data) for frame in frames) * 8 < 600_000


@BOTH
def test_ten_changes_of_the_rate_cost_no_key_frame(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec, EncoderSettings(bitrate=500_000))
    frames: list[EncodedFrame] = []
    for step in range(11):
        if step:
            encoder.set_bitrate(200_000 if step % 2 else 900_000)
        frames += encoded(encoder, cards(6, first=6 * step))
    assert [frame.is_key for frame in frames].count(True) == 1
    assert clocks(seen(decoder, frames)) == [frame.timestamp // 90 for frame in frames]


@BOTH
def test_the_rate_is_kept_and_follows(codec: RtpCodec) -> None:
    encoder, _ = ends(codec, EncoderSettings(bitrate=1_000_000))
    pictures = noisy_cards(100)

    def rate(part: list[av.VideoFrame]) -> float:
        seconds = len(part) * MILLISECONDS / 1000
        return sum(len(frame.data) for frame in encoded(encoder, part)) * 8 / seconds

    encoded(encoder, pictures[:15])
    assert rate(pictures[15:45]) == pytest.approx(1_000_000, rel=0.35)
    encoder.set_bitrate(300_000)
    encoded(encoder, pictures[45:60])
    assert rate(pictures[60:]) == pytest.approx(300_000, rel=0.35)


@BOTH
def test_the_quantizer_is_larger_where_the_rate_is_less(codec: RtpCodec) -> None:
    def mean(bitrate: int) -> float:
        encoder = VpxEncoder(VPX_VP8 if codec is VP8 else VPX_VP9, codec, EncoderSettings(bitrate=bitrate))
        assert isinstance(encoder, QuantizerTeller)
        assert encoder.last_quantizer() is None
        told: list[int] = []
        for card in noisy_cards(20):
            encoder.encode(card)
            told.append(encoder.last_quantizer() or 0)
        encoder.close()
        assert encoder.last_quantizer() is None
        return sum(told) / len(told)

    assert 0 <= mean(3_000_000) < mean(300_000) <= (127 if codec.name == "VP8" else 255)


@BOTH
def test_a_key_frame_comes_when_it_is_asked_for(codec: RtpCodec) -> None:
    encoder, _ = ends(codec)
    keys = [
        frame.is_key
        for index, card in enumerate(cards(12))
        for frame in encoder.encode(card, force_key_frame=index in (4, 8))
    ]
    assert [index for index, is_key in enumerate(keys) if is_key] == [0, 4, 8]


@BOTH
def test_the_size_may_change_both_ways(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    frames: list[EncodedFrame] = []
    sizes = [(640, 360), (320, 180), (640, 360), (1280, 720), (162, 122)]
    for index, (width, height) in enumerate(sizes):
        frames += encoded(encoder, cards(4, width=width, height=height, first=4 * index))
    pictures = seen(decoder, frames)
    assert [(picture.width, picture.height) for picture in pictures] == [size for size in sizes for _ in range(4)]
    assert clocks(pictures) == [index * MILLISECONDS for index in range(20)]


@BOTH
def test_odd_sizes_and_other_formats_are_taken(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    card = next(cards(1)).reformat(width=333, height=201, format="rgb24")
    card.pts = None
    [picture] = seen(decoder, encoded(encoder, [card]))
    assert (picture.width, picture.height) == (333, 201)
    assert clocks([picture]) == [0]


@BOTH
def test_times_that_do_not_grow_get_a_tick_more(codec: RtpCodec) -> None:
    encoder, _ = ends(codec, EncoderSettings(frame_rate=30))
    pictures = list(cards(5))
    for picture, pts in zip(pictures, (9000, 9000, 6000, None, 90_000), strict=True):
        picture.pts = pts
    assert [frame.timestamp for frame in encoded(encoder, pictures)] == [9000, 9001, 9002, 12_002, 90_000]


@BOTH
def test_frames_are_not_changed_by_being_encoded(codec: RtpCodec) -> None:
    encoder, _ = ends(codec)
    card = next(cards(1))
    before = (card.pts, card.time_base, card.pict_type, [bytes(plane) for plane in card.planes])
    encoder.encode(card, force_key_frame=True)
    assert (card.pts, card.time_base, card.pict_type, [bytes(plane) for plane in card.planes]) == before


@BOTH
def test_several_threads_give_the_same_pictures(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec, EncoderSettings(threads=2))
    assert clocks(seen(decoder, encoded(encoder, cards(6, width=1280, height=720)))) == [
        index * MILLISECONDS for index in range(6)
    ]


@BOTH
def test_what_is_no_picture_is_refused(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    with pytest.raises(LocalProtocolError):
        encoder.encode(tones(1)[0])
    with pytest.raises(LocalProtocolError):
        encoder.encode(av.VideoFrame(8_194, 16, "yuv420p"))
    for data in (b"\x00", bytes(range(200)), b"\xff" * 50):
        with suppress(MalformedError):
            decoder.decode(EncodedFrame(data=data, timestamp=0))
    assert decoder.decode(EncodedFrame(data=b"", timestamp=0)) == []
    assert clocks(seen(decoder, encoded(encoder, cards(3)))) == [0, 33, 66]


@BOTH
def test_what_is_closed_is_not_used(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    [frame] = encoded(encoder, cards(1))
    for end in (encoder, decoder):
        end.close()
        end.close()
    with pytest.raises(OperationError):
        encoder.encode(next(cards(1)))
    with pytest.raises(OperationError):
        decoder.decode(frame)


def test_a_library_whose_structures_are_laid_out_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would write into the wrong fields is noticed before anything is encoded."""
    monkeypatch.setattr(binding, "_DEFAULTS", {**binding._DEFAULTS, "max_quantizer": 62})
    with pytest.raises(NotSupportedError, match="configuration of another form"):
        binding.libvpx().default_configuration(binding.libvpx().interface("vp8"))


def test_a_codec_that_the_library_was_built_without_is_told() -> None:
    with pytest.raises(NotSupportedError, match="without an encoder of VP7"):
        binding.libvpx().interface("vp7")
