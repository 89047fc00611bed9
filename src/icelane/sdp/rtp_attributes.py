"""What belongs to media: codecs, feedback, header extensions, sources and layers (RFC 8866, 4585, 8285, 8830, 5576,
8851, 8853)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from icelane.errors import MalformedError
from icelane.sdp.attribute import TypedAttribute, parse_number, parse_token, parse_words
from icelane.sdp.lines import shown

# Longer lists are MalformedError. Browsers write 3 sources in a group and 3 layers.
MAX_SSRC_GROUP: Final = 64
MAX_SIMULCAST: Final = 64

_MAX_PAYLOAD_TYPE: Final = 127
_MAX_SSRC: Final = 2**32 - 1
_MAX_CLOCK_RATE: Final = 2**32 - 1
_MAX_CHANNELS: Final = 255
# RFC 8285: one byte names an extension; those from 4096 on only stand for one in an offer.
_MAX_EXTENSION: Final = 4351
_MAX_PORT: Final = 65535

# RFC 8866 section 6.4: whole or with a fraction, and greater than zero.
_MILLISECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
# RFC 8851 section 10; browsers write _ too.
_RID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Direction(enum.Enum):
    """Which way media goes, seen from who wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class RtpMap(TypedAttribute):
    """The codec of a payload type. `channels` is 1 where none are written."""

    NAME: ClassVar[str] = "rtpmap"
    payload_type: int
    encoding: str
    clock_rate: int
    channels: int = 1

    def __str__(self) -> str:
        channels = "" if self.channels == 1 else f"/{self.channels}"
        return f"{self.payload_type} {self.encoding}/{self.clock_rate}{channels}"


@dataclass(frozen=True, slots=True)
class FormatParameters(TypedAttribute):
    """The `fmtp` of a format: what its codec can and wants, in the codec's own language."""

    NAME: ClassVar[str] = "fmtp"
    format: str
    text: str

    def __str__(self) -> str:
        return f"{self.format} {self.text}".rstrip(" ")

    @property
    def parameters(self) -> dict[str, str]:
        """`key=value` between semicolons, as most codecs write it; names in lower case, "" where there is no value."""
        pairs = (pair.strip(" ").partition("=") for pair in self.text.split(";"))
        return {name.lower(): value for name, _, value in pairs if name}


@dataclass(frozen=True, slots=True)
class RtcpFeedback(TypedAttribute):
    """Feedback that is understood for a payload type, None for all. `text` is such as `nack pli` (RFC 4585)."""

    NAME: ClassVar[str] = "rtcp-fb"
    payload_type: int | None
    text: str

    def __str__(self) -> str:
        return f"{'*' if self.payload_type is None else self.payload_type} {self.text}"


@dataclass(frozen=True, slots=True)
class HeaderExtension(TypedAttribute):
    """The number of a header extension on the wire; `direction` is None where it goes with the media."""

    NAME: ClassVar[str] = "extmap"
    id: int
    uri: str
    direction: Direction | None = None
    parameters: str = ""

    def __str__(self) -> str:
        direction = "" if self.direction is None else f"/{self.direction.value}"
        return f"{self.id}{direction} {self.uri} {self.parameters}".rstrip(" ")


@dataclass(frozen=True, slots=True)
class Msid(TypedAttribute):
    """The MediaStream, `-` for none, and the track, "" where none is written (RFC 8830)."""

    NAME: ClassVar[str] = "msid"
    stream: str
    track: str = ""

    def __str__(self) -> str:
        return f"{self.stream} {self.track}".rstrip(" ")


@dataclass(frozen=True, slots=True)
class SourceAttribute(TypedAttribute):
    """Something about one RTP source, such as its `cname` (RFC 5576 section 4.1)."""

    NAME: ClassVar[str] = "ssrc"
    ssrc: int
    name: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.ssrc} {self.name}" + ("" if self.value is None else f":{self.value}")


@dataclass(frozen=True, slots=True)
class SourceGroup(TypedAttribute):
    """RTP sources that belong together: FID for retransmission, SIM for layers (RFC 5576 section 4.2)."""

    NAME: ClassVar[str] = "ssrc-group"
    semantics: str
    ssrcs: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join((self.semantics, *map(str, self.ssrcs)))


@dataclass(frozen=True, slots=True)
class Rid(TypedAttribute):
    """A layer that is sent or received. `restrictions` is text such as `pt=96;max-width=1280` (RFC 8851)."""

    NAME: ClassVar[str] = "rid"
    id: str
    direction: str
    restrictions: str = ""

    def __str__(self) -> str:
        return f"{self.id} {self.direction} {self.restrictions}".rstrip(" ")


class Layer(NamedTuple):
    """A rid in a list of layers; `paused` where the list has a tilde."""

    rid: str
    paused: bool = False

    def __str__(self) -> str:
        return f"~{self.rid}" if self.paused else self.rid


@dataclass(frozen=True, slots=True)
class Simulcast(TypedAttribute):
    """Layers each way: one tuple for each stream, of which the layers in it are alternatives (RFC 8853)."""

    NAME: ClassVar[str] = "simulcast"
    send: tuple[tuple[Layer, ...], ...] = ()
    receive: tuple[tuple[Layer, ...], ...] = ()

    def __str__(self) -> str:
        lists = (("send", self.send), ("recv", self.receive))
        return " ".join(f"{direction} {_format_layers(layers)}" for direction, layers in lists if layers)


def parse_rtp_map(text: str) -> RtpMap:
    """The value of `a=rtpmap`."""
    payload_type, codec = parse_words(text, "rtpmap", (2,))
    encoding, *numbers = codec.split("/")
    if len(numbers) not in (1, 2):
        raise MalformedError(f"{shown(codec)} is not a codec and its clock rate")
    return RtpMap(
        _parse_payload_type(payload_type),
        parse_token(encoding, "name of a codec"),
        parse_number(numbers[0], "clock rate", _MAX_CLOCK_RATE, 1),
        parse_number(numbers[1], "number of channels", _MAX_CHANNELS, 1) if len(numbers) == 2 else 1,
    )


def parse_format_parameters(text: str) -> FormatParameters:
    """The value of `a=fmtp`; the parameters are not looked at."""
    name, _, parameters = text.partition(" ")
    return FormatParameters(parse_token(name, "format"), parameters.strip(" "))


def parse_rtcp_feedback(text: str) -> RtcpFeedback:
    """The value of `a=rtcp-fb`."""
    payload_type, _, feedback = text.partition(" ")
    feedback = feedback.strip(" ")
    if not feedback:
        raise MalformedError(f"{shown(text)} names no feedback")
    return RtcpFeedback(None if payload_type == "*" else _parse_payload_type(payload_type), feedback)


def parse_header_extension(text: str) -> HeaderExtension:
    """The value of `a=extmap`."""
    number, uri, *parameters = parse_words(text, "header extension", range(2, len(text) + 1))
    number, slash, direction = number.partition("/")
    return HeaderExtension(
        parse_number(number, "number of a header extension", _MAX_EXTENSION, 1),
        uri,
        _parse_direction(direction) if slash else None,
        " ".join(parameters),
    )


def parse_msid(text: str) -> Msid:
    """The value of `a=msid`."""
    return Msid(*parse_words(text, "msid", (1, 2)))


def parse_source_attribute(text: str) -> SourceAttribute:
    """The value of `a=ssrc`."""
    ssrc, _, rest = text.partition(" ")
    name, colon, value = rest.strip(" ").partition(":")
    return SourceAttribute(_parse_ssrc(ssrc), parse_token(name, "attribute of a source"), value if colon else None)


def parse_source_group(text: str) -> SourceGroup:
    """The value of `a=ssrc-group`; it may name no sources at all."""
    semantics, *ssrcs = parse_words(text, "group of sources", range(1, MAX_SSRC_GROUP + 2))
    return SourceGroup(parse_token(semantics, "grouping"), tuple(map(_parse_ssrc, ssrcs)))


def parse_rid(text: str) -> Rid:
    """The value of `a=rid`; the restrictions are not looked at."""
    name, _, rest = text.partition(" ")
    direction, _, restrictions = rest.strip(" ").partition(" ")
    if direction not in ("send", "recv"):
        raise MalformedError(f"{shown(text)} is neither sent nor received")
    return Rid(_parse_rid_name(name), direction, restrictions.strip(" "))


def parse_simulcast(text: str) -> Simulcast:
    """The value of `a=simulcast`. Raises MalformedError also for the draft form of before RFC 8853 (`send rid=a;b`)."""
    words = parse_words(text, "simulcast", (2, 4))
    layers = {direction: _parse_layers(value) for direction, value in zip(words[::2], words[1::2], strict=True)}
    if layers.keys() - {"send", "recv"} or len(layers) * 2 != len(words):
        raise MalformedError(f"{shown(text)} is not layers to send and layers to receive")
    return Simulcast(layers.get("send", ()), layers.get("recv", ()))


def parse_milliseconds(text: str) -> float:
    """The value of `a=ptime` and `a=maxptime`."""
    if not _MILLISECONDS.fullmatch(text) or not float(text) > 0:
        raise MalformedError(f"{shown(text)} is no number of milliseconds")
    return float(text)


def parse_rtcp_port(text: str) -> int:
    """The port in `a=rtcp` (RFC 3605); the address behind it is not looked at."""
    return parse_number(parse_words(text, "port of RTCP", (1, 4))[0], "port", _MAX_PORT)


def _parse_payload_type(text: str) -> int:
    return parse_number(text, "payload type", _MAX_PAYLOAD_TYPE)


def _parse_ssrc(text: str) -> int:
    return parse_number(text, "SSRC", _MAX_SSRC)


def _parse_rid_name(text: str) -> str:
    if not _RID.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no rid")
    return text


def _parse_direction(text: str) -> Direction:
    try:
        return Direction(text)
    except ValueError:
        raise MalformedError(f"{shown(text)} is no direction") from None


def _parse_layers(text: str) -> tuple[tuple[Layer, ...], ...]:
    if text.count(";") + text.count(",") >= MAX_SIMULCAST:
        raise MalformedError(f"a list of layers has at most {MAX_SIMULCAST}")
    return tuple(tuple(_parse_layer(layer) for layer in stream.split(",")) for stream in text.split(";"))


def _parse_layer(text: str) -> Layer:
    return Layer(_parse_rid_name(text.removeprefix("~")), text.startswith("~"))


def _format_layers(streams: tuple[tuple[Layer, ...], ...]) -> str:
    return ";".join(",".join(map(str, alternatives)) for alternatives in streams)
