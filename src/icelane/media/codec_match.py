"""Which codecs of two peers are the same one, and what the answer says about it.

H.264   packetization mode and profile are equal; the level may differ   RFC 6184 section 8.2.2
H.265   profile, tier and transmission mode are equal                    RFC 7798 section 7.2.2
VP9     profile-id is equal                                              RFC 9628 section 6
AV1     profile is equal                                                 AV1 RTP specification, section 7.2
others  name, clock and channels are all there is; Opus always matches   RFC 7587 section 7

Names are compared without regard to case (RFC 8866 section 6.6).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from icelane.media.codec import RtpCodec

# RFC 6184 section 8.1: what holds where no profile-level-id is written.
DEFAULT_H264_PROFILE: Final = "42000a"

_HEX_PROFILE: Final = re.compile(r"[0-9a-fA-F]{6}")
# RFC 6184 table 5: profile_idc, then bits of profile-iop with a mask; the first that fits names the profile.
_H264_PROFILES: Final = (
    (0x42, 0x4F, 0x40, "constrained baseline"),
    (0x4D, 0x8F, 0x80, "constrained baseline"),
    (0x58, 0xCF, 0xC0, "constrained baseline"),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained high"),
    (0xF4, 0xFF, 0x00, "high 4:4:4 predictive"),
)
# RFC 6184: of the first profiles, level 11 with constraint_set3 is 1b, which is below 1.1.
_LEVEL_1B_PROFILES: Final = (0x42, 0x4D, 0x58)
_LEVEL_1B: Final = 10.5


def is_same_codec(one: RtpCodec, other: RtpCodec) -> bool:
    """Whether what one of them encodes the other decodes."""
    if (one.kind, one.clock_rate, one.channels) != (other.kind, other.clock_rate, other.channels):
        return False
    name = one.name.lower()
    return name == other.name.lower() and _format_of(name, one) == _format_of(name, other)


def answer_codec(ours: RtpCodec, offered: RtpCodec) -> RtpCodec:
    """`ours`, which is the same codec as `offered`, as the answer has it.

    The feedback is what both know; the parameters are ours, but for what has to be agreed on.
    """
    feedback = tuple(one for one in ours.feedback if one in offered.feedback)
    parameters = dict(ours.parameters)
    if ours.name.lower() == "h264":
        parameters.update(_agreed_h264(ours, offered))
        if offered.parameter("level-asymmetry-allowed") != "1":
            parameters.pop("level-asymmetry-allowed", None)
    return replace(ours, parameters=tuple(parameters.items()), feedback=feedback)


def _format_of(name: str, codec: RtpCodec) -> tuple[str, ...]:
    """What has to be equal besides the name."""
    if name == "h264":
        return (codec.parameter("packetization-mode", "0"), _h264_profile(_profile_level_id(codec)))
    if name == "h265":
        parameters = (("profile-id", "1"), ("tier-flag", "0"), ("tx-mode", "SRST"))
        return tuple(codec.parameter(parameter, default) for parameter, default in parameters)
    if name == "vp9":
        return (codec.parameter("profile-id", "0"),)
    if name == "av1":
        return (codec.parameter("profile", "0"),)
    return ()


def _profile_level_id(codec: RtpCodec) -> str:
    return codec.parameter("profile-level-id", DEFAULT_H264_PROFILE).lower()


def _h264_profile(text: str) -> str:
    """The name of a profile; of one that is not known, its own digits, which are equal to themselves only."""
    if not _HEX_PROFILE.fullmatch(text):
        return text
    number, constraints = int(text[:2], 16), int(text[2:4], 16)
    for profile, mask, bits, name in _H264_PROFILES:
        if number == profile and constraints & mask == bits:
            return name
    return text[:4]


def _agreed_h264(ours: RtpCodec, offered: RtpCodec) -> dict[str, str]:
    """The level of the answer: our own where each direction has its own, otherwise the lower one."""
    mine, theirs = _profile_level_id(ours), _profile_level_id(offered)
    is_asymmetric = all(one.parameter("level-asymmetry-allowed") == "1" for one in (ours, offered))
    if is_asymmetric or not _HEX_PROFILE.fullmatch(theirs) or _level(mine) <= _level(theirs):
        return {"profile-level-id": mine}
    return {"profile-level-id": theirs}


def _level(profile_level_id: str) -> float:
    profile, constraints, level = (int(profile_level_id[at : at + 2], 16) for at in (0, 2, 4))
    is_1b = level == 11 and constraints & 0x10 and profile in _LEVEL_1B_PROFILES
    return _LEVEL_1B if is_1b else level
