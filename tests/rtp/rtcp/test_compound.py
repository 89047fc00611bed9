from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import (
    MAX_PACKETS,
    Bye,
    PictureLossIndication,
    ReceiverReport,
    RtcpPacket,
    TransportFeedback,
    UnknownRtcp,
    parse_rtcp,
    serialize_rtcp,
)

REPORT = bytes.fromhex("80c90001 00000001")
LOSS = bytes.fromhex("81ce0002 00000001 00000002")


def test_packets_stand_one_behind_the_other() -> None:
    packets: list[RtcpPacket] = [ReceiverReport(1), PictureLossIndication(1, 2)]
    assert serialize_rtcp(packets) == REPORT + LOSS
    assert parse_rtcp(REPORT + LOSS) == packets


def test_feedback_may_stand_alone_or_first() -> None:
    """RFC 5506."""
    assert parse_rtcp(LOSS) == [PictureLossIndication(1, 2)]
    assert parse_rtcp(LOSS + REPORT) == [PictureLossIndication(1, 2), ReceiverReport(1)]


@pytest.mark.parametrize(
    "data",
    [
        "84cc0001 6e616d65",  # APP
        "82cd0002 00000001 00000002",  # transport feedback of another format
        "83ce0002 00000001 00000002",  # payload feedback of another format
        "8fce0003 00000001 00000002 58585858",  # application layer feedback that is not REMB
        "80d00000",
        "80c00001 00000000",
    ],
)
def test_what_is_not_known_is_kept_by_its_length(data: str) -> None:
    raw = bytes.fromhex(data)
    unknown = UnknownRtcp(raw[1], raw[0] & 0x1F, raw[4:])
    assert parse_rtcp(REPORT + raw + LOSS) == [ReceiverReport(1), unknown, PictureLossIndication(1, 2)]
    assert serialize_rtcp([unknown]) == raw


def test_padding_of_the_last_packet_is_taken_off() -> None:
    padded = bytes((LOSS[0] | 0x20,)) + LOSS[1:3] + b"\x04" + LOSS[4:] + b"\0\0\0\0\0\0\0\x08"
    assert parse_rtcp(REPORT + padded) == [ReceiverReport(1), PictureLossIndication(1, 2)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(REPORT[:3], id="header cut"),
        pytest.param(REPORT + LOSS[:3], id="second header cut"),
        pytest.param(REPORT[:-1], id="shorter than it says"),
        pytest.param(REPORT + LOSS[:-4], id="second one shorter than it says"),
        pytest.param(b"\x80\xc9\xff\xff" + bytes(100), id="65,535 words"),
        pytest.param(b"\x40" + REPORT[1:], id="version 1"),
        pytest.param(REPORT + b"\x00" + LOSS[1:], id="second one of version 0"),
        pytest.param(b"\xa0" + REPORT[1:4] + b"\0\0\0\x04" + LOSS, id="padding before the last"),
        pytest.param(b"\xa0\xc9\x00\x00", id="padding without a byte"),
        pytest.param(b"\xa0\xc9\x00\x01\0\0\0\0", id="padding of no length"),
        pytest.param(b"\xa0\xc9\x00\x02" + bytes(7) + b"\x03", id="padding of no whole words"),
        pytest.param(b"\xa0\xc9\x00\x01\0\0\0\x08", id="padding longer than the packet"),
        pytest.param(b"\x80\xc9\x00\x00", id="report without a source"),
        pytest.param(b"\x81\xc9\x00\x01\0\0\0\1", id="report without its block"),
        pytest.param(b"\x9f\xc8\x00\x06" + bytes(24), id="31 blocks that are not there"),
        pytest.param(REPORT * (MAX_PACKETS + 1), id="more packets than are taken"),
    ],
)
def test_a_lie_about_a_length_refuses_the_whole_datagram(data: bytes) -> None:
    """SR-5: compound lies."""
    with pytest.raises(MalformedError):
        parse_rtcp(data)


def test_as_many_packets_as_are_taken_are_built() -> None:
    reports: list[RtcpPacket] = [ReceiverReport(1)] * MAX_PACKETS
    assert parse_rtcp(serialize_rtcp(reports)) == reports
    for wrong in ([], reports + reports[:1]):
        with pytest.raises(InvalidAccessError):
            serialize_rtcp(wrong)


@pytest.mark.parametrize(
    "packet",
    [
        UnknownRtcp(204, 32, b""),
        UnknownRtcp(256, 0, b""),
        UnknownRtcp(204, 0, b"abc"),
        UnknownRtcp(204, 0, bytes(4 << 16)),
        ReceiverReport(1 << 32),
        PictureLossIndication(-1, 0),
        Bye((1 << 32,)),
    ],
)
def test_what_does_not_fit_is_refused(packet: RtcpPacket) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([packet])


@given(st.binary(max_size=80))
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    """SR-5."""
    for head in (
        b"",
        b"\x81\xc8\x00\x06",
        b"\x82\xca\x00\x05",
        b"\x81\xcd\x00\x04",
        b"\x8f\xcd\x00\x06",
        b"\x8f\xce\x00\x06",
    ):
        try:
            assert parse_rtcp(head + data)
        except MalformedError:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "afcd0007324f17abe3e7a23c000e00080a878a032008be0006534d1f00000002",
        "afcd0006324f17ab2819c51e001600030a878b042003b5514f000003",
        "afcd0006324f17ab2819c51e001900050a878c052005a4511f003201",
    ],
)
def test_feedback_of_chromium_is_filled_up_by_what_it_calls_padding(text: str) -> None:
    """Captured; alone, and before another packet."""
    data = bytes.fromhex(text)
    (feedback,) = parse_rtcp(data)
    assert isinstance(feedback, TransportFeedback)
    assert parse_rtcp(data + REPORT)[0] == feedback
