"""Every codec by its name, with frames of real encoders: each decodes after the trip."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError, MessageTooLargeError, NotSupportedError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.payload.registry import (
    depacketizer_for,
    frame_duration,
    frame_size,
    is_key_frame,
    packetizer_for,
)
from tests.media.payload import bitstreams
from tests.media.payload.trips import round_trip, trip


def video(name: str, *parameters: tuple[str, str]) -> RtpCodec:
    return RtpCodec(kind=MediaKind.VIDEO, name=name, clock_rate=90_000, parameters=parameters)


def audio(name: str, clock_rate: int = 8000, channels: int = 1) -> RtpCodec:
    return RtpCodec(kind=MediaKind.AUDIO, name=name, clock_rate=clock_rate, channels=channels)


VIDEO = {name: video(name, ("packetization-mode", "1")) if name == "H264" else video(name) for name in bitstreams.VIDEO}
AUDIO = {name: audio(name, 48_000, 2) if name == "opus" else audio(name) for name in bitstreams.AUDIO}


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("max_size", [100, 1188, 60_000])
def test_frames_of_an_encoder_decode_after_the_trip(name: str, max_size: int) -> None:
    codec = VIDEO[name]
    frames = bitstreams.video_frames(name)
    packetizer, depacketizer = packetizer_for(codec, 1), depacketizer_for(codec)
    came = [round_trip(packetizer, depacketizer, frame, max_size) for frame in frames]
    assert bitstreams.decoded_sizes(name, came) == [(bitstreams.WIDTH, bitstreams.HEIGHT)] * len(frames)
    again = [round_trip(packetizer, depacketizer, frame, max_size) for frame in came]
    assert again == came


@pytest.mark.parametrize("name", ["VP8", "VP9"])
def test_frames_without_units_come_back_byte_for_byte(name: str) -> None:
    packetizer, depacketizer = packetizer_for(VIDEO[name], 1), depacketizer_for(VIDEO[name])
    for frame in bitstreams.video_frames(name):
        assert round_trip(packetizer, depacketizer, frame, 1188) == frame


@pytest.mark.parametrize("name", VIDEO)
def test_key_frames_of_an_encoder_are_known_before_and_after_the_trip(name: str) -> None:
    codec = VIDEO[name]
    frames = bitstreams.video_frames(name)
    packetizer, depacketizer = packetizer_for(codec, 1), depacketizer_for(codec)
    keys = [is_key_frame(codec, frame) for frame in frames]
    assert keys == [True, False, False, False, True, False]
    for frame, key in zip(frames, keys, strict=True):
        opinions = {fragment.is_key for fragment in trip(packetizer, depacketizer, frame, 1188)}
        assert (True in opinions) is key
        assert (False in opinions) is not key
        if key:
            assert frame_size(codec, frame) == (bitstreams.WIDTH, bitstreams.HEIGHT)


@pytest.mark.parametrize("name", bitstreams.IN_RTP_OF_FFMPEG)
@pytest.mark.parametrize("size", [200, 1200])
def test_packets_that_ffmpeg_makes_are_read(name: str, size: int) -> None:
    codec = VIDEO[name]
    frames = bitstreams.video_frames(name)
    depacketizer = depacketizer_for(codec)
    came: list[bytes] = []
    keys = [index for index, frame in enumerate(frames) if is_key_frame(codec, frame)]
    for payloads in bitstreams.packets_of_ffmpeg(name, frames, keys, size):
        fragments = [depacketizer.parse(payload) for payload in payloads]
        assert fragments[0].begins_frame
        assert (True in {fragment.is_key for fragment in fragments}) is (len(came) in keys)
        came.append(depacketizer.assemble(fragments))
    assert [index for index, frame in enumerate(came) if is_key_frame(codec, frame)] == keys
    assert bitstreams.decoded_sizes(name, came) == [(bitstreams.WIDTH, bitstreams.HEIGHT)] * len(frames)


@pytest.mark.parametrize("name", AUDIO)
def test_sound_of_an_encoder_decodes_after_the_trip(name: str) -> None:
    codec = AUDIO[name]
    frames = bitstreams.audio_frames(name)
    packetizer, depacketizer = packetizer_for(codec, 1), depacketizer_for(codec)
    came = [round_trip(packetizer, depacketizer, frame, 1188) for frame in frames]
    assert came == list(frames)
    assert {frame_duration(codec, frame) for frame in frames} == {codec.clock_rate // 50}
    assert all(is_key_frame(codec, frame) for frame in frames)
    assert bitstreams.decoded_samples(name, came) == bitstreams.decoded_samples(name, frames) > 0


def test_names_are_compared_without_regard_to_case() -> None:
    assert type(packetizer_for(audio("OPUS"), 1)) is type(packetizer_for(audio("opus"), 1))
    assert type(depacketizer_for(video("vp8"))) is type(depacketizer_for(video("VP8")))


@pytest.mark.parametrize("name", ["telephone-event", "rtx", "red", "CN", ""])
def test_what_has_no_payload_format_is_not_supported(name: str) -> None:
    codec = audio(name)
    for call in (
        lambda: packetizer_for(codec, 1),
        lambda: depacketizer_for(codec),
        lambda: is_key_frame(codec, b"x"),
        lambda: frame_size(codec, b"x"),
        lambda: frame_duration(codec, b"x"),
    ):
        with pytest.raises(NotSupportedError):
            call()


def test_h264_has_the_mode_that_was_agreed_on() -> None:
    frame = b"\0\0\0\1\x65" + b"x" * 2000
    assert len(packetizer_for(video("H264", ("packetization-mode", "1")), 1).packetize(frame, 1200)) == 2
    for codec in (video("H264"), video("H264", ("packetization-mode", "0"))):
        with pytest.raises(MessageTooLargeError):
            packetizer_for(codec, 1).packetize(frame, 1200)
    for mode in ("2", "", "x"):
        with pytest.raises(NotSupportedError):
            packetizer_for(video("H264", ("packetization-mode", mode)), 1)


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("data", [b"", b"\xff", bytes(40)])
def test_what_cannot_be_read_is_no_key_frame_and_has_no_size(name: str, data: bytes) -> None:
    codec = VIDEO[name]
    assert not is_key_frame(codec, data)
    assert frame_size(codec, data) is None
    assert frame_duration(codec, data) == 0


def test_sound_that_is_not_there_is_no_key_frame() -> None:
    assert not is_key_frame(audio("opus"), b"")
    assert frame_size(audio("opus"), b"\xf8") is None
    with pytest.raises(MalformedError):
        frame_duration(audio("opus"), b"")
    assert frame_duration(audio("PCMU", channels=2), bytes(320)) == 160
