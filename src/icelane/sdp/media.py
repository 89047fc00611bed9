"""One section of a description: an `m=` line and what follows it (RFC 8866 section 5.14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute, parse_number, parse_token, parse_words
from icelane.sdp.attributes import AttributeList
from icelane.sdp.fields import NEUTRAL_CONNECTION, Connection
from icelane.sdp.lines import Line, shown
from icelane.sdp.rtp_attributes import (
    Direction,
    FormatParameters,
    HeaderExtension,
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
    parse_rtp_map,
    parse_simulcast,
    parse_source_attribute,
    parse_source_group,
)
from icelane.sdp.transport_attributes import (
    MAX_SCTP_PORT,
    Fingerprint,
    SctpMap,
    Setup,
    parse_fingerprint,
    parse_max_message_size,
    parse_sctp_map,
    parse_sctp_port,
    parse_setup,
)

# More formats in one section are MalformedError. Browsers offer 50.
MAX_FORMATS: Final = 256

# RFC 9429 section 5.1.2: all of these mean SRTP keyed by DTLS, whatever the name says.
RTP_PROTOCOLS: Final = frozenset({
    "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF", "RTP/SAVP", "RTP/AVPF", "RTP/AVP",
})  # fmt: skip
DATA_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"})
DATA_CHANNEL_FORMAT: Final = "webrtc-datachannel"
# RFC 9429 section 5.2.1: the port where none is known yet.
DISCARD_PORT: Final = 9

_MAX_PORT: Final = 65535
_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


@dataclass(kw_only=True, slots=True)
class MediaDescription(AttributeList):
    """A section. `kind` is `audio`, `video`, `application` or whatever else stood there.

    `fields` holds the lines that are none of `m=`, `c=` and `a=`, such as `b=`; they are written in the order that
    RFC 8866 gives the types of lines.
    """

    kind: str
    protocol: str
    formats: list[str]
    port: int = DISCARD_PORT
    port_count: int = 1
    connection: Connection | None = NEUTRAL_CONNECTION
    fields: list[Line] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)

    def set_direction(self, direction: Direction) -> None:
        """Replace the direction where it stands, or append it."""
        self.attributes[:] = _with_direction(self.attributes, direction)

    @property
    def media_line(self) -> str:
        """What stands behind `m=`."""
        ports = str(self.port) if self.port_count == 1 else f"{self.port}/{self.port_count}"
        return f"{self.kind} {ports} {self.protocol} {' '.join(self.formats)}"

    @property
    def is_rtp(self) -> bool:
        """Whether the section is media as WebRTC knows it."""
        return self.protocol in RTP_PROTOCOLS

    @property
    def is_data_channel(self) -> bool:
        """Whether the section is data channels, in the form of RFC 8841 or of the drafts before it."""
        if self.kind != "application" or self.protocol not in DATA_PROTOCOLS:
            return False
        return DATA_CHANNEL_FORMAT in self.formats or self.sctp_map is not None

    @property
    def is_rejected(self) -> bool:
        """Whether the section is switched off: its port is 0, and not because it only goes bundled."""
        return self.port == 0 and not self.bundle_only

    @property
    def bundle_only(self) -> bool:
        """Whether the section is for peers that bundle, and rejected by others (RFC 9143 section 6)."""
        return self.has("bundle-only")

    @property
    def mid(self) -> str | None:
        return self.get("mid")

    @property
    def direction(self) -> Direction | None:
        """The direction that stands here; `SessionDescription.direction` knows the default."""
        return direction_of(self)

    # -- the transport

    @property
    def ice_ufrag(self) -> str | None:
        return self.get("ice-ufrag")

    @property
    def ice_pwd(self) -> str | None:
        return self.get("ice-pwd")

    @property
    def fingerprints(self) -> list[Fingerprint]:
        """The fingerprints that stand here."""
        return [parse_fingerprint(value) for value in self.get_all(Fingerprint.NAME)]

    @property
    def setup(self) -> Setup | None:
        """The DTLS role that stands here."""
        value = self.get("setup")
        return None if value is None else parse_setup(value)

    @property
    def tls_id(self) -> str | None:
        return self.get("tls-id")

    @property
    def candidates(self) -> list[str]:
        """The candidates as text, each with `candidate:` before it and nothing checked."""
        return [f"candidate:{value}" for value in self.get_all("candidate")]

    @property
    def end_of_candidates(self) -> bool:
        """Whether no more candidates will come (RFC 8838, RFC 8840)."""
        return self.has("end-of-candidates")

    # -- data channels

    @property
    def sctp_map(self) -> SctpMap | None:
        """The `sctpmap` of old peers."""
        value = self.get(SctpMap.NAME)
        return None if value is None else parse_sctp_map(value)

    @property
    def sctp_port(self) -> int | None:
        """The SCTP port, also where old peers wrote it; None when nothing says it."""
        value = self.get("sctp-port")
        if value is not None:
            return parse_sctp_port(value)
        if (legacy := self.sctp_map) is not None:
            return legacy.port
        # Before there was a sctpmap, the format was the port. As a format, any token parses.
        first = self.formats[0] if self.protocol in DATA_PROTOCOLS and self.formats else ""
        return int(first) if first.isdigit() and len(first) <= 5 and int(first) <= MAX_SCTP_PORT else None

    @property
    def max_message_size(self) -> int | None:
        """How many bytes a message may have, 0 for any number; None when nothing says it (RFC 8841: 65,536 then)."""
        value = self.get("max-message-size")
        return None if value is None else parse_max_message_size(value)

    # -- media

    @property
    def rtp_maps(self) -> dict[int, RtpMap]:
        """The codecs by payload type, in the order of their lines; `formats` has the order of preference."""
        return {codec.payload_type: codec for codec in map(parse_rtp_map, self.get_all(RtpMap.NAME))}

    @property
    def format_parameters(self) -> dict[str, FormatParameters]:
        """The `fmtp` lines by format."""
        lines = map(parse_format_parameters, self.get_all(FormatParameters.NAME))
        return {parameters.format: parameters for parameters in lines}

    @property
    def rtcp_feedback(self) -> list[RtcpFeedback]:
        return [parse_rtcp_feedback(value) for value in self.get_all(RtcpFeedback.NAME)]

    @property
    def header_extensions(self) -> list[HeaderExtension]:
        return [parse_header_extension(value) for value in self.get_all(HeaderExtension.NAME)]

    @property
    def msids(self) -> list[Msid]:
        return [parse_msid(value) for value in self.get_all(Msid.NAME)]

    @property
    def source_attributes(self) -> list[SourceAttribute]:
        return [parse_source_attribute(value) for value in self.get_all(SourceAttribute.NAME)]

    @property
    def source_groups(self) -> list[SourceGroup]:
        return [parse_source_group(value) for value in self.get_all(SourceGroup.NAME)]

    @property
    def rids(self) -> list[Rid]:
        return [parse_rid(value) for value in self.get_all(Rid.NAME)]

    @property
    def simulcast(self) -> Simulcast | None:
        value = self.get(Simulcast.NAME)
        return None if value is None else parse_simulcast(value)

    @property
    def rtcp_mux(self) -> bool:
        """Whether RTP and RTCP share a port (RFC 5761, RFC 8858)."""
        return self.has("rtcp-mux") or self.has("rtcp-mux-only")

    @property
    def rtcp_rsize(self) -> bool:
        return self.has("rtcp-rsize")

    @property
    def ptime(self) -> float | None:
        """How many milliseconds of media a packet holds."""
        value = self.get("ptime")
        return None if value is None else parse_milliseconds(value)

    @property
    def maxptime(self) -> float | None:
        """How many milliseconds of media a packet holds at most."""
        value = self.get("maxptime")
        return None if value is None else parse_milliseconds(value)


def parse_media_line(text: str) -> MediaDescription:
    """The section that `text`, the value of an `m=` line, begins; it has no connection and no attributes yet."""
    kind, ports, protocol, *formats = parse_words(text, "media line", range(4, MAX_FORMATS + 4))
    port, slash, count = ports.partition("/")
    return MediaDescription(
        kind=parse_token(kind, "kind of media"),
        port=parse_number(port, "port", _MAX_PORT),
        port_count=parse_number(count, "number of ports", _MAX_PORT, 1) if slash else 1,
        protocol=_parse_protocol(protocol),
        formats=[parse_token(name, "format") for name in formats],
        connection=None,
    )


def direction_of(owner: AttributeList) -> Direction | None:
    """The first direction among the attributes."""
    for attribute in owner.attributes:
        if attribute.name in _DIRECTIONS:
            return _DIRECTIONS[attribute.name]
    return None


def _parse_protocol(text: str) -> str:
    parts: Sequence[str] = text.split("/")
    if not all(parts):
        raise MalformedError(f"{shown(text)} is no protocol")
    for part in parts:
        parse_token(part, "protocol")
    return text


def _with_direction(attributes: Sequence[Attribute], direction: Direction) -> list[Attribute]:
    kept = [attribute for attribute in attributes if attribute.name not in _DIRECTIONS]
    first = next((i for i, attribute in enumerate(attributes) if attribute.name in _DIRECTIONS), len(kept))
    return [*kept[:first], Attribute(direction.value), *kept[first:]]
