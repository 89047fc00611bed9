"""Codecs, feedback, header extensions, sources and layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icelane.errors import MalformedError
from icelane.sdp.attribute import TypedAttribute
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
    parse_format_parameters,
    parse_header_extension,
    parse_milliseconds,
    parse_msid,
    parse_rid,
    parse_rtcp_feedback,
    parse_rtcp_port,
    parse_rtp_map,
    parse_simulcast,
    parse_source_attribute,
    parse_source_group,
)

URI = "urn:ietf:params:rtp-hdrext:sdes:mid"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_rtp_map, "111 opus/48000/2", RtpMap(111, "opus", 48000, 2)),
        (parse_rtp_map, "0 PCMU/8000", RtpMap(0, "PCMU", 8000)),
        (parse_rtp_map, "127 x/4294967295", RtpMap(127, "x", 2**32 - 1)),
        (parse_format_parameters, "111 minptime=10;x=1", FormatParameters("111", "minptime=10;x=1")),
        (parse_format_parameters, "126 0-15", FormatParameters("126", "0-15")),
        (parse_format_parameters, "63 111/111", FormatParameters("63", "111/111")),
        (parse_format_parameters, "101", FormatParameters("101", "")),
        (parse_rtcp_feedback, "96 nack pli", RtcpFeedback(96, "nack pli")),
        (parse_rtcp_feedback, "* ccm fir", RtcpFeedback(None, "ccm fir")),
        (parse_header_extension, f"4 {URI}", HeaderExtension(4, URI)),
        (parse_header_extension, f"3/sendonly {URI}", HeaderExtension(3, URI, Direction.SENDONLY)),
        (parse_header_extension, f"4350/inactive {URI} a b", HeaderExtension(4350, URI, Direction.INACTIVE, "a b")),
        (parse_msid, "stream track", Msid("stream", "track")),
        (parse_msid, "-", Msid("-")),
        (parse_msid, "{a-b} {c-d}", Msid("{a-b}", "{c-d}")),
        (parse_source_attribute, "1 cname:a:b c", SourceAttribute(1, "cname", "a:b c")),
        (parse_source_attribute, "4294967295 x", SourceAttribute(2**32 - 1, "x")),
        (parse_source_attribute, "1 x:", SourceAttribute(1, "x", "")),
        (parse_source_group, "FID 1 2", SourceGroup("FID", (1, 2))),
        (parse_source_group, "SIM", SourceGroup("SIM", ())),
        (parse_rid, "hi send", Rid("hi", "send")),
        (parse_rid, "1 recv pt=96;max-width=1280", Rid("1", "recv", "pt=96;max-width=1280")),
        (parse_simulcast, "send hi;mid;lo", Simulcast(((Layer("hi"),), (Layer("mid"),), (Layer("lo"),)))),
        (
            parse_simulcast,
            "send 1,~4;2 recv ~c",
            Simulcast(((Layer("1"), Layer("4", True)), (Layer("2"),)), ((Layer("c", True),),)),
        ),
    ],
)  # fmt: skip
def test_what_is_parsed_prints_as_it_was(
    parse: Callable[[str], TypedAttribute], text: str, value: TypedAttribute
) -> None:
    assert parse(text) == value
    assert str(value) == text
    assert str(value.to_attribute()) == f"{value.NAME}:{text}"


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_rtp_map, ""),
        (parse_rtp_map, "111"),
        (parse_rtp_map, "111 opus"),
        (parse_rtp_map, "111 opus/"),
        (parse_rtp_map, "111 opus/0"),
        (parse_rtp_map, "111 opus/48000/0"),
        (parse_rtp_map, "111 opus/48000/2/1"),
        (parse_rtp_map, "128 opus/48000"),
        (parse_rtp_map, "-1 opus/48000"),
        (parse_rtp_map, "1 /48000"),
        (parse_rtp_map, "1 opus/4294967296"),
        (parse_format_parameters, ""),
        (parse_format_parameters, " x=1"),
        (parse_rtcp_feedback, ""),
        (parse_rtcp_feedback, "96"),
        (parse_rtcp_feedback, "96 "),
        (parse_rtcp_feedback, "** nack"),
        (parse_rtcp_feedback, "128 nack"),
        (parse_header_extension, ""),
        (parse_header_extension, "1"),
        (parse_header_extension, f"0 {URI}"),
        (parse_header_extension, f"4352 {URI}"),
        (parse_header_extension, f"1/ {URI}"),
        (parse_header_extension, f"1/both {URI}"),
        (parse_msid, ""),
        (parse_msid, "a b c"),
        (parse_source_attribute, ""),
        (parse_source_attribute, "1"),
        (parse_source_attribute, "1 :x"),
        (parse_source_attribute, "4294967296 cname:x"),
        (parse_source_group, ""),
        (parse_source_group, "FID -1"),
        (parse_source_group, "FID" + " 1" * 65),
        (parse_rid, ""),
        (parse_rid, "hi"),
        (parse_rid, "hi both"),
        (parse_rid, "h/i send"),
        (parse_rid, "x" * 256 + " send"),
        (parse_simulcast, ""),
        (parse_simulcast, "send"),
        (parse_simulcast, "send a send b"),
        (parse_simulcast, "both a"),
        (parse_simulcast, "send a;;b"),
        (parse_simulcast, "send ~"),
        (parse_simulcast, "send ~~a"),
        (parse_simulcast, "send rid=a;b"),
        (parse_simulcast, "send " + ";".join("a" * 65)),
        (parse_milliseconds, ""),
        (parse_milliseconds, "0"),
        (parse_milliseconds, "0.0"),
        (parse_milliseconds, "-20"),
        (parse_milliseconds, "1e9"),
        (parse_milliseconds, "inf"),
        (parse_milliseconds, "nan"),
        (parse_milliseconds, "20 "),
        (parse_milliseconds, "\u0662"),
        (parse_rtcp_port, ""),
        (parse_rtcp_port, "65536"),
        (parse_rtcp_port, "9 IN IP4"),
    ],
)
def test_anything_else_is_malformed(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(MalformedError):
        parse(text)


def test_parameters_of_a_format_are_pairs_with_names_in_lower_case() -> None:
    parse = parse_format_parameters
    assert parse("96 Apt=97; X-y=A=b ;flag;;=z").parameters == {"apt": "97", "x-y": "A=b", "flag": ""}
    assert parse("126 0-15").parameters == {"0-15": ""}


def test_milliseconds_may_have_a_fraction() -> None:
    assert parse_milliseconds("20") == 20
    assert parse_milliseconds("2.5") == 2.5


def test_of_the_rtcp_line_the_port_counts() -> None:
    assert parse_rtcp_port("9 IN IP4 0.0.0.0") == parse_rtcp_port("9") == 9
