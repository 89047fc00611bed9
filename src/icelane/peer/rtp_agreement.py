"""What two sections of media, ours and the peer's, come to."""

from __future__ import annotations

from icelane.media.codec import NegotiatedCodec
from icelane.media.codecs.matching import matches
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.rtp_section import (
    read_formats,
    read_max_bitrate,
    read_sources,
    with_common_feedback,
)
from icelane.rtp.header_extension import MAX_TWO_BYTE_ID
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import Direction

_READS = (None, Direction.SENDRECV, Direction.RECVONLY)
_WRITES = (None, Direction.SENDRECV, Direction.SENDONLY)


def agree_on_media(mid: str, local: MediaDescription, remote: MediaDescription, *, we_answer: bool) -> RtpParameters:
    """The parameters of one section after an exchange. Both sides prefer what is first in the answer."""
    mine, theirs = read_formats(local), read_formats(remote)
    pairs = _pairs(mine, theirs) if we_answer else [(one, other) for other, one in _pairs(theirs, mine)]
    return RtpParameters(
        mid=mid,
        send_codecs=tuple(_named(their, my) for my, their in pairs),
        receive_codecs=tuple(_named(my, their) for my, their in pairs),
        send_extensions=_extensions(remote, local),
        receive_extensions=_extensions(local, remote),
        reduced_size=local.rtcp_rsize and remote.rtcp_rsize,
        max_bitrate=read_max_bitrate(remote),
        packet_time=remote.ptime,
        max_packet_time=remote.maxptime,
        remote_sources=read_sources(remote),
    )


def _pairs(
    answer: tuple[NegotiatedCodec, ...], offer: tuple[NegotiatedCodec, ...]
) -> list[tuple[NegotiatedCodec, NegotiatedCodec]]:
    """The formats of both sides that are one codec, in the order of the answer; those of one number go together."""
    left = list(offer)
    pairs = []
    for answered in answer:
        same = [offered for offered in left if matches(offered.codec, answered.codec)]
        same.sort(key=lambda offered: offered.payload_type != answered.payload_type)
        if same:
            left.remove(same[0])
            pairs.append((answered, same[0]))
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
    number_by_uri: dict[str, int] = {}
    for one in reader.header_extensions:
        is_read = one.direction in _READS and one.uri in written and 1 <= one.id <= MAX_TWO_BYTE_ID
        if is_read and one.id not in number_by_uri.values():
            number_by_uri.setdefault(one.uri, one.id)
    return tuple((number, uri) for uri, number in number_by_uri.items())
