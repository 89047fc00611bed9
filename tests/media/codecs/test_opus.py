"""Opus: what its parameters do, and that loss is concealed and mended."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from icelane.errors import LocalProtocolError, MalformedError, OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import OPUS
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.libopus import max_bandwidth
from icelane.media.codecs.opus import OpusDecoder, OpusEncoder, packet_milliseconds
from icelane.media.frame import EncodedFrame
from icelane.media.payload.opus import has_redundancy
from icelane.media.pyav import av
from icelane.media.synthetic.sound import measure_tone, noise, tone
from tests.media.codecs.material import cards, encoded, heard, tones


def opus(**parameters: str) -> RtpCodec:
    return replace(OPUS, parameters=tuple(parameters.items()))


def encoder(settings: EncoderSettings | None = None, /, **parameters: str) -> OpusEncoder:
    return OpusEncoder(opus(**parameters), settings or EncoderSettings())


def size(frames: list[EncodedFrame]) -> int:
    return sum(len(frame.data) for frame in frames)


@pytest.mark.parametrize("parameters", [{}, {"stereo": "1"}, {"cbr": "1"}, {"useinbandfec": "1", "usedtx": "1"}])
def test_a_tone_keeps_its_frequency_and_level(parameters: dict[str, str]) -> None:
    frames = encoded(encoder(**parameters), tones(50))
    sounds = heard(OpusDecoder(OPUS), frames)
    assert {(sound.samples, sound.sample_rate, sound.format.name, sound.layout.name) for sound in sounds} == {
        (960, 48_000, "s16", "stereo")
    }
    measured = measure_tone(sounds[10:])
    assert measured.frequency == pytest.approx(440, rel=2e-3)
    assert measured.level == pytest.approx(-20, abs=0.5)


def test_timestamps_and_levels_go_with_the_packets() -> None:
    frames = encoded(encoder(), tones(5))
    assert [(frame.timestamp, frame.duration, frame.is_key) for frame in frames] == [
        (index * 960, 960, True) for index in range(5)
    ]
    assert {(frame.audio_level, frame.voice_activity) for frame in frames} == {(20, True)}
    silent = encoded(encoder(), [tone(440, level=-200).frame(0, 960)])
    assert [(frame.audio_level, frame.voice_activity) for frame in silent] == [(127, False)]
    assert [sound.pts for sound in heard(OpusDecoder(OPUS), frames)] == [index * 960 for index in range(5)]


def test_stereo_keeps_channels_apart_and_mono_mixes_them() -> None:
    left = av.AudioFrame(format="s16", layout="stereo", samples=960)
    left.sample_rate, left.time_base = 48_000, Fraction(1, 48_000)
    sound = memoryview(bytes(tone(440).frame(0, 960).planes[0])).cast("h")
    left.planes[0].update(b"".join(v.to_bytes(2, "little", signed=True) + b"\0\0" for v in sound[::2]))

    def channel_powers(codec: OpusEncoder) -> list[int]:
        sounds = heard(OpusDecoder(OPUS), encoded(codec, [left] * 20))
        samples = memoryview(bytes(sounds[-1].planes[0])).cast("h")
        return [sum(v * v for v in samples[channel::2]) for channel in (0, 1)]

    powers = channel_powers(encoder(stereo="1"))
    assert powers[0] > 100 * powers[1]
    powers = channel_powers(encoder())
    assert powers[0] == powers[1] > 0


@pytest.mark.parametrize(
    ("wished", "parameters", "milliseconds"),
    [
        (0.02, {}, 20),
        (0.01, {}, 10),
        (0.06, {}, 60),
        (0.03, {}, 20),
        (0.01, {"minptime": "20"}, 20),
        (0.06, {"maxptime": "40"}, 40),
        (0.02, {"ptime": "60"}, 60),
        (0.02, {"minptime": "60", "maxptime": "10"}, 20),
        (0.02, {"ptime": "-5", "minptime": "many"}, 20),
    ],
)
def test_packets_are_as_long_as_both_sides_allow(wished: float, parameters: dict[str, str], milliseconds: int) -> None:
    settings = EncoderSettings(packet_time=wished)
    assert packet_milliseconds(opus(**parameters), settings) == milliseconds
    frames = encoded(encoder(settings, **parameters), tones(12))
    assert {frame.duration for frame in frames} == {milliseconds * 48}
    assert [sound.samples for sound in heard(OpusDecoder(OPUS), frames[:1])] == [min(960, milliseconds * 48)] * max(
        1, milliseconds // 20
    )


def test_sound_of_every_shape_is_taken() -> None:
    shapes = [
        (8_000, 1, 160),
        (16_000, 1, 100),
        (24_000, 2, 1200),
        (44_100, 2, 441),
        (48_000, 2, 960),
        (48_000, 1, 480),
    ]
    codec, decoder = encoder(), OpusDecoder(OPUS)
    for rate, channels, samples in shapes:
        sound = tone(440, rate=rate, channels=channels)
        frames = encoded(codec, [sound.frame(start, samples) for start in range(0, rate, samples)])
        assert 46 <= len(frames) <= 50
        assert measure_tone(heard(decoder, frames)[5:]).frequency == pytest.approx(440, rel=5e-3)


def test_planar_floats_are_taken() -> None:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48_000)
    frames = [planar for sound in tones(20) for planar in resampler.resample(sound)]
    sounds = heard(OpusDecoder(OPUS), encoded(encoder(stereo="1"), frames))
    assert measure_tone(sounds[5:]).level == pytest.approx(-20, abs=0.5)


def test_frames_without_time_follow_on_each_other() -> None:
    codec, sounds = encoder(), tones(3)
    for sound in sounds:
        sound.pts = None
    assert [frame.timestamp for frame in encoded(codec, sounds)] == [0, 960, 1920]
    long = tone(440).frame(0, 2880)  # three packets
    long.pts = None
    assert [frame.timestamp for frame in encoded(codec, [long, long])] == [2880 + index * 960 for index in range(6)]


def test_frames_are_not_changed_by_being_encoded() -> None:
    sound = tones(1)[0]
    before = (sound.pts, sound.time_base, bytes(sound.planes[0]))
    encoder(stereo="1").encode(sound)
    assert (sound.pts, sound.time_base, bytes(sound.planes[0])) == before


def test_the_rate_follows_and_stays_below_what_the_receiver_takes() -> None:
    sounds = [noise().frame(index * 960, 960) for index in range(50)]
    codec = encoder(EncoderSettings(bitrate=64_000), cbr="1", maxaveragebitrate="40000")
    assert size(encoded(codec, sounds)) == pytest.approx(40_000 / 8, rel=0.03)
    codec.set_bitrate(16_000)
    assert size(encoded(codec, sounds)) == pytest.approx(16_000 / 8, rel=0.05)
    codec.set_bitrate(1)
    assert size(encoded(codec, sounds)) == pytest.approx(6_000 / 8, rel=0.2)


def test_with_dtx_silence_is_hardly_sent() -> None:
    silence = tone(440, level=-200)
    sounds = [silence.frame(index * 960, 960) for index in range(100)]
    assert len(encoded(encoder(), sounds)) == 100
    assert len(encoded(encoder(usedtx="1"), sounds)) < 30


def test_fec_brings_back_what_was_lost() -> None:
    """A lost packet is rebuilt from the next one; without FEC in it there is only a guess."""
    settings = EncoderSettings(packet_loss=0.2, application="voip", bitrate=32_000)
    changing = [tone(200 + 150 * (index // 2 % 4)).frame(index * 960, 960) for index in range(40)]

    def error_when_lost(codec: OpusEncoder, *, repairs: bool) -> int:
        frames = encoded(codec, changing)
        whole, lossy, total = OpusDecoder(OPUS), OpusDecoder(OPUS), 0
        for index, frame in enumerate(frames[:-1]):
            [wanted] = heard(whole, [frame])
            if index % 5 != 4:
                heard(lossy, [frame])
                continue
            [got] = lossy.decode_fec(frames[index + 1], 960) if repairs else lossy.conceal(960)
            assert got.pts == frame.timestamp
            samples = zip(
                memoryview(bytes(wanted.planes[0])).cast("h"), memoryview(bytes(got.planes[0])).cast("h"), strict=True
            )
            total += sum((a - b) ** 2 for a, b in samples)
        return total

    repaired = error_when_lost(encoder(settings, useinbandfec="1"), repairs=True)
    concealed = error_when_lost(encoder(settings, useinbandfec="1"), repairs=False)
    assert repaired < concealed / 2


def test_packets_have_fec_once_the_peer_reports_loss() -> None:
    """Nothing without loss, nor when FEC was not agreed on; in most packets of a tone with a tenth of them lost."""
    changing = [tone(200 + 150 * (index // 2 % 4)).frame(index * 960, 960) for index in range(80)]

    def share(codec: OpusEncoder) -> float:
        before = encoded(codec, changing[:40])
        assert not any(has_redundancy(frame.data) for frame in before)
        codec.set_packet_loss(0.1)
        after = encoded(codec, changing[40:])
        return sum(has_redundancy(frame.data) for frame in after) / len(after)

    assert share(encoder(EncoderSettings(application="voip"), useinbandfec="1")) > 0.6
    assert share(encoder(EncoderSettings(application="voip"))) == 0


@pytest.mark.parametrize(
    ("reported_loss", "least", "most", "changes"),
    [(0.0, 0, 0, True), (0.02, 0, 0, True), (0.05, 0, 0.1, True), (0.1, 0.6, 1, True), (0.1, 0, 0.1, False)],
)
def test_how_many_packets_of_a_tone_have_fec(reported_loss: float, least: float, most: float, changes: bool) -> None:
    """What docs/assumptions/media.md says of libopus."""
    pieces = [tone(200 + 150 * (index // 2 % 4) if changes else 440).frame(index * 960, 960) for index in range(100)]
    settings = EncoderSettings(application="voip", packet_loss=reported_loss)
    frames = encoded(encoder(settings, useinbandfec="1"), pieces)[40:]  # it begins with more
    assert least <= sum(has_redundancy(frame.data) for frame in frames) / len(frames) <= most


def test_concealment_goes_on_with_the_sound_and_then_fades() -> None:
    decoder = OpusDecoder(OPUS)
    heard(decoder, encoded(encoder(), tones(20)))
    concealed = [sound for sound in decoder.conceal(960) if isinstance(sound, av.AudioFrame)]
    assert [(sound.samples, sound.pts) for sound in concealed] == [(960, 20 * 960)]
    assert measure_tone(concealed).level > -30
    later = [sound for sound in decoder.conceal(48_000) if isinstance(sound, av.AudioFrame)]
    assert sum(sound.samples for sound in later) == 48_000
    assert measure_tone(later[-5:]).level < measure_tone(concealed).level - 10


def test_no_more_is_concealed_than_whole_steps() -> None:
    decoder = OpusDecoder(OPUS)
    assert decoder.conceal(100) == []
    assert [sound.samples for sound in decoder.conceal(1000) if isinstance(sound, av.AudioFrame)] == [960]
    assert decoder.decode_fec(EncodedFrame(data=b"", timestamp=0), 100) == []


@pytest.mark.parametrize("data", [b"\xff", b"\xff\xff\xff", b"\x03\x00", bytes(range(256)), b"\x7b\x85" + bytes(80)])
def test_what_is_no_packet_is_malformed_and_the_next_one_is_decoded(data: bytes) -> None:
    decoder = OpusDecoder(OPUS)
    try:
        decoder.decode(EncodedFrame(data=data, timestamp=0))
        decoder.decode_fec(EncodedFrame(data=data, timestamp=0), 960)
    except MalformedError:
        pass
    assert len(heard(decoder, encoded(encoder(), tones(3)))) == 3


def test_an_empty_packet_is_nothing() -> None:
    assert OpusDecoder(OPUS).decode(EncodedFrame(data=b"", timestamp=0)) == []


def test_a_picture_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        encoder().encode(next(cards(1)))


def test_what_is_closed_is_not_used() -> None:
    codec, decoder = encoder(), OpusDecoder(OPUS)
    packet = encoded(codec, tones(1))[0]
    for end in (codec, decoder):
        end.close()
        end.close()
    with pytest.raises(OperationError):
        codec.encode(tones(1)[0])
    with pytest.raises(OperationError):
        decoder.decode(packet)


@pytest.mark.parametrize(
    ("rate", "bandwidth"),
    [(8_000, 1101), (12_000, 1102), (16_000, 1103), (24_000, 1104), (44_100, 1105), (48_000, 1105)],
)
def test_the_playback_rate_bounds_the_bandwidth(rate: int, bandwidth: int) -> None:
    assert max_bandwidth(rate) == bandwidth


def test_a_receiver_of_8_khz_gets_no_high_tones() -> None:
    sounds = tones(30, frequency=6_000)
    wide = measure_tone(heard(OpusDecoder(OPUS), encoded(encoder(), sounds))[10:])
    narrow = measure_tone(heard(OpusDecoder(OPUS), encoded(encoder(maxplaybackrate="8000"), sounds))[10:])
    assert wide.level > -23
    assert narrow.level < -35
