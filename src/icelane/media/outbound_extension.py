"""The header extensions of packets that are sent: which of them, with which identifiers, and how long they are.

Some belong to this hop and are written anew for each packet that leaves: the section and the stream that it is of, when
it leaves, and its number in the transport. The others belong to the frame, and are the same when it is sent again.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant
from icelane.media.frame import EncodedFrame
from icelane.media.transport_sequence import TransportSequence
from icelane.rtp.header_extension import (
    ABSOLUTE_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RTP_STREAM_ID,
    RTP_STREAM_ID,
    TRANSPORT_SEQUENCE_NUMBER,
    VIDEO_ORIENTATION,
    AudioLevel,
    ExtensionMap,
    PlayoutDelay,
    VideoOrientation,
    encode_absolute_send_time,
    encode_audio_level,
    encode_playout_delay,
    encode_token,
    encode_video_orientation,
)
from icelane.rtp.packet import MAX_ONE_BYTE_ID, MAX_ONE_BYTE_SIZE, RtpPacket

Elements = list[tuple[int, bytes]]

OF_THIS_HOP: Final = frozenset(
    {
        MID,
        RTP_STREAM_ID,
        REPAIRED_RTP_STREAM_ID,
        ABSOLUTE_SEND_TIME,
        TRANSPORT_SEQUENCE_NUMBER,
    }
)
"""What is not passed on with a packet that comes from somewhere else."""

_SIZES: Final = {
    ABSOLUTE_SEND_TIME: 3,
    TRANSPORT_SEQUENCE_NUMBER: 2,
    AUDIO_LEVEL: 1,
    VIDEO_ORIENTATION: 1,
    PLAYOUT_DELAY: 3,
}


class OutboundExtensions:
    """Writes them for one stream and the one that repeats it. `mid` and `rid` are "" where there is none."""

    __slots__ = (
        "_absolute_send_time",
        "_audio_level",
        "_map",
        "_names",
        "_of_this_hop",
        "_orientation",
        "_playout_delay",
        "_repaired_names",
        "_sequence",
        "_sequence_number",
    )

    def __init__(
        self,
        extensions: ExtensionMap,
        sequence: TransportSequence | None,
        *,
        mid: str,
        rid: str,
        playout_delay: PlayoutDelay | None = None,
    ) -> None:
        self._map = extensions
        self._sequence = sequence
        self._absolute_send_time = extensions.identifier_of(ABSOLUTE_SEND_TIME)
        self._sequence_number = extensions.identifier_of(TRANSPORT_SEQUENCE_NUMBER) if sequence else None
        self._audio_level = extensions.identifier_of(AUDIO_LEVEL)
        self._orientation = extensions.identifier_of(VIDEO_ORIENTATION)
        self._playout_delay: Elements = []
        self.set_playout_delay(playout_delay)
        self._names = self._named(((MID, mid), (RTP_STREAM_ID, rid)))
        self._repaired_names = self._named(((MID, mid), (REPAIRED_RTP_STREAM_ID, rid)))
        self._of_this_hop = {identifier for identifier, uri in extensions if uri in OF_THIS_HOP}

    def _named(self, names: tuple[tuple[str, str], ...]) -> Elements:
        elements: Elements = []
        for uri, value in names:
            identifier = self._map.identifier_of(uri)
            if value and identifier is not None:
                elements.append((identifier, encode_token(value)))
        return elements

    def set_playout_delay(self, wanted: PlayoutDelay | None) -> None:
        """Ask the receiver for it with each frame from now on. Raises InvalidAccessError for what does not fit."""
        identifier = self._map.identifier_of(PLAYOUT_DELAY)
        self._playout_delay = []
        if wanted is not None and identifier is not None:
            self._playout_delay.append((identifier, encode_playout_delay(wanted)))

    @property
    def size(self) -> int:
        """How many bytes all of them take at most, the header extension's own four among them."""
        sizes = [(identifier, len(data)) for identifier, data in max(self._names, self._repaired_names, key=_size_of)]
        for uri, size in _SIZES.items():
            identifier = self._map.identifier_of(uri)
            if identifier is not None:
                sizes.append((identifier, size))
        if not sizes:
            return 0
        long = any(identifier > MAX_ONE_BYTE_ID or size > MAX_ONE_BYTE_SIZE for identifier, size in sizes)
        total = sum([size + (2 if long else 1) for _, size in sizes])
        return 4 + total + (-total & 3)

    def of_frame(self, frame: EncodedFrame) -> Elements:
        """Those of sound, and of the last packet of a picture."""
        elements = list(self._playout_delay)
        if self._audio_level is not None and frame.audio_level is not None:
            level = AudioLevel(min(max(frame.audio_level, 0), 127), frame.voice_activity)
            elements.append((self._audio_level, encode_audio_level(level)))
        if self._orientation is not None and (frame.rotation or frame.is_key):
            elements.append((self._orientation, encode_video_orientation(VideoOrientation(frame.rotation % 360))))
        return elements

    def passed_on(self, packet: RtpPacket, source: ExtensionMap) -> Elements:
        """Those of a packet from elsewhere that belong to what it carries, with the identifiers that hold here."""
        elements: Elements = []
        for identifier, data in packet.extensions:
            uri = source.uri_of(identifier)
            ours = None if uri is None or uri in OF_THIS_HOP else self._map.identifier_of(uri)
            if ours is not None:
                elements.append((ours, data))
        return elements

    def of_what_it_carries(self, packet: RtpPacket) -> Elements:
        """Those of a packet of ours that stay the same when it is sent again."""
        return [element for element in packet.extensions if element[0] not in self._of_this_hop]

    def stamp(self, packets: list[RtpPacket], now: Instant, named: bool, repaired: bool) -> None:
        """Put those of this hop before what each packet has, in the order in which they leave.

        `named` says whether they tell what they are of, `repaired` that they are sent again in a stream of their own.
        """
        shared: Elements = []
        if named:
            shared += self._repaired_names if repaired else self._names
        if self._absolute_send_time is not None:
            shared.append((self._absolute_send_time, encode_absolute_send_time(now)))
        identifier, sequence = self._sequence_number, self._sequence
        for packet in packets:
            elements = shared
            if identifier is not None and sequence is not None:
                number = sequence.take()
                elements = [*shared, (identifier, bytes((number >> 8 & 0xFF, number & 0xFF)))]
            if elements:
                packet.extensions = elements + packet.extensions


def _size_of(elements: Elements) -> int:
    return sum([len(data) for _, data in elements])
