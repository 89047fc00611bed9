"""What a peer says of a codec: any parameters match or do not, and what is made of them is within its bounds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import AV1, H264, H265, OPUS, VP8, VP9
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.libopus import max_bandwidth
from icelane.media.codecs.matching import agreed, h264_profile, matches
from icelane.media.codecs.opus import packet_milliseconds, parameter_number

CODECS = (OPUS, VP8, VP9, H264[0], H264[3], H264[6], AV1, H265)

SEEDS = [
    b"\0" + OPUS.parameters_text.encode(),
    b"\0stereo=1;usedtx=1;maxaveragebitrate=20000;maxplaybackrate=16000;ptime=60;minptime=10;maxptime=120;cbr=1",
    *(bytes([number]) + codec.parameters_text.encode() for number, codec in enumerate(CODECS)),
    b"\3profile-level-id=42f00b;packetization-mode=1",
]
DICTIONARY = [
    b";", b"=", b"profile-level-id=", b"packetization-mode=", b"level-asymmetry-allowed=1", b"42e01f", b"640c1f",
    b"4d801f", b"profile-id=", b"ptime=", b"minptime=", b"maxptime=", b"maxplaybackrate=", b"-1", b"0", b"00",
    b"99999999999999999999", b"\xd9\xa1", b"\xc2\xb2",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """Whether it matches, as what, and what an encoder would make of it."""
    local = CODECS[data[0] % len(CODECS)] if data else OPUS
    remote = _described(local, data[1:].decode("utf-8", "replace"))
    assert matches(local, remote) == matches(remote, local)
    answer = agreed(local, remote)
    assert (answer is not None) == matches(local, remote)
    if answer is not None:
        assert matches(answer, remote)
        assert matches(answer, local)
        assert set(answer.feedback) <= set(local.feedback)
    duration = packet_milliseconds(remote, EncoderSettings())
    assert duration in (10, 20, 40, 60)
    assert 1101 <= max_bandwidth(parameter_number(remote, "maxplaybackrate", 48_000)) <= 1105
    assert 0 < parameter_number(remote, "maxaveragebitrate", 1) < 10**9
    return local.name, answer is not None, duration, h264_profile(remote.parameter("profile-level-id"))


def _described(codec: RtpCodec, text: str) -> RtpCodec:
    pairs = (entry.partition("=") for entry in text.split(";"))
    return replace(codec, parameters=tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))
