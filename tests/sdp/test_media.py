"""Sections: the `m=` line and the attributes by type."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute
from icelane.sdp.media import MediaDescription, parse_media_line
from icelane.sdp.rtp_attributes import (
    Direction,
    FormatParameters,
    HeaderExtension,
    Layer,
    Msid,
    Rid,
    RtcpFeedback,
    RtpMap,
    Simulcast,
    SourceAttribute,
    SourceGroup,
)
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.transport_attributes import SctpMap, Setup
from tests.sdp.captures import CAPTURES


def captured(name: str) -> SessionDescription:
    return parse_session(CAPTURES[name])


def section(kind: str = "audio", protocol: str = "UDP/TLS/RTP/SAVPF", *formats: str, port: int = 9) -> MediaDescription:
    return MediaDescription(kind=kind, protocol=protocol, formats=list(formats) or ["0"], port=port)


@pytest.mark.parametrize(
    "text",
    [
        "application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "video 0 UDP/TLS/RTP/SAVPF 96 97",
        "audio 49170/2 RTP/AVP 0",
        "message 65535 TCP/MSRP *",
        "image 54111 udptl t38",
    ],
)
def test_a_media_line_prints_as_it_was(text: str) -> None:
    assert parse_media_line(text).media_line == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "audio",
        "audio 9 RTP/AVP",
        "audio -1 RTP/AVP 0",
        "audio 65536 RTP/AVP 0",
        "audio 9/0 RTP/AVP 0",
        "audio 9/ RTP/AVP 0",
        "audio 9/1/1 RTP/AVP 0",
        "audio 99999999999999999999999999 RTP/AVP 0",
        "au/dio 9 RTP/AVP 0",
        "audio 9 RTP//AVP 0",
        "audio 9 /RTP 0",
        "audio 9 RTP/AVP 0\t1",
        "audio 9 RTP/AVP" + " 0" * (257),
    ],
)
def test_a_wrong_media_line_is_malformed(text: str) -> None:
    """SD-1: wrong, negative and huge numbers, too many formats."""
    with pytest.raises(MalformedError):
        parse_media_line(text)


def test_a_section_that_we_make_has_a_neutral_address_and_the_discard_port() -> None:
    media = section()
    assert (media.media_line, str(media.connection)) == ("audio 9 UDP/TLS/RTP/SAVPF 0", "IN IP4 0.0.0.0")


def test_a_section_is_rejected_by_port_0_unless_it_only_goes_bundled() -> None:
    assert not section().is_rejected
    media = section(port=0)
    assert media.is_rejected
    media.add(Attribute("bundle-only"))
    assert media.bundle_only
    assert not media.is_rejected


def test_data_channels_are_known_in_both_forms() -> None:
    assert section("application", "UDP/DTLS/SCTP", "webrtc-datachannel").is_data_channel
    assert captured("legacy_plan_b_offer").media[2].is_data_channel
    assert not section("application", "UDP/DTLS/SCTP", "other").is_data_channel
    assert not section("application", "UDP/BFCP", "webrtc-datachannel").is_data_channel
    assert not section("audio", "UDP/DTLS/SCTP", "webrtc-datachannel").is_data_channel
    assert not section("application", "UDP/DTLS/SCTP", "webrtc-datachannel").is_rtp
    assert section().is_rtp


def test_the_transport_of_a_data_section() -> None:
    media = captured("chromium_data_offer").media[0]
    assert (media.kind, media.mid, media.setup) == ("application", "0", Setup.ACTPASS)
    assert (media.ice_ufrag, media.ice_pwd) == ("RYm+", "8j8kU+0SC432sWaJKdrC0oJo")
    assert [fingerprint.algorithm for fingerprint in media.fingerprints] == ["sha-256"]
    assert (media.sctp_port, media.max_message_size) == (5000, 262144)
    assert media.tls_id is None
    assert not media.end_of_candidates
    assert len(media.candidates) == 2
    assert media.candidates[0].startswith("candidate:2504782512 1 udp ")
    assert captured("firefox_data_offer").media[0].end_of_candidates


def test_the_sctp_port_of_the_drafts() -> None:
    media = captured("legacy_plan_b_offer").media[2]
    assert media.sctp_map == SctpMap(5000, "webrtc-datachannel", 1024)
    assert (media.sctp_port, media.max_message_size) == (5000, None)
    assert section("application", "DTLS/SCTP", "5001").sctp_port == 5001
    assert section("application", "UDP/DTLS/SCTP", "webrtc-datachannel").sctp_port is None
    assert section("application", "DTLS/SCTP", "65536").sctp_port is None
    assert section("application", "DTLS/SCTP", "9" * 5000).sctp_port is None
    assert section("audio", "RTP/AVP", "0").sctp_port is None


def test_the_media_of_a_video_section() -> None:
    media = captured("chromium_simulcast_offer").media[0]
    assert media.rtp_maps[96] == RtpMap(96, "VP8", 90000)
    assert list(media.rtp_maps) == [int(name) for name in media.formats]
    assert media.format_parameters["97"] == FormatParameters("97", "apt=96")
    assert RtcpFeedback(96, "nack pli") in media.rtcp_feedback
    assert HeaderExtension(9, "urn:ietf:params:rtp-hdrext:sdes:mid") in media.header_extensions
    assert media.rids == [Rid("hi", "send"), Rid("mid", "send"), Rid("lo", "send")]
    assert media.simulcast == Simulcast(((Layer("hi"),), (Layer("mid"),), (Layer("lo"),)))
    assert (media.rtcp_mux, media.rtcp_rsize) == (True, True)
    assert len(media.msids) == 1


def test_the_sources_of_a_plan_b_section() -> None:
    audio, video, _ = captured("legacy_plan_b_offer").media
    assert SourceAttribute(1001, "msid", "stream1 a1") in audio.source_attributes
    assert video.source_groups == [SourceGroup("SIM", (2001, 2002, 2003)), SourceGroup("FID", (2001, 2004))]
    assert RtcpFeedback(None, "ccm fir") in video.rtcp_feedback
    assert (audio.ptime, audio.maxptime, audio.simulcast, audio.msids) == (None, 60, None, [])


def test_what_no_browser_writes() -> None:
    audio = captured("gateway_offer").media[1]
    assert (audio.port, audio.port_count) == (49170, 2)
    assert (audio.ptime, audio.maxptime) == (20, 62.5)
    assert audio.rtcp_mux
    assert audio.rtp_maps[96].channels == 2
    assert (audio.get("X-unknown"), audio.get("X-empty")) == ("", "")
    assert [line.type for line in audio.fields] == ["i", "c", "b"]


def test_a_stream_and_a_track_by_their_names() -> None:
    media = captured("firefox_media_offer").media[0]
    (msid,) = media.msids
    assert media.get_all(Msid.NAME) == [str(msid)]
    assert msid.track.startswith("{")


@pytest.mark.parametrize("direction", Direction)
def test_setting_a_direction_keeps_its_place_and_leaves_no_other(direction: Direction) -> None:
    media = section()
    assert media.direction is None
    media.add(Attribute("x"), Attribute("sendonly"), Attribute("y"), Attribute("recvonly"))
    media.set_direction(direction)
    assert [str(attribute) for attribute in media.attributes] == ["x", direction.value, "y"]
    assert media.direction is direction


def test_setting_a_direction_where_none_is_appends_it() -> None:
    media = section()
    media.add(Attribute("x"))
    media.set_direction(Direction.RECVONLY)
    assert [str(attribute) for attribute in media.attributes] == ["x", "recvonly"]
