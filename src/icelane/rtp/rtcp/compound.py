"""RTCP datagrams: packets one behind the other (RFC 3550 section 6.1), in any order and number (RFC 5506)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, assert_never

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp.extended_report import ExtendedReport, encode_extended_report, parse_extended_report
from icelane.rtp.rtcp.feedback import (
    APPLICATION_LAYER,
    FULL_INTRA_REQUEST,
    GENERIC_NACK,
    PICTURE_LOSS,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    encode_estimated_bitrate,
    encode_full_intra_request,
    encode_nack,
    encode_picture_loss,
    is_estimated_bitrate,
    parse_estimated_bitrate,
    parse_full_intra_request,
    parse_nack,
    parse_picture_loss,
)
from icelane.rtp.rtcp.record import HEADER_SIZE, PacketType, UnknownRtcp, encode_packet
from icelane.rtp.rtcp.report import (
    ReceiverReport,
    SenderReport,
    encode_receiver_report,
    encode_sender_report,
    parse_receiver_report,
    parse_sender_report,
)
from icelane.rtp.rtcp.source_description import (
    Bye,
    SourceDescription,
    encode_bye,
    encode_source_description,
    parse_bye,
    parse_source_description,
)
from icelane.rtp.rtcp.transport_feedback import (
    TRANSPORT_WIDE,
    TransportFeedback,
    encode_transport_feedback,
    parse_transport_feedback,
)

# A datagram of more does not parse, and is not built: 64 of the smallest packets that mean something have 768 bytes.
MAX_PACKETS: Final = 64

RtcpPacket: TypeAlias = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Bye
    | Nack
    | PictureLossIndication
    | FullIntraRequest
    | ReceiverEstimatedMaximumBitrate
    | TransportFeedback
    | ExtendedReport
    | UnknownRtcp
)
"""Whatever a datagram of RTCP may hold."""


def parse_rtcp(data: bytes) -> list[RtcpPacket]:
    """The packets of a datagram, at least one; those that are not read here are UnknownRtcp.

    Raises MalformedError when it is empty, holds more than MAX_PACKETS, or when one packet of it lies about its length,
    its count or its padding: then none of them counts.
    """
    packets: list[RtcpPacket] = []
    size = len(data)
    position = 0
    while position < size or not packets:
        if len(packets) == MAX_PACKETS:
            raise MalformedError(f"more than {MAX_PACKETS} RTCP packets in a datagram")
        if size - position < HEADER_SIZE:
            raise MalformedError(f"{size - position} bytes are too short for an RTCP header")
        first = data[position]
        end = position + HEADER_SIZE + 4 * (data[position + 2] << 8 | data[position + 3])
        if first >> 6 != 2:
            raise MalformedError(f"RTCP of version {first >> 6}")
        if end > size:
            raise MalformedError(f"an RTCP packet that ends at {end} in {size} bytes")
        body = data[position + HEADER_SIZE : end]
        if first & 0x20:
            # libwebrtc fills transport-wide feedback up to whole words with 1 to 3 bytes that it calls padding.
            is_filled = data[position + 1] == PacketType.TRANSPORT_FEEDBACK
            body = _without_padding(body, any_length=is_filled, anywhere=is_filled or end == size)
        packets.append(_parse_packet(data[position + 1], first & 0x1F, body))
        position = end
    return packets


def _without_padding(body: bytes, *, any_length: bool, anywhere: bool) -> bytes:
    # RFC 3550 section 6.4.1: only what stands last may be padded, and by whole words.
    padding = body[-1] if body else 0
    if not anywhere or padding == 0 or (padding & 3 and not any_length) or padding > len(body):
        raise MalformedError(f"{padding} bytes of padding in {len(body)}")
    return body[:-padding]


def _parse_packet(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    if packet_type == PacketType.SENDER_REPORT:
        return parse_sender_report(count, body)
    if packet_type == PacketType.RECEIVER_REPORT:
        return parse_receiver_report(count, body)
    if packet_type == PacketType.SOURCE_DESCRIPTION:
        return parse_source_description(count, body)
    if packet_type == PacketType.BYE:
        return parse_bye(count, body)
    if packet_type == PacketType.TRANSPORT_FEEDBACK:
        return _parse_transport_layer(count, body)
    if packet_type == PacketType.PAYLOAD_FEEDBACK:
        return _parse_payload_specific(count, body)
    if packet_type == PacketType.EXTENDED_REPORT:
        return parse_extended_report(body)
    return UnknownRtcp(packet_type, count, body)


def _parse_transport_layer(feedback_format: int, body: bytes) -> RtcpPacket:
    if feedback_format == GENERIC_NACK:
        return parse_nack(body)
    if feedback_format == TRANSPORT_WIDE:
        return parse_transport_feedback(body)
    return UnknownRtcp(PacketType.TRANSPORT_FEEDBACK, feedback_format, body)


def _parse_payload_specific(feedback_format: int, body: bytes) -> RtcpPacket:
    if feedback_format == PICTURE_LOSS:
        return parse_picture_loss(body)
    if feedback_format == FULL_INTRA_REQUEST:
        return parse_full_intra_request(body)
    if feedback_format == APPLICATION_LAYER and is_estimated_bitrate(body):
        return parse_estimated_bitrate(body)
    return UnknownRtcp(PacketType.PAYLOAD_FEEDBACK, feedback_format, body)


def serialize_rtcp(packets: Iterable[RtcpPacket]) -> bytes:
    """One datagram of `packets`, in their order.

    Raises InvalidAccessError when there are none or more than MAX_PACKETS, or when a value does not fit into its field.
    """
    encoded = [_encode_packet(packet) for packet in packets]
    if not 1 <= len(encoded) <= MAX_PACKETS:
        raise InvalidAccessError(f"{len(encoded)} RTCP packets in one datagram")
    return b"".join(encoded)


def _encode_packet(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            return encode_sender_report(packet)
        case ReceiverReport():
            return encode_receiver_report(packet)
        case SourceDescription():
            return encode_source_description(packet)
        case Bye():
            return encode_bye(packet)
        case Nack():
            return encode_nack(packet)
        case PictureLossIndication():
            return encode_picture_loss(packet)
        case FullIntraRequest():
            return encode_full_intra_request(packet)
        case ReceiverEstimatedMaximumBitrate():
            return encode_estimated_bitrate(packet)
        case TransportFeedback():
            return encode_transport_feedback(packet)
        case ExtendedReport():
            return encode_extended_report(packet)
        case UnknownRtcp():
            return encode_packet(packet.packet_type, packet.count, packet.body)
    assert_never(packet)
