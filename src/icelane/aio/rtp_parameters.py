"""What senders and receivers are asked and tell: codecs, extensions and encodings, by the names of W3C webrtc-pc.

(Sections 5.2 and 5.3: RTCRtpCodec, RTCRtpParameters, RTCRtpEncodingParameters, RTCRtpCapabilities and their like.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from icelane.errors import InvalidModificationError
from icelane.media.codec import RTX, MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.codecs.default import default_registry
from icelane.peer.media_capabilities import EXTENSIONS, kind_of


@dataclass(frozen=True, slots=True)
class RTCRtpCodec:
    """A codec: `audio/opus`, 48000, 2, `minptime=10;useinbandfec=1`. `channels` is None for video."""

    mimeType: str  # noqa: N815  (W3C names)
    clockRate: int  # noqa: N815
    channels: int | None = None
    sdpFmtpLine: str | None = None  # noqa: N815


@dataclass(frozen=True, slots=True)
class RTCRtpCodecParameters(RTCRtpCodec):
    """A codec that was negotiated, with its payload type."""

    payloadType: int = -1  # noqa: N815


@dataclass(frozen=True, slots=True)
class RTCRtpHeaderExtensionCapability:
    """A header extension that can be used."""

    uri: str


@dataclass(frozen=True, slots=True)
class RTCRtpHeaderExtensionParameters:
    """A header extension that was negotiated, with its number."""

    uri: str
    id: int
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class RTCRtcpParameters:
    """`reducedSize` is RFC 5506; `cname` is what all that one end sends is called in common."""

    cname: str | None = None
    reducedSize: bool = False  # noqa: N815


@dataclass(frozen=True, slots=True)
class RTCRtpCapabilities:
    """What can be sent or received, by preference."""

    codecs: list[RTCRtpCodec] = field(default_factory=list)
    headerExtensions: list[RTCRtpHeaderExtensionCapability] = field(default_factory=list)  # noqa: N815


@dataclass(slots=True)
class RTCRtpEncodingParameters:
    """How a sender encodes. To be changed and given back by `setParameters`.

    Without `active` nothing is sent. `maxBitrate` is in bit/s and what an encoder of pictures aims at, as long as the
    peer does not ask for less; without it that follows from the size of pictures. `maxFramerate` is in pictures a
    second, and 0 sends none. Pictures are `scaleResolutionDownBy` times smaller on each side, which is 1 or more.
    """

    rid: str | None = None
    active: bool = True
    maxBitrate: int | None = None  # noqa: N815
    maxFramerate: float | None = None  # noqa: N815
    scaleResolutionDownBy: float | None = None  # noqa: N815


@dataclass(slots=True)
class RTCRtpParameters:
    """What was negotiated; empty before that."""

    codecs: list[RTCRtpCodecParameters] = field(default_factory=list)
    headerExtensions: list[RTCRtpHeaderExtensionParameters] = field(default_factory=list)  # noqa: N815
    rtcp: RTCRtcpParameters = field(default_factory=RTCRtcpParameters)


@dataclass(slots=True)
class RTCRtpReceiveParameters(RTCRtpParameters):
    """Of a receiver."""


@dataclass(slots=True)
class RTCRtpSendParameters(RTCRtpParameters):
    """Of a sender: `encodings` may be changed. `transactionId` says which `getParameters` they come from."""

    transactionId: str = ""  # noqa: N815
    encodings: list[RTCRtpEncodingParameters] = field(default_factory=list)


class RTCRtpContributingSource(NamedTuple):
    """Whose sound or picture was played last: `timestamp` in seconds of the event loop's clock, `audioLevel` 0 to 1."""

    timestamp: float
    source: int
    rtpTimestamp: int  # noqa: N815
    audioLevel: float | None = None  # noqa: N815


class RTCRtpSynchronizationSource(RTCRtpContributingSource):
    """The same, of the stream itself."""

    __slots__ = ()


class ReceivedTone(NamedTuple):
    """A tone that the peer has sent: its character, and how many seconds it lasted."""

    tone: str
    duration: float


def linear_level(level: int | None) -> float | None:
    """A level of -127 to 0 dBov, given without its sign, as 0 to 1."""
    return None if level is None else 0.0 if level >= 127 else float(10 ** (-level / 20))


def describe(codec: RtpCodec) -> RTCRtpCodec:
    """As capabilities name it."""
    return RTCRtpCodec(codec.mime_type, codec.clock_rate, _channels(codec), codec.parameters_text or None)


def capabilities_of(kind: MediaKind, codecs: Iterable[RtpCodec]) -> RTCRtpCapabilities:
    """Every codec, and the extensions of the kind."""
    return RTCRtpCapabilities(
        list(dict.fromkeys(describe(codec) for codec in codecs)),
        [RTCRtpHeaderExtensionCapability(uri) for uri in EXTENSIONS[kind]],
    )


def machine_capabilities(kind: str, *, can_send: bool = False, can_receive: bool = False) -> RTCRtpCapabilities | None:
    """What the libraries of this machine can do, None for a kind that there is not."""
    known = kind_of(kind)
    if known is None:
        return None
    codecs = default_registry().codecs(known, can_send=can_send, can_receive=can_receive)
    return capabilities_of(known, codecs if any(codec.is_media for codec in codecs) else ())


def describe_negotiated(codecs: Iterable[NegotiatedCodec]) -> list[RTCRtpCodecParameters]:
    """With payload types, each codec's retransmission behind it."""
    described: list[RTCRtpCodecParameters] = []
    for one in codecs:
        codec, text = one.codec, one.codec.parameters_text or None
        described.append(
            RTCRtpCodecParameters(codec.mime_type, codec.clock_rate, _channels(codec), text, one.payload_type)
        )
        if one.rtx_payload_type is not None:
            name = f"{codec.kind.value}/{RTX}"
            text = f"apt={one.payload_type}"
            described.append(RTCRtpCodecParameters(name, codec.clock_rate, None, text, one.rtx_payload_type))
    return described


def find_codecs(wanted: Sequence[RTCRtpCodec], known: Iterable[RtpCodec]) -> list[RtpCodec]:
    """What of `known` these describe, in their order. Raises InvalidModificationError for one that is not known."""
    by_description = {_key(describe(codec)): codec for codec in known}
    found: list[RtpCodec] = []
    for one in wanted:
        codec = by_description.get(_key(one))
        if codec is None:
            raise InvalidModificationError(f"{one.mimeType} is not among the capabilities as it is described")
        found.append(codec)
    return found


def _key(codec: RTCRtpCodec) -> tuple[str, int, int | None, str | None]:
    return codec.mimeType.lower(), codec.clockRate, codec.channels, codec.sdpFmtpLine or None


def _channels(codec: RtpCodec) -> int | None:
    return codec.channels if codec.kind is MediaKind.AUDIO else None
