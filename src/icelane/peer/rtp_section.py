"""A section of audio or video: how ours is written, and what the peer's says (RFC 9429 section 5.2.1).

    m=video 9 UDP/TLS/RTP/SAVPF 96 97
    a=rtcp:9 IN IP4 0.0.0.0
    a=mid:1
    a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
    a=sendrecv
    a=msid:stream track
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:96 VP8/90000
    a=rtcp-fb:96 nack pli
    a=rtpmap:97 rtx/90000
    a=fmtp:97 apt=96
    a=ssrc-group:FID 2231627014 632943048
    a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6

The lines about SSRCs are for peers that cannot tell streams apart by header extensions, such as aiortc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from icelane.media.codec import RTX, MediaKind, NegotiatedCodec, RtpCodec
from icelane.peer.media_section import LocalTransport, transport_attributes
from icelane.peer.payload_type import STATIC_CODECS
from icelane.peer.rtp_parameters import RemoteSource
from icelane.peer.transceiver import RtpSender
from icelane.sdp.attribute import Attribute, TypedAttribute
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import (
    Direction,
    FormatParameters,
    HeaderExtension,
    Msid,
    RtcpFeedback,
    RtpMap,
    SourceAttribute,
    SourceGroup,
)

RTP_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"
# RFC 8830 section 2: a track that is in no stream.
NO_STREAM: Final = "-"

# What is read of one section of the peer's; what is beyond is not looked at. Nobody who is honest has more: a track is
# in a stream or two, and Plan B, which put all streams of a call into one section, is no more.
MAX_STREAM_IDS: Final = 8
MAX_REMOTE_SOURCES: Final = 16

_RETRANSMISSION_GROUP: Final = "FID"
_MAX_BANDWIDTH_DIGITS: Final = 10
_BITS_BY_MODIFIER: Final = {"TIAS": 1, "AS": 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpSection:
    """What a section of ours says besides its transport. `mid` is None in answers to those who have none.

    `names_streams` says that we would send, if the peer let us, or have sent before: RFC 9429 section 5.2.1 goes by
    what is wanted, and by section 5.2.2 a track that was named keeps its name.
    """

    kind: MediaKind
    mid: str | None
    direction: Direction
    formats: tuple[NegotiatedCodec, ...]
    extensions: tuple[HeaderExtension, ...]
    sender: RtpSender
    cname: str
    names_streams: bool
    protocol: str = RTP_PROTOCOL
    allows_mixed: bool = True
    reduced_size: bool = True


def write_rtp_section(section: RtpSection, transport: LocalTransport) -> MediaDescription:
    """The section, on the port of all sections that are alive."""
    numbers = [str(number) for number in payload_types(section.formats)]
    written = MediaDescription(kind=section.kind.value, protocol=section.protocol, formats=numbers)
    written.add(Attribute("rtcp", "9 IN IP4 0.0.0.0"))
    written.add(*transport_attributes(transport))
    if section.mid is not None:
        written.add(Attribute("mid", section.mid))
    written.add(*section.extensions)
    if section.allows_mixed:
        written.add(Attribute("extmap-allow-mixed"))
    written.add(Attribute(section.direction.value))
    if section.names_streams:
        written.add(*_msids(section.sender))
    written.add(Attribute("rtcp-mux"))
    if section.reduced_size:
        written.add(Attribute("rtcp-rsize"))
    for one in section.formats:
        written.add(*_format_lines(one))
    if section.names_streams:
        # Also while nothing is sent: Chromium lets a source go that is not named any more, and shows it nowhere when it
        # is named again.
        written.add(*_source_lines(section))
    return written


def payload_types(formats: Sequence[NegotiatedCodec]) -> list[int]:
    """All numbers, each codec's retransmission behind it."""
    both = [(one.payload_type, one.rtx_payload_type) for one in formats]
    return [number for pair in both for number in pair if number is not None]


def read_formats(section: MediaDescription) -> tuple[NegotiatedCodec, ...]:
    """The codecs of a section in the order of its `m=` line, their retransmissions beside them.

    A number without a codec, and one that is written a second time, are left out.
    """
    codecs = dict(_read_codecs(section))
    rtx_by_number: dict[str, int] = {}
    for number, codec in codecs.items():
        if codec.name.lower() == RTX:
            rtx_by_number.setdefault(codec.parameter("apt"), number)
    return tuple(
        NegotiatedCodec(codec=codec, payload_type=number, rtx_payload_type=rtx_by_number.get(str(number)))
        for number, codec in codecs.items()
        if codec.name.lower() != RTX
    )


def read_stream_ids(section: MediaDescription) -> tuple[str, ...]:
    """The streams of the peer's that the track is in."""
    found = [msid.stream for msid in _read_msids(section)]
    return tuple(dict.fromkeys(one for one in found if one != NO_STREAM))[:MAX_STREAM_IDS]


def read_track_id(section: MediaDescription) -> str | None:
    """What the peer calls the track, None when it does not say."""
    return next((msid.track for msid in _read_msids(section) if msid.track), None)


def read_sources(section: MediaDescription) -> tuple[RemoteSource, ...]:
    """The streams that the section names by SSRC, without those that are retransmissions."""
    pairs = [group.ssrcs for group in section.source_groups if group.semantics == _RETRANSMISSION_GROUP]
    rtx_by_ssrc = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    cname_by_ssrc: dict[int, str] = {}
    for attribute in section.source_attributes:
        cname = attribute.value or "" if attribute.name == "cname" else ""
        cname_by_ssrc[attribute.ssrc] = cname_by_ssrc.get(attribute.ssrc) or cname
    primary = [ssrc for ssrc in cname_by_ssrc if ssrc not in rtx_by_ssrc.values()]
    return tuple(
        RemoteSource(ssrc, rtx_by_ssrc.get(ssrc), cname_by_ssrc[ssrc]) for ssrc in primary[:MAX_REMOTE_SOURCES]
    )


def read_max_bitrate(section: MediaDescription) -> int | None:
    """How many bits per second the peer takes; of `b=TIAS` (RFC 3890) and `b=AS` the former says it better."""
    bits_by_modifier: dict[str, int] = {}
    for line in section.fields:
        modifier, _, number = line.value.partition(":")
        if line.type == "b" and number.isascii() and number.isdigit() and len(number) <= _MAX_BANDWIDTH_DIGITS:
            bits_by_modifier.setdefault(modifier, int(number) * _BITS_BY_MODIFIER.get(modifier, 0))
    return next((bits for one in _BITS_BY_MODIFIER if (bits := bits_by_modifier.get(one))), None)


def _read_codecs(section: MediaDescription) -> Iterator[tuple[int, RtpCodec]]:
    maps, parameters, feedback = section.rtp_maps, section.format_parameters, section.rtcp_feedback
    kind = MediaKind(section.kind)
    for text in section.formats:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1
        entry = maps.get(number) or _static_map(number)
        if entry is None:
            continue
        written = parameters.get(text)
        yield (
            number,
            RtpCodec(
                kind=kind,
                name=entry.encoding,
                clock_rate=entry.clock_rate,
                channels=entry.channels,
                parameters=tuple(written.parameters.items()) if written is not None else (),
                feedback=tuple(one.text for one in feedback if one.payload_type in (None, number)),
            ),
        )


def _static_map(number: int) -> RtpMap | None:
    known = STATIC_CODECS.get(number)
    return None if known is None else RtpMap(number, *known)


def _read_msids(section: MediaDescription) -> list[Msid]:
    if (msids := section.msids) or not section.has(SourceAttribute.NAME):
        return msids
    # Before there was a=msid, each source said it.
    values = [one.value or "" for one in section.source_attributes if one.name == "msid"]
    return [Msid(words[0], " ".join(words[1:])) for words in (value.split() for value in values) if words]


def _msids(sender: RtpSender) -> list[TypedAttribute]:
    return [Msid(stream, sender.label) for stream in sender.stream_ids or (NO_STREAM,)]


def _format_lines(one: NegotiatedCodec) -> list[TypedAttribute]:
    codec, number = one.codec, one.payload_type
    lines: list[TypedAttribute] = [RtpMap(number, codec.name, codec.clock_rate, codec.channels)]
    lines += [RtcpFeedback(number, text) for text in codec.feedback]
    if codec.parameters:
        lines.append(FormatParameters(str(number), codec.parameters_text))
    if one.rtx_payload_type is not None:
        lines.append(RtpMap(one.rtx_payload_type, RTX, codec.clock_rate))
        lines.append(FormatParameters(str(one.rtx_payload_type), f"apt={number}"))
    return lines


def _source_lines(section: RtpSection) -> list[TypedAttribute]:
    sender = section.sender
    ssrcs = [sender.ssrc]
    lines: list[TypedAttribute] = []
    if any(one.rtx_payload_type is not None for one in section.formats):
        ssrcs.append(sender.rtx_ssrc)
        lines.append(SourceGroup(_RETRANSMISSION_GROUP, tuple(ssrcs)))
    msid = str(_msids(sender)[0])
    for ssrc in ssrcs:
        lines += [SourceAttribute(ssrc, "cname", section.cname), SourceAttribute(ssrc, "msid", msid)]
    return lines


def with_common_feedback(codec: RtpCodec, *, of: RtpCodec) -> RtpCodec:
    """`codec` with the feedback that `of` knows as well."""
    return replace(codec, feedback=tuple(one for one in codec.feedback if one in of.feedback))
