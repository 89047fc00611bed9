"""Whether two descriptions of a codec mean one that both sides can use, and what the answer then says.

Parameters are of three kinds. Some tell what the bitstream is, and must be equal: the profiles, the packetization mode
of H.264. Some tell what each side can receive, and are each side's own: most of Opus's, levels where both allow that
they differ. The rest, such as `sprop-...`, are hints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from icelane.media.codec import RtpCodec

# RFC 6184 section 8.1: what a missing profile-level-id means.
_DEFAULT_PROFILE_LEVEL_ID: Final = "42000a"

# RFC 6184 section 8.1, table 5: profile_idc, which bits of profile-iop count, what they are, the profile.
_H264_PROFILES: Final = (
    (0x42, 0b0100_1111, 0b0100_0000, "constrained baseline"),
    (0x4D, 0b1000_1111, 0b1000_0000, "constrained baseline"),
    (0x58, 0b1100_1111, 0b1100_0000, "constrained baseline"),
    (0x42, 0b0100_1111, 0b0000_0000, "baseline"),
    (0x58, 0b1100_1111, 0b1000_0000, "baseline"),
    (0x4D, 0b1010_1111, 0b0000_0000, "main"),
    (0x58, 0b1100_1111, 0b0000_0000, "extended"),
    (0x64, 0b1111_1111, 0b0000_0000, "high"),
    (0x64, 0b1111_1111, 0b0000_1100, "constrained high"),
    (0x6E, 0b1111_1111, 0b0000_0000, "high 10"),
    (0x7A, 0b1111_1111, 0b0000_0000, "high 4:2:2"),
    (0xF4, 0b1111_1111, 0b0000_0000, "high 4:4:4 predictive"),
)

# What has to be equal, with the value that is meant when there is none (RFC 9628 section 6, AV1's section 7.2,
# RFC 7798 section 7.1).
_EQUAL_PARAMETERS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "vp9": (("profile-id", "0"),),
    "h264": (("packetization-mode", "0"),),
    "av1": (("profile", "0"),),
    "h265": (("profile-id", "1"), ("tier-flag", "0"), ("tx-mode", "SRST")),
}


class H264Profile(NamedTuple):
    """What a `profile-level-id` says: the profile by name, and the level times ten, 10.5 for level 1b."""

    profile: str
    level: float


def h264_profile(profile_level_id: str) -> H264Profile | None:
    """What six hexadecimal digits mean (RFC 6184 section 8.1); None when they mean nothing known."""
    try:
        packed = bytes.fromhex(profile_level_id)
    except ValueError:
        return None
    if len(packed) != 3:
        return None
    idc, constraints, level = packed
    for wanted_idc, mask, bits, name in _H264_PROFILES:
        if idc == wanted_idc and constraints & mask == bits:
            return H264Profile(name, _level(name, constraints, level))
    return None


def _level(profile: str, constraints: int, level: int) -> float:
    # Level 1b is 11 with constraint_set3_flag below the high profiles, and 9 in them.
    if level == 9 or (level == 11 and constraints & 0b0001_0000 and not profile.startswith("high")):
        return 10.5
    return float(level)


def matches(one: RtpCodec, other: RtpCodec) -> bool:
    """Whether a stream of `one` is a stream of `other`, levels and what each side can receive left aside."""
    name = one.name.lower()
    if (one.kind, name, one.clock_rate, one.channels) != (
        other.kind,
        other.name.lower(),
        other.clock_rate,
        other.channels,
    ):
        return False
    if not all(
        one.parameter(key, usual) == other.parameter(key, usual) for key, usual in _EQUAL_PARAMETERS.get(name, ())
    ):
        return False
    return name != "h264" or _same_h264_profile(one, other)


def find_match(codec: RtpCodec, among: Iterable[RtpCodec]) -> RtpCodec | None:
    """The first of `among` that matches."""
    return next((other for other in among if matches(codec, other)), None)


def agreed(local: RtpCodec, remote: RtpCodec) -> RtpCodec | None:
    """What we answer when `remote` was offered and `local` is ours: parameters ours, feedback what both have.

    None when they do not match.
    """
    if not matches(local, remote):
        return None
    parameters = dict(local.parameters)
    if local.name.lower() == "h264":
        _agree_on_h264_level(parameters, local, remote)
    return replace(
        local,
        parameters=tuple(parameters.items()),
        feedback=tuple(entry for entry in local.feedback if entry in remote.feedback),
    )


def _profile_of(codec: RtpCodec) -> H264Profile | None:
    return h264_profile(codec.parameter("profile-level-id", _DEFAULT_PROFILE_LEVEL_ID))


def _same_h264_profile(one: RtpCodec, other: RtpCodec) -> bool:
    first, second = _profile_of(one), _profile_of(other)
    return first is not None and second is not None and first.profile == second.profile


def _agree_on_h264_level(parameters: dict[str, str], local: RtpCodec, remote: RtpCodec) -> None:
    # RFC 6184 section 8.2.2: each side its own level when both say so, else the lower one for both.
    if local.parameter("level-asymmetry-allowed") == remote.parameter("level-asymmetry-allowed") == "1":
        return
    parameters.pop("level-asymmetry-allowed", None)
    ours, theirs = _profile_of(local), _profile_of(remote)
    if ours is not None and theirs is not None and theirs.level < ours.level:
        parameters["profile-level-id"] = remote.parameter("profile-level-id", _DEFAULT_PROFILE_LEVEL_ID)
