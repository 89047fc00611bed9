"""Codecs, extensions and parameters, as aiortc has them: codec parameters are a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field

ParametersDict = dict[str, int | str | None]


@dataclass
class RTCRtpCodecCapability:
    """A codec that can be used: `audio/opus`, 48000, 2."""

    mimeType: str  # noqa: N815  (W3C names)
    clockRate: int  # noqa: N815
    channels: int | None = None
    parameters: ParametersDict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What stands behind the slash."""
        return self.mimeType.split("/")[1]


@dataclass
class RTCRtcpFeedback:
    """A message that helps a codec, such as `nack` `pli`."""

    type: str
    parameter: str | None = None


@dataclass
class RTCRtpCodecParameters:
    """A codec that was negotiated."""

    mimeType: str  # noqa: N815
    clockRate: int  # noqa: N815
    channels: int | None = None
    payloadType: int | None = None  # noqa: N815
    rtcpFeedback: list[RTCRtcpFeedback] = field(default_factory=list)  # noqa: N815
    parameters: ParametersDict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What stands behind the slash."""
        return self.mimeType.split("/")[1]

    def __str__(self) -> str:
        return f"{self.name}/{self.clockRate}" + ("/2" if self.channels == 2 else "")


@dataclass
class RTCRtpRtxParameters:
    """Where retransmissions come from."""

    ssrc: int


@dataclass
class RTCRtpCodingParameters:
    """One encoding of a stream."""

    ssrc: int
    payloadType: int  # noqa: N815
    rtx: RTCRtpRtxParameters | None = None


class RTCRtpDecodingParameters(RTCRtpCodingParameters):
    """Of a receiver."""


class RTCRtpEncodingParameters(RTCRtpCodingParameters):
    """Of a sender."""


@dataclass
class RTCRtpHeaderExtensionCapability:
    """A header extension that can be used."""

    uri: str


@dataclass
class RTCRtpHeaderExtensionParameters:
    """A header extension that was negotiated, with its number."""

    id: int
    uri: str


@dataclass
class RTCRtpCapabilities:
    """What can be sent or received, by preference."""

    codecs: list[RTCRtpCodecCapability] = field(default_factory=list)
    headerExtensions: list[RTCRtpHeaderExtensionCapability] = field(default_factory=list)  # noqa: N815


@dataclass
class RTCRtcpParameters:
    """What RTCP is sent with."""

    cname: str | None = None
    mux: bool = False
    ssrc: int | None = None


@dataclass
class RTCRtpParameters:
    """What was negotiated for one section."""

    codecs: list[RTCRtpCodecParameters] = field(default_factory=list)
    headerExtensions: list[RTCRtpHeaderExtensionParameters] = field(default_factory=list)  # noqa: N815
    muxId: str = ""  # noqa: N815
    rtcp: RTCRtcpParameters = field(default_factory=RTCRtcpParameters)


@dataclass
class RTCRtpReceiveParameters(RTCRtpParameters):
    """Of a receiver."""

    encodings: list[RTCRtpDecodingParameters] = field(default_factory=list)


@dataclass
class RTCRtpSendParameters(RTCRtpParameters):
    """Of a sender."""

    encodings: list[RTCRtpEncodingParameters] = field(default_factory=list)
