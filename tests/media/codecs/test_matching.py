"""Which descriptions mean the same codec, and what the answer says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.capability import AV1, G722, H264, H265, OPUS, PCMU, TONES, VP8, VP9
from icelane.media.codecs.matching import H264Profile, agreed, find_match, h264_profile, matches


def h264(profile_level_id: str = "", mode: str = "", asymmetry: str = "") -> RtpCodec:
    pairs = (
        ("level-asymmetry-allowed", asymmetry),
        ("packetization-mode", mode),
        ("profile-level-id", profile_level_id),
    )
    return replace(H264[0], parameters=tuple(pair for pair in pairs if pair[1]))


@pytest.mark.parametrize("codec", [OPUS, G722, PCMU, *TONES, VP8, VP9, *H264, AV1, H265])
def test_a_codec_matches_itself_and_none_of_the_others(codec: RtpCodec) -> None:
    others = [other for other in (OPUS, G722, PCMU, *TONES, VP8, VP9, *H264, AV1, H265) if other is not codec]
    assert matches(codec, codec)
    assert find_match(codec, others) is None


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("42e01f", H264Profile("constrained baseline", 31)),
        ("42C02A", H264Profile("constrained baseline", 42)),
        ("4d801f", H264Profile("constrained baseline", 31)),
        ("58f00d", H264Profile("constrained baseline", 13)),
        ("42001f", H264Profile("baseline", 31)),
        ("58a01f", H264Profile("baseline", 31)),
        ("4d0028", H264Profile("main", 40)),
        ("64001f", H264Profile("high", 31)),
        ("640c1f", H264Profile("constrained high", 31)),
        ("f4001f", H264Profile("high 4:4:4 predictive", 31)),
        ("42f00b", H264Profile("constrained baseline", 10.5)),
        ("640009", H264Profile("high", 10.5)),
        ("42e01", None),
        ("42e01fff", None),
        ("gggggg", None),
        ("01001f", None),
        ("", None),
    ],
)
def test_a_profile_level_id_means_what_the_table_of_rfc_6184_says(text: str, meaning: H264Profile | None) -> None:
    assert h264_profile(text) == meaning


def test_names_are_compared_without_regard_to_case() -> None:
    assert matches(OPUS, replace(OPUS, name="OPUS"))
    assert matches(VP8, replace(VP8, name="vp8"))


def test_parameters_and_feedback_of_opus_never_keep_it_from_matching() -> None:
    assert matches(OPUS, replace(OPUS, parameters=(("stereo", "1"), ("usedtx", "1")), feedback=()))
    assert not matches(OPUS, replace(OPUS, channels=1))
    assert not matches(OPUS, replace(OPUS, clock_rate=16_000))


def test_levels_of_h264_may_differ_and_profiles_may_not() -> None:
    assert matches(h264("42e01f", "1"), h264("42e034", "1"))
    assert matches(h264("42e01f", "1"), h264("4d801f", "1"))
    assert not matches(h264("42e01f", "1"), h264("42001f", "1"))
    assert not matches(h264("42e01f", "1"), h264("nonsense", "1"))


def test_a_missing_packetization_mode_is_zero_and_has_to_be_equal() -> None:
    assert matches(h264("42e01f"), h264("42e01f", "0"))
    assert not matches(h264("42e01f"), h264("42e01f", "1"))


def test_a_missing_profile_level_id_is_baseline_of_level_1() -> None:
    assert matches(h264(), h264("42000a"))
    assert not matches(h264(), h264("42e00a"))


def test_a_missing_profile_of_vp9_and_av1_is_the_first() -> None:
    assert matches(VP9, replace(VP9, parameters=()))
    assert not matches(VP9, replace(VP9, parameters=(("profile-id", "2"),)))
    assert matches(AV1, replace(AV1, parameters=()))
    assert not matches(AV1, replace(AV1, parameters=(("profile", "1"),)))
    assert matches(AV1, replace(AV1, parameters=(("level-idx", "9"), ("tier", "1"))))


def test_the_answer_has_our_parameters_and_the_feedback_of_both() -> None:
    remote = replace(OPUS, parameters=(("stereo", "1"),), feedback=("nack", "transport-cc"))
    assert agreed(OPUS, remote) == OPUS
    assert agreed(VP8, replace(VP8, feedback=("nack pli", "nack", "other"))) == replace(
        VP8, feedback=("nack", "nack pli")
    )


def test_the_answer_keeps_our_level_when_both_allow_that_levels_differ() -> None:
    answer = agreed(h264("42e01f", "1", "1"), h264("42e00d", "1", "1"))
    assert answer is not None
    assert answer.parameters == h264("42e01f", "1", "1").parameters


@pytest.mark.parametrize("asymmetry", [("1", ""), ("", "1"), ("", "")])
def test_the_answer_has_the_lower_level_when_one_does_not_allow_it(asymmetry: tuple[str, str]) -> None:
    low, high = "42e00d", "42e01f"
    down = agreed(h264(high, "1", asymmetry[0]), h264(low, "1", asymmetry[1]))
    up = agreed(h264(low, "1", asymmetry[0]), h264(high, "1", asymmetry[1]))
    assert down is not None
    assert up is not None
    assert down.parameters == up.parameters == h264(low, "1").parameters


def test_what_does_not_match_is_not_agreed_on() -> None:
    assert agreed(VP8, VP9) is None
    assert agreed(OPUS, replace(OPUS, kind=MediaKind.VIDEO)) is None
