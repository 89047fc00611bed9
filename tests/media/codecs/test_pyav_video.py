"""H.264, AV1 and H.265 by FFmpeg."""

from __future__ import annotations

from contextlib import suppress

import pytest

from icelane.errors import LocalProtocolError, MalformedError, OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import AV1, H264, H265
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.ffmpeg_encoders import SVT_AV1, X265
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.pyav_video import PyavVideoCodec, PyavVideoEncoder
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from tests.media.codecs.material import MILLISECONDS, cards, clocks, encoded, ends, seen, tones

ENCODERS = {entry.codec for entry in default_registry().entries() if entry.encoder and entry.decoder}
WHOLE = pytest.mark.parametrize(
    "codec",
    [codec for codec in (H264[2], H264[3], H264[4], H264[6], AV1, H265) if codec in ENCODERS],
    ids=lambda codec: f"{codec.name}-{codec.parameters_text}",
)


def nal_units(data: bytes) -> list[bytes]:
    """The NAL units of an access unit in Annex B."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.rstrip(b"\0")]


@WHOLE
def test_the_clock_is_read_after_500_kbit_a_second(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec, EncoderSettings(bitrate=500_000))
    frames = encoded(encoder, cards(30))
    pictures = seen(decoder, frames)
    assert [frame.timestamp for frame in frames] == [index * MILLISECONDS * 90 for index in range(30)]
    assert clocks(pictures) == [index * MILLISECONDS for index in range(30)]
    assert [picture.pts for picture in pictures] == [frame.timestamp for frame in frames]
    assert sum(len(frame.data) for frame in frames) * 8 < 650_000
    assert [frame.is_key for frame in frames].count(True) == 1
    encoder.close()


@pytest.mark.skipif(AV1 not in ENCODERS, reason="FFmpeg has no encoder of AV1")
@pytest.mark.parametrize("is_bound", [True, False], ids=["by itself", "through FFmpeg"])
def test_no_picture_of_av1_shows_traces_of_the_one_before(is_bound: bool) -> None:
    """720p, where the fast presets of SVT-AV1 leave two pictures of three unreadable, whatever the rate."""
    settings = EncoderSettings(bitrate=800_000)
    best, decoder = ends(AV1, settings)
    encoder = best if is_bound else PyavVideoEncoder(SVT_AV1, AV1, settings)
    first = 2_000_000  # a clock that has many bits set
    pictures = seen(decoder, encoded(encoder, cards(20, width=1280, height=720, first=first)))
    assert clocks(pictures) == [(first + index) * MILLISECONDS for index in range(20)]
    encoder.close()


@WHOLE
def test_each_frame_comes_at_once_and_a_key_frame_when_it_is_asked_for(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    for index, card in enumerate(cards(9)):
        [frame] = encoder.encode(card, force_key_frame=index in (3, 6))
        assert frame.is_key == (index in (0, 3, 6))
        assert clocks(seen(decoder, [frame])) == [index * MILLISECONDS]
    encoder.close()


@WHOLE
def test_decoding_begins_at_any_key_frame(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    frames = [frame for i, card in enumerate(cards(8)) for frame in encoder.encode(card, force_key_frame=i == 4)]
    assert clocks(seen(decoder, frames[4:])) == [index * MILLISECONDS for index in range(4, 8)]
    encoder.close()


@WHOLE
def test_frames_are_not_changed_by_being_encoded(codec: RtpCodec) -> None:
    encoder, _ = ends(codec)
    card = next(cards(1))
    before = (card.pts, card.time_base, card.pict_type, [bytes(plane) for plane in card.planes])
    encoder.encode(card, force_key_frame=True)
    assert (card.pts, card.time_base, card.pict_type, [bytes(plane) for plane in card.planes]) == before
    encoder.close()


@WHOLE
def test_pictures_without_times_follow_each_other(codec: RtpCodec) -> None:
    encoder, _ = ends(codec)
    pictures = [av.VideoFrame(320, 180, "yuv420p") for _ in range(3)]
    assert {(picture.pts, picture.time_base) for picture in pictures} == {(None, None)}
    assert [frame.timestamp for frame in encoded(encoder, pictures)] == [0, 3_000, 6_000]
    encoder.close()


@WHOLE
def test_the_size_may_change(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    frames = encoded(encoder, cards(3, width=320, height=180)) + encoded(encoder, cards(3, first=3))
    pictures = seen(decoder, frames)
    assert [(picture.width, picture.height) for picture in pictures] == [(320, 180)] * 3 + [(640, 360)] * 3
    assert clocks(pictures) == [index * MILLISECONDS for index in range(6)]
    encoder.close()


def test_ten_changes_of_the_rate_cost_h264_no_key_frame() -> None:
    encoder, decoder = ends(H264[2], EncoderSettings(bitrate=500_000))
    frames: list[EncodedFrame] = []
    for step in range(11):
        if step:
            encoder.set_bitrate(200_000 if step % 2 else 900_000)
        frames += encoded(encoder, cards(6, first=6 * step))
    assert [frame.is_key for frame in frames].count(True) == 1
    assert clocks(seen(decoder, frames)) == [index * MILLISECONDS for index in range(66)]


@pytest.mark.parametrize("later", [1_500_000, 200_000])
def test_the_rate_of_h264_is_kept_and_follows_up_and_down(later: int) -> None:
    from tests.media.codecs.test_vpx import noisy_cards

    encoder, _ = ends(H264[2], EncoderSettings(bitrate=500_000))
    pictures = noisy_cards(90)
    encoded(encoder, pictures[:10])

    def rate(start: int, end: int) -> float:
        frames = encoded(encoder, pictures[start:end])
        return sum(len(frame.data) for frame in frames) * 8 / ((end - start) * MILLISECONDS / 1000)

    assert rate(10, 40) == pytest.approx(500_000, rel=0.2)
    encoder.set_bitrate(later)
    encoded(encoder, pictures[40:60])
    assert rate(60, 90) == pytest.approx(later, rel=0.25)


@pytest.mark.parametrize("which", [SVT_AV1, X265], ids=lambda which: which.name)
def test_what_has_to_open_again_for_another_rate_does_so_for_a_large_change_only(which: PyavVideoCodec) -> None:
    """H.265, and AV1 where SVT-AV1 cannot be reached by itself."""
    if {SVT_AV1: AV1, X265: H265}[which] not in ENCODERS:
        pytest.skip(f"FFmpeg has no {which.name}")
    encoder = PyavVideoEncoder(which, AV1, EncoderSettings(bitrate=500_000))
    frames: list[EncodedFrame] = []
    for bitrate in (500_000, 600_000, 400_000, 1_000_000):
        encoder.set_bitrate(bitrate)
        frames += encoded(encoder, cards(3, width=320, height=180, first=len(frames)))
    assert [index for index, frame in enumerate(frames) if frame.is_key] == [0, 9]
    encoder.close()


@pytest.mark.skipif(AV1 not in ENCODERS, reason="FFmpeg has no encoder of AV1")
def test_av1_has_no_temporal_delimiter() -> None:
    encoder, _ = ends(AV1)
    for frame in encoded(encoder, cards(3)):
        assert frame.data[0] >> 3 & 0xF != 2
    encoder.close()


@pytest.mark.parametrize(("codec", "profile_idc"), [(H264[0], 0x42), (H264[2], 0x42), (H264[4], 0x4D), (H264[6], 0x64)])
def test_h264_has_the_profile_that_was_agreed_on(codec: RtpCodec, profile_idc: int) -> None:
    encoder, _ = ends(codec)
    [frame] = encoded(encoder, cards(1))
    [parameters] = [unit for unit in nal_units(frame.data) if unit[0] & 0x1F == 7]
    assert parameters[1] == profile_idc


@pytest.mark.parametrize(
    ("size", "frame_rate", "level"),
    [((640, 360), 30.0, 30), ((1280, 720), 30.0, 31), ((1280, 720), 60.0, 32), ((1920, 1080), 30.0, 40)],
)
def test_h264_has_the_level_that_its_pictures_need(size: tuple[int, int], frame_rate: float, level: int) -> None:
    encoder, _ = ends(H264[2], EncoderSettings(frame_rate=frame_rate))
    [frame] = encoded(encoder, cards(1, width=size[0], height=size[1]))
    [parameters] = [unit for unit in nal_units(frame.data) if unit[0] & 0x1F == 7]
    assert parameters[3] == level


def test_in_packetization_mode_0_each_nal_unit_fits_into_a_packet() -> None:
    """RFC 6184 section 6.2: there are no fragments."""
    whole, _ = ends(H264[3], EncoderSettings(bitrate=3_000_000, payload_size=900))
    frames = encoded(whole, cards(5, width=1280, height=720))
    sizes = [len(unit) for frame in frames for unit in nal_units(frame.data)]
    assert max(sizes) <= 900
    assert len(sizes) > 6


def test_h264_of_odd_sides_loses_a_line() -> None:
    encoder, decoder = ends(H264[2])
    card = next(cards(1)).reformat(width=333, height=201)
    [picture] = seen(decoder, encoded(encoder, [card]))
    assert (picture.width, picture.height) == (332, 200)


@WHOLE
def test_what_is_no_picture_is_refused(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    with pytest.raises(LocalProtocolError):
        encoder.encode(tones(1)[0])
    for data in (b"\x00", bytes(range(200)), b"\x00\x00\x01" + b"\xff" * 50):
        with suppress(MalformedError):
            decoder.decode(EncodedFrame(data=data, timestamp=0))
    assert clocks(seen(decoder, encoded(encoder, cards(3)))) == [0, 33, 66]
    encoder.close()
    decoder.close()
    with pytest.raises(OperationError):
        encoder.encode(next(cards(1)))
    with pytest.raises(OperationError):
        decoder.decode(EncodedFrame(data=b"1", timestamp=0))
