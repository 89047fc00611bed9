"""Feedback about packets and pictures: NACK, PLI (RFC 4585), FIR (RFC 5104), and REMB (draft-alvestrand-rmcat-remb-03).

+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|V=2|P|   FMT   |       PT      |          length               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                  SSRC of packet sender                        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                  SSRC of media source                         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
:            Feedback Control Information (FCI)                 :
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.reader import Reader
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp.record import PacketType, encode_packet, encode_uint32s

GENERIC_NACK: Final = 1
PICTURE_LOSS: Final = 1
FULL_INTRA_REQUEST: Final = 4
APPLICATION_LAYER: Final = 15

# Pairs of PID and BLP, each of up to 17 packets: 4,352 packets, more than any browser keeps to send again, and what a
# datagram of 1,036 bytes can ask for. A longer list does not parse; one that is to be sent is for several packets.
MAX_NACK_PAIRS: Final = 256
# One for each stream that a peer may send; a longer list does not parse.
MAX_INTRA_REQUESTS: Final = 64
# The count of SSRCs in REMB has eight bits.
MAX_BITRATE_SSRCS: Final = 255

_REMB: Final = b"REMB"
_MANTISSA_BITS: Final = 18


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that `sender_ssrc` has not got of `media_ssrc`: sequence numbers in the order of the wire."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PictureLossIndication:
    """A picture of `media_ssrc` could not be decoded: a key frame would help."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """Key frames are asked for: pairs of a media SSRC and a number that stays the same when a request is repeated."""

    sender_ssrc: int
    requests: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ReceiverEstimatedMaximumBitrate:
    """What `media_ssrcs` together may take on the way to us, in bit/s; the wire keeps the first 18 bits of it."""

    sender_ssrc: int
    bitrate: int
    media_ssrcs: tuple[int, ...] = ()


def parse_nack(body: bytes) -> Nack:
    """A generic NACK (RFC 4585 section 6.2.1). Raises MalformedError, also for a list that is empty or too long."""
    reader = Reader(body)
    sender, media = reader.uint32(), reader.uint32()
    pairs, rest = divmod(reader.remaining, 4)
    if not 1 <= pairs <= MAX_NACK_PAIRS or rest:
        raise MalformedError(f"a NACK with {reader.remaining} bytes of packets")
    lost: list[int] = []
    for _ in range(pairs):
        packet_id, bitmask = reader.uint16(), reader.uint16()
        lost.append(packet_id)
        lost += [packet_id + 1 + bit & 0xFFFF for bit in range(16) if bitmask >> bit & 1]
    return Nack(sender, media, tuple(lost))


def encode_nack(nack: Nack) -> bytes:
    """The packet: numbers that follow each other within 16 share a pair. Raises InvalidAccessError."""
    pairs: list[list[int]] = []
    for number in nack.lost:
        distance = number - pairs[-1][0] & 0xFFFF if pairs else 0
        # A bit below the last one would stand before it when the list is read.
        if 1 <= distance <= 16 and pairs[-1][1] < 1 << distance - 1:
            pairs[-1][1] |= 1 << distance - 1
        else:
            pairs.append([number & 0xFFFF, 0])
    if not 1 <= len(pairs) <= MAX_NACK_PAIRS:
        raise InvalidAccessError(f"{len(nack.lost)} lost packets do not fit into one NACK")
    body = b"".join([first.to_bytes(2, "big") + bitmask.to_bytes(2, "big") for first, bitmask in pairs])
    return _encode(PacketType.TRANSPORT_FEEDBACK, GENERIC_NACK, nack.sender_ssrc, nack.media_ssrc, body)


def parse_picture_loss(body: bytes) -> PictureLossIndication:
    """A PLI (RFC 4585 section 6.3.1). Raises MalformedError, also when it has control information."""
    reader = Reader(body)
    sender, media = reader.uint32(), reader.uint32()
    if reader.remaining:
        raise MalformedError(f"a picture loss indication with {reader.remaining} bytes too many")
    return PictureLossIndication(sender, media)


def encode_picture_loss(loss: PictureLossIndication) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    return _encode(PacketType.PAYLOAD_FEEDBACK, PICTURE_LOSS, loss.sender_ssrc, loss.media_ssrc, b"")


def parse_full_intra_request(body: bytes) -> FullIntraRequest:
    """A FIR (RFC 5104 section 4.3.1). Raises MalformedError, also for a list that is empty or too long."""
    reader = Reader(body)
    sender = reader.uint32()
    reader.skip(4)  # the SSRC of the media source is not used
    count, rest = divmod(reader.remaining, 8)
    if not 1 <= count <= MAX_INTRA_REQUESTS or rest:
        raise MalformedError(f"a full intra request with {reader.remaining} bytes of sources")
    return FullIntraRequest(sender, tuple([(reader.uint32(), reader.uint32() >> 24) for _ in range(count)]))


def encode_full_intra_request(request: FullIntraRequest) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    if not 1 <= len(request.requests) <= MAX_INTRA_REQUESTS:
        raise InvalidAccessError(f"{len(request.requests)} sources in one full intra request")
    body = b"".join([encode_uint32s(ssrc, (number & 0xFF) << 24) for ssrc, number in request.requests])
    return _encode(PacketType.PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST, request.sender_ssrc, 0, body)


def is_estimated_bitrate(body: bytes) -> bool:
    """Whether an application layer message is REMB."""
    return body[8:12] == _REMB


def parse_estimated_bitrate(body: bytes) -> ReceiverEstimatedMaximumBitrate:
    """A REMB. Raises MalformedError."""
    reader = Reader(body)
    sender = reader.uint32()
    reader.skip(8)  # no media source, and the identifier
    count = reader.uint8()
    head = reader.take(3)
    bitrate = ((head[0] & 0x03) << 16 | head[1] << 8 | head[2]) << (head[0] >> 2)
    if reader.remaining != 4 * count:
        raise MalformedError(f"{count} sources in {reader.remaining} bytes of a REMB")
    return ReceiverEstimatedMaximumBitrate(sender, bitrate, tuple([reader.uint32() for _ in range(count)]))


def encode_estimated_bitrate(estimate: ReceiverEstimatedMaximumBitrate) -> bytes:
    """The packet; the bitrate is rounded down to 18 bits. Raises InvalidAccessError when something does not fit."""
    if len(estimate.media_ssrcs) > MAX_BITRATE_SSRCS:
        raise InvalidAccessError(f"{len(estimate.media_ssrcs)} sources in one REMB")
    exponent = max(estimate.bitrate.bit_length() - _MANTISSA_BITS, 0)
    if estimate.bitrate < 0 or exponent > 63:
        raise InvalidAccessError(f"a bitrate of {estimate.bitrate}")
    value = len(estimate.media_ssrcs) << 24 | exponent << _MANTISSA_BITS | estimate.bitrate >> exponent
    body = _REMB + encode_uint32s(value, *estimate.media_ssrcs)
    return _encode(PacketType.PAYLOAD_FEEDBACK, APPLICATION_LAYER, estimate.sender_ssrc, 0, body)


def _encode(packet_type: PacketType, feedback_format: int, sender: int, media: int, body: bytes) -> bytes:
    return encode_packet(packet_type, feedback_format, encode_uint32s(sender, media) + body)
