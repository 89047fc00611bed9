"""What the elements of RTP header extensions mean: their URIs, their values, and which identifier stands for which.

The values are typed: `encode_*` makes the data of an element and raises InvalidAccessError for what does not fit,
`parse_*` reads it and raises MalformedError. Bytes behind a value are ignored, as later versions may add some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from icelane.core.clock import Duration
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.packet import MAX_ONE_BYTE_ID, RtpPacket

Value = TypeVar("Value")

MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
RTP_STREAM_ID: Final = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RTP_STREAM_ID: Final = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
ABSOLUTE_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_SEQUENCE_NUMBER: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
AUDIO_LEVEL: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
CONTRIBUTING_AUDIO_LEVELS: Final = "urn:ietf:params:rtp-hdrext:csrc-audio-level"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
VIDEO_ORIENTATION: Final = "urn:3gpp:video-orientation"

MAX_TWO_BYTE_ID: Final = 255

# RFC 8843 section 15.1 and RFC 8852 section 3: the token of SDP, in ASCII. The length of an element has eight bits.
_TOKEN: Final = re.compile(rb"[!#-'*+\-.0-9A-Z^-~]{1,255}")


class ExtensionMap:
    """Which identifier was negotiated for which URI, in both directions of one media section.

    With `two_byte` identifiers go up to 255, otherwise up to 14: that is also the bound of how many a peer can
    negotiate, and what is beyond it is refused.
    """

    __slots__ = ("_identifiers_by_uri", "_largest", "_uris_by_identifier")

    def __init__(self, *, two_byte: bool = False) -> None:
        self._largest = MAX_TWO_BYTE_ID if two_byte else MAX_ONE_BYTE_ID
        self._uris_by_identifier: dict[int, str] = {}
        self._identifiers_by_uri: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._uris_by_identifier)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self._uris_by_identifier.items())

    def add(self, identifier: int, uri: str) -> None:
        """Let `identifier` stand for `uri`.

        Raises InvalidAccessError when it is out of range, or when one of the two is taken by another.
        """
        if not 1 <= identifier <= self._largest:
            raise InvalidAccessError(f"extension identifiers are 1 to {self._largest}, not {identifier}")
        if self._uris_by_identifier.get(identifier, uri) != uri:
            raise InvalidAccessError(f"extension identifier {identifier} is taken")
        if self._identifiers_by_uri.get(uri, identifier) != identifier:
            raise InvalidAccessError(f"{uri} has an identifier")
        self._uris_by_identifier[identifier] = uri
        self._identifiers_by_uri[uri] = identifier

    def identifier_of(self, uri: str) -> int | None:
        """The identifier for `uri`, None when it was not negotiated."""
        return self._identifiers_by_uri.get(uri)

    def uri_of(self, identifier: int) -> str | None:
        """What `identifier` stands for, None when it was not negotiated."""
        return self._uris_by_identifier.get(identifier)


def value_of(packet: RtpPacket, identifier: int | None, parse: Callable[[bytes], Value]) -> Value | None:
    """What `parse` makes of the first element with this identifier; None when there is none, or it is malformed."""
    data = packet.extension(identifier) if identifier is not None else None
    if data is None:
        return None
    try:
        return parse(data)
    except MalformedError:
        return None


# Identifiers of media sections and of streams


def encode_token(value: str) -> bytes:
    """A mid, a stream identifier or a repaired stream identifier: 1 to 255 characters of a token of SDP."""
    try:
        data = value.encode("ascii")
    except UnicodeEncodeError as error:
        raise InvalidAccessError(f"{value!r} is no token") from error
    if not _TOKEN.fullmatch(data):
        raise InvalidAccessError(f"{value!r} is no token of 1 to 255 characters")
    return data


def parse_token(data: bytes) -> str:
    """A mid, a stream identifier or a repaired stream identifier."""
    if not _TOKEN.fullmatch(data):
        raise MalformedError("an identifier that is no token")
    return data.decode("ascii")


# Time and order of sending


def encode_absolute_send_time(seconds: Duration) -> bytes:
    """When the packet leaves, in seconds of any steady clock: 24 bits of 2**-18 s, which wrap after 64 s."""
    return (int(seconds * 262_144) & 0xFFFFFF).to_bytes(3, "big")


def parse_absolute_send_time(data: bytes) -> Duration:
    """When the packet left, 0 to 64 seconds; only differences mean anything."""
    return _unsigned(data, 3) / 262_144


def encode_transport_sequence_number(number: int) -> bytes:
    """The number of a packet among all of its transport, modulo 2**16."""
    return (number & 0xFFFF).to_bytes(2, "big")


def parse_transport_sequence_number(data: bytes) -> int:
    """The number of a packet among all of its transport, 0 to 65,535."""
    return _unsigned(data, 2)


def _unsigned(data: bytes, size: int) -> int:
    if len(data) < size:
        raise MalformedError(f"an extension element of {len(data)} bytes in place of {size}")
    return int.from_bytes(data[:size], "big")


# Sound


@dataclass(frozen=True, slots=True)
class AudioLevel:
    """How loud a packet is (RFC 6464): `level` is 0 for full scale to 127 for silence, in -dBov."""

    level: int
    voice: bool = False


def encode_audio_level(value: AudioLevel) -> bytes:
    """One byte: the flag for voice activity, and the level."""
    return bytes((value.voice << 7 | _checked_level(value.level),))


def parse_audio_level(data: bytes) -> AudioLevel:
    """How loud the packet is."""
    byte = _unsigned(data, 1)
    return AudioLevel(byte & 0x7F, bool(byte & 0x80))


def encode_contributing_audio_levels(levels: tuple[int, ...]) -> bytes:
    """How loud each contributing source is (RFC 6465), 1 to 15 levels in the order of the CSRCs."""
    if not 1 <= len(levels) <= 15:
        raise InvalidAccessError(f"{len(levels)} levels of contributing sources")
    return bytes([_checked_level(level) for level in levels])


def parse_contributing_audio_levels(data: bytes) -> tuple[int, ...]:
    """How loud each contributing source is, 0 to 127 in -dBov."""
    if not 1 <= len(data) <= 15:
        raise MalformedError(f"{len(data)} levels of contributing sources")
    return tuple(byte & 0x7F for byte in data)


def _checked_level(level: int) -> int:
    if not 0 <= level <= 127:
        raise InvalidAccessError(f"an audio level is 0 to 127, not {level}")
    return level


# Pictures


@dataclass(frozen=True, slots=True)
class PlayoutDelay:
    """Between which delays a frame may be shown, in seconds; 0 to 40.95 in steps of 10 ms."""

    minimum: Duration
    maximum: Duration


def encode_playout_delay(value: PlayoutDelay) -> bytes:
    """Twelve bits for each end, in units of 10 ms."""
    if not 0 <= value.minimum <= value.maximum <= 40.95:
        raise InvalidAccessError(f"no range of playout delays: {value.minimum} to {value.maximum}")
    return (round(value.minimum * 100) << 12 | round(value.maximum * 100)).to_bytes(3, "big")


def parse_playout_delay(data: bytes) -> PlayoutDelay:
    """Between which delays a frame may be shown."""
    number = _unsigned(data, 3)
    minimum, maximum = number >> 12, number & 0xFFF
    if minimum > maximum:
        raise MalformedError(f"playout delays from {minimum} to {maximum}")
    return PlayoutDelay(minimum / 100, maximum / 100)


@dataclass(frozen=True, slots=True)
class VideoOrientation:
    """How a picture has to be turned before it is shown (3GPP TS 26.114 section 7.4.5).

    `rotation` is 0, 90, 180 or 270 degrees clockwise, done after `flip`, which mirrors left and right.
    """

    rotation: int = 0
    flip: bool = False
    back_camera: bool = False


def encode_video_orientation(value: VideoOrientation) -> bytes:
    """One byte: camera, flip, and quarters of a turn."""
    if value.rotation not in (0, 90, 180, 270):
        raise InvalidAccessError(f"a picture is turned by quarters, not by {value.rotation} degrees")
    return bytes((value.back_camera << 3 | value.flip << 2 | value.rotation // 90,))


def parse_video_orientation(data: bytes) -> VideoOrientation:
    """How the picture has to be turned."""
    byte = _unsigned(data, 1)
    return VideoOrientation(90 * (byte & 0x03), bool(byte & 0x04), bool(byte & 0x08))
