"""Codecs by their W3C names."""

from __future__ import annotations

import pytest

from icelane.aio.rtp_parameters import (
    RTCRtpCodec,
    capabilities_of,
    describe,
    describe_negotiated,
    find_codecs,
    linear_level,
)
from icelane.errors import InvalidModificationError
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.codecs.capability import H264, OPUS, RETRANSMISSION, VP8


def test_codecs_are_described_as_browsers_describe_them() -> None:
    assert describe(OPUS) == RTCRtpCodec("audio/opus", 48_000, 2, "minptime=10;useinbandfec=1")
    assert describe(VP8) == RTCRtpCodec("video/VP8", 90_000)


def test_retransmission_stands_behind_its_codec() -> None:
    described = describe_negotiated([NegotiatedCodec(codec=VP8, payload_type=96, rtx_payload_type=97)])
    assert [(one.mimeType, one.payloadType, one.sdpFmtpLine) for one in described] == [
        ("video/VP8", 96, None), ("video/rtx", 97, "apt=96"),
    ]  # fmt: skip


def test_what_is_described_is_found_again() -> None:
    known = [VP8, *H264, RETRANSMISSION]
    shown = capabilities_of(MediaKind.VIDEO, known).codecs
    assert find_codecs(shown, known) == known
    assert find_codecs([RTCRtpCodec("VIDEO/vp8", 90_000)], known) == [VP8]
    with pytest.raises(InvalidModificationError):
        find_codecs([RTCRtpCodec("video/VP8", 48_000)], known)


def test_levels_are_those_of_a_meter() -> None:
    assert linear_level(None) is None
    assert linear_level(127) == 0.0
    assert linear_level(0) == 1.0
    assert linear_level(20) == pytest.approx(0.1)
