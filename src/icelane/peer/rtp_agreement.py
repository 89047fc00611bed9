"""What two sections of media, ours and the peer's, come to."""

from __future__ import annotations


from icelane.media.codec import NegotiatedCodec
from icelane.media.codec_match import is_same_codec
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.rtp_section import (
    read_formats,
    read_max_bitrate,
    read_sources,
    read_stream_identifiers,
    with_common_feedback,
)
from icelane.rtp.packet import MAX_ONE_BYTE_ID
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import Direction, HeaderExtension

_READS = (None, Direction.SENDRECV, Direction.RECVONLY)
_WRITES = (None, Direction.SENDRECV, Direction.SENDONLY)


def agree_on_media(mid: str, local: MediaDescription, remote: MediaDescription) -> RtpParameters:
    """The parameters of one section after an exchange."""
    pairs = _pairs(read_formats(local), read_formats(remote))
    return RtpParameters(
        mid=mid,
        send_codecs=tuple(_named(theirs, mine) for mine, theirs in pairs),
        receive_codecs=tuple(_named(mine, theirs) for mine, theirs in pairs),
        send_extensions=_extensions(remote, local),
        receive_extensions=_extensions(local, remote),
        reduced_size=local.rtcp_rsize and remote.rtcp_rsize,
        max_bitrate=read_max_bitrate(remote),
        packet_time=remote.ptime,
        max_packet_time=remote.maxptime,
        remote_sources=read_sources(remote),
        stream_identifiers=read_stream_identifiers(remote),
    )


def _pairs(
    local: tuple[NegotiatedCodec, ...], remote: tuple[NegotiatedCodec, ...]
) -> list[tuple[NegotiatedCodec, NegotiatedCodec]]:
    """The formats of both sides that are one codec, in the order of the peer's; those of one number go together."""
    left = list(local)
    pairs = []
    for theirs in remote:
        same = [mine for mine in left if is_same_codec(mine.codec, theirs.codec)]
        same.sort(key=lambda mine: mine.payload_type != theirs.payload_type)
        if same:
            left.remove(same[0])
            pairs.append((same[0], theirs))
    return pairs


def _named(one: NegotiatedCodec, other: NegotiatedCodec) -> NegotiatedCodec:
    """`one` with what `other` has as well."""
    return NegotiatedCodec(
        codec=with_common_feedback(one.codec, of=other.codec),
        payload_type=one.payload_type,
        rtx_payload_type=None if other.rtx_payload_type is None else one.rtx_payload_type,
    )


def _extensions(reader: MediaDescription, writer: MediaDescription) -> tuple[tuple[int, str], ...]:
    """Those that `reader` reads, by its numbers, and `writer` writes."""
    written = {one.uri for one in writer.header_extensions if one.direction in _WRITES}
    read: dict[int, HeaderExtension] = {}
    for one in reader.header_extensions:
        if one.direction in _READS and one.uri in written and one.id <= MAX_ONE_BYTE_ID:
            read.setdefault(one.id, one)
    return tuple((number, one.uri) for number, one in read.items())
