"""Which codecs are the same one, and what an answer says of it."""

from __future__ import annotations

import pytest

from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codec_match import answer_codec, is_same_codec


def codec(name: str, clock_rate: int = 90_000, channels: int = 1, feedback: str = "", **parameters: str) -> RtpCodec:
    return RtpCodec(
        kind=MediaKind.VIDEO,
        name=name,
        clock_rate=clock_rate,
        channels=channels,
        parameters=tuple((key.replace("_", "-"), value) for key, value in parameters.items()),
        feedback=tuple(feedback.split(",")) if feedback else (),
    )


def h264(profile: str, mode: str = "1", asymmetry: str = "1") -> RtpCodec:
    return codec("H264", level_asymmetry_allowed=asymmetry, packetization_mode=mode, profile_level_id=profile)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (codec("VP8"), codec("vp8"), True),
        (codec("VP8"), codec("VP9"), False),
        (codec("opus", 48_000, 2, useinbandfec="1"), codec("OPUS", 48_000, 2, stereo="1"), True),
        (codec("opus", 48_000, 2), codec("opus", 48_000, 1), False),
        (codec("L16", 8_000), codec("L16", 16_000), False),
        (codec("VP9"), codec("VP9", profile_id="0"), True),
        (codec("VP9", profile_id="2"), codec("VP9", profile_id="0"), False),
        (codec("AV1", profile="0", level_idx="5"), codec("AV1"), True),
        (codec("AV1", profile="1"), codec("AV1"), False),
        (codec("H265", level_id="93"), codec("H265", profile_id="1", tier_flag="0", level_id="156"), True),
        (codec("H265", profile_id="2"), codec("H265"), False),
        (h264("42e01f"), h264("42E034"), True),
        (h264("42e01f"), h264("42e01f", mode="0"), False),
        (h264("42e01f"), h264("42001f"), False),
        (h264("42e01f"), h264("42c01f"), True),  # constrained baseline, however it is written
        (h264("42e01f"), h264("4d801f"), True),
        (h264("4d001f"), h264("4d0032"), True),
        (h264("640c1f"), h264("64001f"), False),
        (codec("H264"), h264("42000b", mode="0"), True),  # RFC 6184 section 8.1: the defaults
        (h264("zz"), h264("zz"), True),
        (h264("zz"), h264("42e01f"), False),
    ],
)
def test_codecs_are_the_same_as_their_rfc_has_it(one: RtpCodec, other: RtpCodec, same: bool) -> None:
    assert is_same_codec(one, other) is same
    assert is_same_codec(other, one) is same


@pytest.mark.parametrize(
    ("ours", "offered", "level"),
    [
        (h264("42e01f"), h264("42e034"), "42e01f"),
        (h264("42e01f"), h264("42e00b"), "42e01f"),
        (h264("42e01f"), h264("42e00b", asymmetry="0"), "42e00b"),
        (h264("42e01f"), h264("42e034", asymmetry="0"), "42e01f"),
        (h264("42e00a"), h264("42f00b", asymmetry="0"), "42e00a"),  # 1b is above 1
        (h264("42e00b"), h264("42f00b", asymmetry="0"), "42f00b"),  # and below 1.1
    ],
)
def test_an_answer_has_the_lower_level_unless_each_direction_has_its_own(
    ours: RtpCodec, offered: RtpCodec, level: str
) -> None:
    """RFC 6184 section 8.2.2."""
    answer = answer_codec(ours, offered)
    assert answer.parameter("profile-level-id") == level
    assert answer.parameter("level-asymmetry-allowed") == (
        "" if offered.parameter("level-asymmetry-allowed") == "0" else "1"
    )


def test_an_answer_has_the_feedback_of_both_and_our_parameters() -> None:
    ours = codec("VP8", feedback="nack,nack pli,transport-cc", max_fr="30")
    answer = answer_codec(ours, codec("VP8", feedback="goog-remb,nack pli,nack", max_fs="99"))
    assert answer.feedback == ("nack", "nack pli")
    assert answer.parameters == (("max-fr", "30"),)
