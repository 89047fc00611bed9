"""G.711 and G.722."""

from __future__ import annotations

from contextlib import suppress

import pytest

from icelane.errors import MalformedError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import G722, PCMA, PCMU
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.sound import measure_tone, tone
from tests.media.codecs.material import encoded, ends, heard, tones


@pytest.mark.parametrize(("codec", "rate"), [(PCMU, 8_000), (PCMA, 8_000), (G722, 16_000)])
@pytest.mark.parametrize(("source_rate", "channels"), [(48_000, 2), (8_000, 1), (16_000, 1)])
def test_a_tone_goes_through(codec: RtpCodec, rate: int, source_rate: int, channels: int) -> None:
    encoder, decoder = ends(codec)
    frames = encoded(encoder, tones(30, rate=source_rate, channels=channels))
    assert {(len(frame.data), frame.duration) for frame in frames} == {(160, 160)}
    assert [frame.timestamp for frame in frames] == [index * 160 for index in range(len(frames))]
    sounds = heard(decoder, frames)
    assert {(sound.samples, sound.sample_rate, sound.layout.name) for sound in sounds} == {(rate // 50, rate, "mono")}
    assert [sound.pts for sound in sounds] == [index * rate // 50 for index in range(len(sounds))]
    assert decoder.sample_rate == rate
    measured = measure_tone(sounds[3:])
    assert measured.frequency == pytest.approx(440, rel=3e-3)
    assert measured.level == pytest.approx(-20, abs=0.7)
    encoder.close()
    decoder.close()


@pytest.mark.parametrize("codec", [PCMU, G722])
def test_what_is_lost_is_repeated_and_fades(codec: RtpCodec) -> None:
    encoder, decoder = ends(codec)
    heard(decoder, encoded(encoder, tones(10)))
    samples = decoder.sample_rate // 50
    lost = [[sound for sound in decoder.conceal(samples) if isinstance(sound, av.AudioFrame)] for _ in range(5)]
    assert all(sum(sound.samples for sound in sounds) == samples for sounds in lost)
    levels = [measure_tone(sounds).level for sounds in lost]
    assert levels[:3] == pytest.approx([-26, -32, -38], abs=1)
    assert levels[3] == levels[4] == float("-inf")


def test_frames_are_not_changed_by_being_encoded() -> None:
    encoder, _ = ends(PCMU)
    sound = tones(1, rate=8_000, channels=1)[0]
    before = (sound.pts, sound.time_base, bytes(sound.planes[0]))
    encoder.encode(sound)
    assert (sound.pts, sound.time_base, bytes(sound.planes[0])) == before


def test_sound_without_times_follows_on_itself() -> None:
    encoder, _ = ends(PCMU)
    sound = tone(440, rate=8_000, channels=1).frame(0, 480)  # three packets
    sound.pts = None
    assert [frame.timestamp for frame in encoded(encoder, [sound, sound])] == [index * 160 for index in range(6)]


def test_long_packets_come_as_frames_of_20_ms() -> None:
    _, decoder = ends(PCMU)
    sounds = heard(decoder, [EncodedFrame(data=bytes(400), timestamp=800)])
    assert [(sound.samples, sound.pts) for sound in sounds] == [(160, 800), (160, 960), (80, 1120)]


@pytest.mark.parametrize("codec", [PCMU, PCMA, G722])
@pytest.mark.parametrize("data", [b"", b"\x00", bytes(range(256)) * 8])
def test_any_bytes_are_sound_or_malformed(codec: RtpCodec, data: bytes) -> None:
    _, decoder = ends(codec)
    with suppress(MalformedError):
        decoder.decode(EncodedFrame(data=data, timestamp=0))
