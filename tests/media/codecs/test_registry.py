"""The registry: order, directions, what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.errors import LocalProtocolError, NotSupportedError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.capability import H264, RETRANSMISSION, VP8, VP9
from icelane.media.codecs.interface import Decoder, Encoder, EncoderSettings, MediaFrame
from icelane.media.codecs.registry import MAX_CODECS, CodecRegistry
from icelane.media.frame import EncodedFrame


class FakeEncoder(Encoder):
    def __init__(self, codec: RtpCodec, settings: EncoderSettings) -> None:
        self.codec = codec
        self.settings = settings

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
        return []


class FakeDecoder(Decoder):
    sample_rate = 0

    def __init__(self, codec: RtpCodec) -> None:
        self.codec = codec

    def decode(self, frame: EncodedFrame) -> list[MediaFrame]:
        return []


def test_codecs_come_by_priority_and_then_in_their_order() -> None:
    registry = CodecRegistry()
    registry.register(RETRANSMISSION, priority=-1)
    registry.register(VP8)
    registry.register(VP9)
    registry.register(H264[0], priority=5)
    assert registry.codecs(MediaKind.VIDEO) == (H264[0], VP8, VP9, RETRANSMISSION)
    assert registry.codecs(MediaKind.AUDIO) == ()


def test_registering_again_replaces() -> None:
    registry = CodecRegistry()
    registry.register(VP8)
    registry.register(VP9)
    registry.register(VP8)
    assert registry.codecs(MediaKind.VIDEO) == (VP9, VP8)
    registry.unregister(VP9)
    registry.unregister(VP9)
    assert registry.codecs(MediaKind.VIDEO) == (VP8,)


def test_each_direction_has_what_has_that_end() -> None:
    registry = CodecRegistry()
    registry.register(VP8, encoder=FakeEncoder)
    registry.register(VP9, decoder=FakeDecoder)
    registry.register(RETRANSMISSION)
    assert registry.codecs(MediaKind.VIDEO, can_send=True) == (VP8, RETRANSMISSION)
    assert registry.codecs(MediaKind.VIDEO, can_receive=True) == (VP9, RETRANSMISSION)
    assert registry.codecs(MediaKind.VIDEO, can_send=True, can_receive=True) == (RETRANSMISSION,)


def test_a_codec_that_is_not_offered_can_be_asked_for() -> None:
    registry = CodecRegistry()
    registry.register(VP8, decoder=FakeDecoder, is_offered=False)
    assert registry.codecs(MediaKind.VIDEO) == ()
    assert isinstance(registry.decoder(VP8), FakeDecoder)
    assert [entry.codec for entry in registry.entries()] == [VP8]


def test_factories_are_told_the_codec_as_the_other_side_has_it() -> None:
    registry = CodecRegistry()
    registry.register(VP8, encoder=FakeEncoder, decoder=FakeDecoder)
    theirs = replace(VP8, name="vp8", parameters=(("max-fr", "30"),))
    encoder, decoder = registry.encoder(theirs, EncoderSettings(bitrate=1)), registry.decoder(theirs)
    assert isinstance(encoder, FakeEncoder)
    assert isinstance(decoder, FakeDecoder)
    assert encoder.codec is decoder.codec is theirs
    assert encoder.settings.bitrate == 1


def test_what_is_missing_says_why() -> None:
    registry = CodecRegistry()
    registry.register(VP8, encoder=FakeEncoder)
    registry.mark_missing(VP8, "nobody wrote a decoder")
    assert [(entry.codec, entry.reason) for entry in registry.missing()] == [(VP8, "nobody wrote a decoder")]
    with pytest.raises(NotSupportedError, match="no decoder of video/VP8: nobody wrote a decoder"):
        registry.decoder(VP8)
    with pytest.raises(NotSupportedError, match=r"no encoder of video/VP9 \(profile-id=0\)$"):
        registry.encoder(VP9)


def test_there_are_no_more_codecs_than_payload_types() -> None:
    registry = CodecRegistry()
    for number in range(MAX_CODECS):
        registry.register(replace(VP8, name=f"codec{number}"))
    registry.register(replace(VP8, name="codec0"))
    with pytest.raises(LocalProtocolError):
        registry.register(VP8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bitrate": 0},
        {"frame_rate": 0.0},
        {"frame_rate": 1e9},
        {"packet_loss": 1.5},
        {"packet_time": 0.0},
        {"threads": 0},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(LocalProtocolError):
        EncoderSettings(**wrong)  # type: ignore[arg-type]
