"""ChannelData (RFC 8656 section 12.4), and the framing of TURN over streams.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Channel Number        |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /                       Application Data                        /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The length counts the application data alone. Over a stream the message is padded to a multiple of four; in a datagram
it need not be. What the padding holds is ignored.
"""

from __future__ import annotations

from icelane.errors import MalformedError
from icelane.stun.framing import measure_stun

# RFC 8656 section 12 ends the range at 0x4FFF, so that a port can be shared as RFC 7983 says; a client keeps to that.
MIN_CHANNEL_NUMBER = 0x4000
MAX_CHANNEL_NUMBER = 0x4FFF
# RFC 5766 went up to here, and its clients still do: a TURN port shares with nobody, so a server takes them.
MAX_LEGACY_CHANNEL_NUMBER = 0x7FFF
CHANNEL_HEADER_SIZE = 4
MAX_CHANNEL_PAYLOAD = 0xFFFF


class ChannelData:
    """A parsed message: the channel's number and the application data."""

    __slots__ = ("number", "payload")

    def __init__(self, number: int, payload: bytes) -> None:
        self.number = number
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChannelData):
            return NotImplemented
        return self.number == other.number and self.payload == other.payload

    def __repr__(self) -> str:
        return f"ChannelData({self.number:#06x}, {len(self.payload)} bytes)"


def looks_like_channel_data(data: bytes) -> bool:
    """Whether a datagram on a TURN port begins like ChannelData: first byte 64 to 127 (RFC 5766 section 11)."""
    return len(data) >= CHANNEL_HEADER_SIZE and data[0] & 0xC0 == 0x40


def parse_channel_data(data: bytes) -> ChannelData:
    """Parse a whole datagram or a whole frame of a stream; up to three bytes of padding may follow the data.

    Raises MalformedError for a number outside 0x4000-0x7FFF, data shorter than the length says, or more than padding
    behind it.
    """
    size = len(data)
    if size < CHANNEL_HEADER_SIZE:
        raise MalformedError(f"{size} bytes are too short for a ChannelData header")
    number = data[0] << 8 | data[1]
    if number & 0xC000 != 0x4000:
        raise MalformedError(f"{number:#06x} is not a channel number")
    end = CHANNEL_HEADER_SIZE + (data[2] << 8 | data[3])
    if end > size or size - end > 3:
        raise MalformedError(f"ChannelData of {end} bytes in {size}")
    return ChannelData(number, data[CHANNEL_HEADER_SIZE:end])


def encode_channel_data(number: int, payload: bytes) -> bytes:
    """The message for a datagram, without padding. Both are in range, because the channel was bound."""
    size = len(payload)
    return bytes((number >> 8, number & 0xFF, size >> 8, size & 0xFF)) + payload


def encode_channel_data_for_stream(number: int, payload: bytes) -> bytes:
    """The message for a stream, padded with zeros to a multiple of four."""
    size = len(payload)
    return bytes((number >> 8, number & 0xFF, size >> 8, size & 0xFF)) + payload + bytes(-size & 3)


def measure_turn(buffer: bytes | bytearray, start: int, available: int) -> int | None:
    """The length of the STUN or ChannelData message at `start` of a stream, padding included.

    See `icelane.stun.framing.Measure`. A sender that forgets the padding loses its place in the stream, and is found
    out at the next header.
    """
    first = buffer[start]
    if first & 0xC0 == 0:
        return measure_stun(buffer, start, available)
    if first & 0xC0 != 0x40:
        raise MalformedError("the stream holds neither STUN nor ChannelData")
    if available < CHANNEL_HEADER_SIZE:
        return None
    size = buffer[start + 2] << 8 | buffer[start + 3]
    return CHANNEL_HEADER_SIZE + size + (-size & 3)
