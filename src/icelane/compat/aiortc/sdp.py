"""Descriptions and candidates as text, by aiortc's names.

The text is parsed by icelane's own parser, which refuses what aiortc let through; `str` writes what aiortc's fields
hold, so that attributes without a field are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from icelane.compat.aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from icelane.compat.aiortc.rtcicetransport import RTCIceCandidate, RTCIceParameters
from icelane.compat.aiortc.rtcrtpparameters import (
    ParametersDict,
    RTCRtcpFeedback,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)
from icelane.compat.aiortc.rtcsctptransport import RTCSctpCapabilities
from icelane.sdp import media as parsed_media
from icelane.sdp import session as parsed_session
from icelane.sdp.transport_attributes import Setup

DIRECTIONS: Final = ["inactive", "sendonly", "recvonly", "sendrecv"]

DTLS_ROLE_SETUP: Final = {"auto": "actpass", "client": "active", "server": "passive"}
DTLS_SETUP_ROLE: Final = {setup: role for role, setup in DTLS_ROLE_SETUP.items()}

SSRC_INFO_ATTRS: Final = ["cname", "msid", "mslabel", "label"]

# What aiortc gives as a number.
FMTP_INT_PARAMETERS: Final = [
    "apt",
    "max-fr",
    "max-fs",
    "maxplaybackrate",
    "minptime",
    "stereo",
    "useinbandfec",
]

_PREFIX: Final = "candidate:"
_EXTENSIONS_BEGIN: Final = 8


def candidate_from_sdp(sdp: str) -> RTCIceCandidate:
    """The candidate that an attribute of a description says, with or without `candidate:`. Raises ValueError."""
    words = sdp.removeprefix(_PREFIX).split()
    if len(words) < _EXTENSIONS_BEGIN or words[6] != "typ":
        raise ValueError(f"{sdp!r} is no candidate")
    foundation, component, protocol, priority, host, port, _, kind = words[:_EXTENSIONS_BEGIN]
    extensions = dict(zip(words[_EXTENSIONS_BEGIN::2], words[_EXTENSIONS_BEGIN + 1 :: 2], strict=False))
    related_port = extensions.get("rport")
    return RTCIceCandidate(
        component=int(component),
        foundation=foundation,
        ip=host,
        port=int(port),
        priority=int(priority),
        protocol=protocol,
        type=kind,
        relatedAddress=extensions.get("raddr"),
        relatedPort=None if related_port is None else int(related_port),
        tcpType=extensions.get("tcptype"),
    )


def candidate_to_sdp(candidate: RTCIceCandidate) -> str:
    """The same as text, without `candidate:`."""
    said: dict[str, object] = {
        "raddr": candidate.relatedAddress,
        "rport": candidate.relatedPort,
        "tcptype": candidate.tcpType,
    }
    words: list[object] = [candidate.foundation, candidate.component, candidate.protocol, candidate.priority]
    words += [candidate.ip, candidate.port, "typ", candidate.type]
    for name, value in said.items():
        words += [] if value is None else [name, value]
    return " ".join(map(str, words))


def parameters_from_sdp(sdp: str) -> ParametersDict:
    """What a codec's `fmtp` says. Raises ValueError where a number is to be."""
    parameters: ParametersDict = {}
    for pair in sdp.split(";"):
        name, equals, value = pair.strip().partition("=")
        if not name:
            continue
        if not equals:
            parameters[name] = None
        else:
            parameters[name] = int(value) if name in FMTP_INT_PARAMETERS else value
    return parameters


def parameters_to_sdp(parameters: ParametersDict) -> str:
    """The same as text."""
    return ";".join(name if value is None else f"{name}={value}" for name, value in parameters.items())


@dataclass
class GroupDescription:
    """Things that belong together, and by what."""

    semantic: str
    items: list[int | str]

    def __str__(self) -> str:
        return " ".join([self.semantic, *map(str, self.items)])


@dataclass
class SsrcDescription:
    """What is said of a source."""

    ssrc: int
    cname: str | None = None
    msid: str | None = None
    mslabel: str | None = None
    label: str | None = None


class MediaDescription:
    """One section."""

    def __init__(self, kind: str, port: int, profile: str, fmt: list[int] | list[str]) -> None:
        self.kind = kind
        self.port = port
        self.host: str | None = None
        self.profile = profile
        self.direction: str | None = None
        self.msid: str | None = None
        self.rtcp_port: int | None = None
        self.rtcp_host: str | None = None
        self.rtcp_mux = False
        self.ssrc: list[SsrcDescription] = []
        self.ssrc_group: list[GroupDescription] = []
        self.fmt = fmt
        self.rtp = RTCRtpParameters()
        self.sctpCapabilities: RTCSctpCapabilities | None = None
        self.sctpmap: dict[int, str] = {}
        self.sctp_port: int | None = None
        self.dtls: RTCDtlsParameters | None = None
        self.ice: RTCIceParameters = RTCIceParameters()
        self.ice_candidates: list[RTCIceCandidate] = []
        self.ice_candidates_complete = False
        self.ice_options: str | None = None

    def __str__(self) -> str:
        return "".join(f"{line}\r\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"m={self.kind} {self.port} {self.profile} {' '.join(map(str, self.fmt))}"
        if self.host is not None:
            yield f"c={_connection(self.host)}"
        if self.direction is not None:
            yield f"a={self.direction}"
        yield from (f"a=extmap:{extension.id} {extension.uri}" for extension in self.rtp.headerExtensions)
        if self.rtp.muxId:
            yield f"a=mid:{self.rtp.muxId}"
        if self.msid:
            yield f"a=msid:{self.msid}"
        yield from self._rtcp_lines()
        yield from self._source_lines()
        yield from self._codec_lines()
        yield from self._sctp_lines()
        yield from self._transport_lines()

    def _rtcp_lines(self) -> Iterator[str]:
        if self.rtcp_port is not None:
            host = "" if self.rtcp_host is None else f" {_connection(self.rtcp_host)}"
            yield f"a=rtcp:{self.rtcp_port}{host}"
        if self.rtcp_mux:
            yield "a=rtcp-mux"

    def _source_lines(self) -> Iterator[str]:
        yield from (f"a=ssrc-group:{group}" for group in self.ssrc_group)
        for source in self.ssrc:
            for name in SSRC_INFO_ATTRS:
                value: str | None = getattr(source, name)
                if value is not None:
                    yield f"a=ssrc:{source.ssrc} {name}:{value}"

    def _codec_lines(self) -> Iterator[str]:
        for codec in self.rtp.codecs:
            yield f"a=rtpmap:{codec.payloadType} {codec}"
            for feedback in codec.rtcpFeedback:
                parameter = f" {feedback.parameter}" if feedback.parameter else ""
                yield f"a=rtcp-fb:{codec.payloadType} {feedback.type}{parameter}"
            if codec.parameters:
                yield f"a=fmtp:{codec.payloadType} {parameters_to_sdp(codec.parameters)}"

    def _sctp_lines(self) -> Iterator[str]:
        yield from (f"a=sctpmap:{port} {said}" for port, said in self.sctpmap.items())
        if self.sctp_port is not None and not self.sctpmap:
            yield f"a=sctp-port:{self.sctp_port}"
        if self.sctpCapabilities is not None:
            yield f"a=max-message-size:{self.sctpCapabilities.maxMessageSize}"

    def _transport_lines(self) -> Iterator[str]:
        yield from (f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in self.ice_candidates)
        if self.ice_candidates_complete:
            yield "a=end-of-candidates"
        if self.ice.usernameFragment is not None:
            yield f"a=ice-ufrag:{self.ice.usernameFragment}"
        if self.ice.password is not None:
            yield f"a=ice-pwd:{self.ice.password}"
        if self.ice_options is not None:
            yield f"a=ice-options:{self.ice_options}"
        if self.dtls is not None:
            yield from (f"a=fingerprint:{one.algorithm} {one.value}" for one in self.dtls.fingerprints)
            yield f"a=setup:{DTLS_ROLE_SETUP[self.dtls.role]}"


class SessionDescription:
    """A whole description."""

    def __init__(self) -> None:
        self.version = 0
        self.origin: str | None = None
        self.name = "-"
        self.time = "0 0"
        self.host: str | None = None
        self.group: list[GroupDescription] = []
        self.msid_semantic: list[GroupDescription] = []
        self.media: list[MediaDescription] = []
        self.type: str | None = None

    @classmethod
    def parse(cls, sdp: str) -> Self:
        """What `sdp` says. Raises ValueError."""
        parsed, session = parsed_session.parse_session(sdp), cls()
        session.version, session.name, session.time = parsed.version, parsed.name, parsed.timing
        session.origin = str(parsed.origin)
        session.host = parsed.connection.address if parsed.connection is not None else None
        session.group = [GroupDescription(group.semantics, list(group.mids)) for group in parsed.groups]
        for value in parsed.get_all("msid-semantic"):
            semantic, *items = value.split() or [""]
            session.msid_semantic.append(GroupDescription(semantic, list(items)))
        session.media = [_describe(parsed, section) for section in parsed.media]
        return session

    def webrtc_track_id(self, media: MediaDescription) -> str | None:
        """What the track of a section is called, None where that is not said."""
        stream, _, track = (media.msid or "").partition(" ")
        known = [items for group in self.msid_semantic if group.semantic == "WMS" for items in group.items]
        return track if track and (stream in known or "*" in known) else None

    def __str__(self) -> str:
        lines = [f"v={self.version}", f"o={self.origin}", f"s={self.name}"]
        if self.host is not None:
            lines.append(f"c={_connection(self.host)}")
        lines.append(f"t={self.time}")
        if any(media.ice.iceLite for media in self.media):
            lines.append("a=ice-lite")
        lines += [f"a=group:{group}" for group in self.group]
        lines += [f"a=msid-semantic:{group}" for group in self.msid_semantic]
        return "".join(f"{line}\r\n" for line in lines) + "".join(map(str, self.media))


def _describe(session: parsed_session.SessionDescription, section: parsed_media.MediaDescription) -> MediaDescription:
    formats = [int(one) for one in section.formats] if section.is_rtp else section.formats
    media = MediaDescription(section.kind, section.port, section.protocol, formats)
    media.host = section.connection.address if section.connection is not None else None
    media.direction = section.direction.value if section.direction is not None else None
    media.msid = section.get("msid")
    _describe_rtp(media, section)
    _describe_sctp(media, section)
    _describe_transport(media, session, section)
    return media


def _describe_rtp(media: MediaDescription, section: parsed_media.MediaDescription) -> None:
    media.rtp.muxId = section.mid or ""
    rtcp_port, _, rtcp_host = (section.get("rtcp") or "").partition(" ")
    media.rtcp_port = int(rtcp_port) if rtcp_port.isdigit() else None
    media.rtcp_host = rtcp_host.split()[-1] if rtcp_host else None
    media.rtcp_mux = section.rtcp_mux
    media.rtp.headerExtensions = [
        RTCRtpHeaderExtensionParameters(id=extension.id, uri=extension.uri) for extension in section.header_extensions
    ]
    media.ssrc_group = [GroupDescription(group.semantics, list(group.ssrcs)) for group in section.source_groups]
    sources: dict[int, SsrcDescription] = {}
    for said in section.source_attributes:
        source = sources.setdefault(said.ssrc, SsrcDescription(said.ssrc))
        if said.name in SSRC_INFO_ATTRS:
            setattr(source, said.name, said.value)
    media.ssrc = list(sources.values())
    media.rtp.codecs = list(_describe_codecs(section))


def _describe_codecs(section: parsed_media.MediaDescription) -> Iterator[RTCRtpCodecParameters]:
    formats = section.format_parameters
    for number, codec in section.rtp_maps.items():
        parameters = formats.get(str(number))
        yield RTCRtpCodecParameters(
            mimeType=f"{section.kind}/{codec.encoding}",
            clockRate=codec.clock_rate,
            channels=codec.channels if section.kind == "audio" else None,
            payloadType=number,
            rtcpFeedback=[
                _describe_feedback(one.text) for one in section.rtcp_feedback if one.payload_type in (None, number)
            ],
            parameters={} if parameters is None else parameters_from_sdp(parameters.text),
        )


def _describe_feedback(text: str) -> RTCRtcpFeedback:
    kind, _, parameter = text.partition(" ")
    return RTCRtcpFeedback(type=kind, parameter=parameter or None)


def _describe_sctp(media: MediaDescription, section: parsed_media.MediaDescription) -> None:
    if section.is_rtp:
        return
    legacy, size = section.sctp_map, section.max_message_size
    if legacy is not None:
        media.sctpmap = {legacy.port: str(legacy).partition(" ")[2]}
    port = section.get("sctp-port")
    media.sctp_port = None if port is None else int(port)
    media.sctpCapabilities = None if size is None else RTCSctpCapabilities(maxMessageSize=size)


def _describe_transport(
    media: MediaDescription, session: parsed_session.SessionDescription, section: parsed_media.MediaDescription
) -> None:
    setup = session.setup(section)
    if setup is not None and setup is not Setup.HOLDCONN:
        fingerprints = [
            RTCDtlsFingerprint(one.algorithm, one.value.hex(":").upper()) for one in session.fingerprints(section)
        ]
        media.dtls = RTCDtlsParameters(fingerprints=fingerprints, role=DTLS_SETUP_ROLE[setup.value])
    media.ice = RTCIceParameters(
        usernameFragment=section.ice_ufrag or session.get("ice-ufrag"),
        password=section.ice_pwd or session.get("ice-pwd"),
        iceLite=session.is_ice_lite,
    )
    media.ice_options = section.get("ice-options") or session.get("ice-options")
    media.ice_candidates = [candidate_from_sdp(text) for text in section.candidates]
    media.ice_candidates_complete = section.end_of_candidates


def _connection(host: str) -> str:
    return f"IN IP{6 if ':' in host else 4} {host}"
