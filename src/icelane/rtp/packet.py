"""RTP packets (RFC 3550 section 5.1) with their header extensions (RFC 8285).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           timestamp                           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           synchronization source (SSRC) identifier            |
    +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
    |            contributing source (CSRC) identifiers             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      defined by profile       |     length in 32-bit words    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        header extension                       |

An extension of profile 0xBEDE has elements with a header of one byte, one of 0x1000 to 0x100F with a header of two:

     0 1 2 3 4 5 6 7               0                   1
    +-+-+-+-+-+-+-+-+              0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
    |  ID   | len-1 |             +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    +-+-+-+-+-+-+-+-+             |       ID      |      len      |
                                  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import pack
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError

HEADER_SIZE: Final = 12
ONE_BYTE_PROFILE: Final = 0xBEDE
TWO_BYTE_PROFILE: Final = 0x1000
# RFC 8285 section 4.2: 0 is padding and 15 ends the extension.
MAX_ONE_BYTE_ID: Final = 14
MAX_ONE_BYTE_SIZE: Final = 16
# As many as there are identifiers of two bytes. A packet with more elements does not parse, and is not built.
MAX_EXTENSIONS: Final = 255
# The count of CSRCs has four bits.
MAX_CSRCS: Final = 15


class RtpPacket:
    """One RTP packet, parsed or to be built; made for every packet, so slotted and not frozen.

    `extensions` are pairs of an identifier and its data, in the order of the wire; `extension_profile` is 0 when there
    is no header extension. Of a profile that is not RFC 8285's the whole content is one pair with the identifier 0.
    `payload` is without the `padding_length` (0 to 255) bytes of padding behind it.
    """

    __slots__ = (
        "csrcs",
        "extension_profile",
        "extensions",
        "marker",
        "padding_length",
        "payload",
        "payload_type",
        "sequence_number",
        "ssrc",
        "timestamp",
    )

    def __init__(
        self,
        payload_type: int = 0,
        sequence_number: int = 0,
        timestamp: int = 0,
        ssrc: int = 0,
        payload: bytes = b"",
        marker: bool = False,
        extensions: list[tuple[int, bytes]] | None = None,
        csrcs: tuple[int, ...] = (),
        extension_profile: int = 0,
        padding_length: int = 0,
    ) -> None:
        self.payload_type = payload_type
        self.sequence_number = sequence_number
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.payload = payload
        self.marker = marker
        self.extensions: list[tuple[int, bytes]] = [] if extensions is None else extensions
        self.csrcs = csrcs
        self.extension_profile = extension_profile
        self.padding_length = padding_length

    def __repr__(self) -> str:
        return (
            f"RtpPacket(payload_type={self.payload_type}, sequence_number={self.sequence_number}, "
            f"timestamp={self.timestamp}, ssrc={self.ssrc:#010x}, {len(self.payload)} bytes)"
        )

    def extension(self, identifier: int) -> bytes | None:
        """The data of the first element with this identifier, or None."""
        for element in self.extensions:
            if element[0] == identifier:
                return element[1]
        return None

    def set_extension(self, identifier: int, data: bytes) -> None:
        """Put `data` in place of the element with this identifier, or behind the others."""
        for position, element in enumerate(self.extensions):
            if element[0] == identifier:
                self.extensions[position] = (identifier, data)
                return
        self.extensions.append((identifier, data))


def parse_rtp_packet(data: bytes) -> RtpPacket:
    """The packet that `data` is.

    Raises MalformedError when it is of another version than 2, when one of its counts and lengths is more than there
    is, or when there is padding of no length.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise MalformedError(f"{size} bytes are too short for an RTP header")
    first, second = data[0], data[1]
    if first >> 6 != 2:
        raise MalformedError(f"RTP of version {first >> 6}")
    start = HEADER_SIZE + 4 * (first & 0x0F)
    if start > size:
        raise MalformedError(f"{first & 0x0F} contributing sources in {size} bytes")
    packet = RtpPacket(second & 0x7F, data[2] << 8 | data[3], _uint32(data, 4), _uint32(data, 8))
    packet.marker = second > 0x7F
    if start > HEADER_SIZE:
        packet.csrcs = tuple([_uint32(data, position) for position in range(HEADER_SIZE, start, 4)])
    if first & 0x10:
        start = read_extension(packet, data, start)
    put_payload(packet, data[start:], first)
    return packet


def put_payload(packet: RtpPacket, payload: bytes, first: int) -> None:
    """Give `packet` its payload, with the padding that `first`, the first byte of its header, may announce behind it.

    Raises MalformedError for padding of no length, or of more than there is.
    """
    if first & 0x20:
        size = len(payload)
        packet.padding_length = payload[size - 1] if size else 0
        if packet.padding_length == 0 or packet.padding_length > size:
            raise MalformedError(f"{packet.padding_length} bytes of padding in {size}")
        payload = payload[: size - packet.padding_length]
    packet.payload = payload


def _uint32(data: bytes, position: int) -> int:
    high = data[position]  # wide enough in the compiled form to be moved by 24 bits
    return high << 24 | data[position + 1] << 16 | data[position + 2] << 8 | data[position + 3]


def read_extension(packet: RtpPacket, data: bytes, start: int) -> int:
    """Give `packet` the header extension that begins at `start`, and return where it ends; raises MalformedError."""
    size = len(data)
    if start + 4 > size:
        raise MalformedError("the header extension runs past the end")
    profile = data[start] << 8 | data[start + 1]
    end = start + 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    start += 4
    if end > size:
        raise MalformedError(f"a header extension of {end - start} bytes where {size - start} are left")
    packet.extension_profile = profile
    if profile == ONE_BYTE_PROFILE:
        packet.extensions = _read_one_byte_elements(data, start, end)
    elif profile & 0xFFF0 == TWO_BYTE_PROFILE:
        packet.extensions = _read_two_byte_elements(data, start, end)
    elif profile:  # 0 stands for none here, and nobody has defined it
        packet.extensions = [(0, data[start:end])]
    return end


def _read_one_byte_elements(data: bytes, start: int, end: int) -> list[tuple[int, bytes]]:
    elements: list[tuple[int, bytes]] = []
    while start < end:
        head = data[start]
        start += 1
        if head == 0:
            continue
        if head >> 4 == 0 or head >> 4 == 15:  # RFC 8285 section 4.2: what comes behind it does not count
            break
        stop = start + (head & 0x0F) + 1
        _check_element(stop, end, len(elements))
        elements.append((head >> 4, data[start:stop]))
        start = stop
    return elements


def _read_two_byte_elements(data: bytes, start: int, end: int) -> list[tuple[int, bytes]]:
    elements: list[tuple[int, bytes]] = []
    while start < end:
        identifier = data[start]
        start += 1
        if identifier == 0:
            continue
        if start == end:
            raise MalformedError("an extension element without its length")
        stop = start + 1 + data[start]
        _check_element(stop, end, len(elements))
        elements.append((identifier, data[start + 1 : stop]))
        start = stop
    return elements


def _check_element(stop: int, end: int, count: int) -> None:
    if stop > end:
        raise MalformedError(f"an extension element runs {stop - end} bytes past the end")
    if count == MAX_EXTENSIONS:
        raise MalformedError(f"more than {MAX_EXTENSIONS} extension elements")


def serialize(packet: RtpPacket) -> bytes:
    """The bytes of `packet`; elements have headers of one byte unless one of them needs two.

    Raises InvalidAccessError when a value does not fit into its field.
    """
    header = encode_header(packet)
    if packet.padding_length:
        padding = bytes(packet.padding_length - 1) + bytes((packet.padding_length,))
        return b"".join((header, packet.payload, padding))
    return b"".join((header, packet.payload))


def header_size(packet: RtpPacket) -> int:
    """The bytes before the payload, where extension elements have headers of one byte."""
    size = HEADER_SIZE + 4 * len(packet.csrcs)
    elements = packet.extensions
    if elements:
        total = len(elements)
        for _, data in elements:
            total += len(data)
        size += 4 + total + (-total & 3)
    return size


def encode_header(packet: RtpPacket) -> bytearray:
    """What stands before the payload of `packet`. Raises as `serialize` does."""
    if not 0 <= packet.padding_length <= 255 or not 0 <= packet.payload_type <= 127 or len(packet.csrcs) > MAX_CSRCS:
        raise InvalidAccessError(f"{packet!r} does not fit into an RTP header")
    first = 0x80 | len(packet.csrcs)
    if packet.extensions:
        first |= 0x10
    if packet.padding_length:
        first |= 0x20
    timestamp, ssrc = packet.timestamp, packet.ssrc
    header = bytearray(HEADER_SIZE)
    header[0] = first
    header[1] = 0x80 | packet.payload_type if packet.marker else packet.payload_type
    header[2], header[3] = packet.sequence_number >> 8 & 0xFF, packet.sequence_number & 0xFF
    header[4], header[5] = timestamp >> 24 & 0xFF, timestamp >> 16 & 0xFF
    header[6], header[7] = timestamp >> 8 & 0xFF, timestamp & 0xFF
    header[8], header[9] = ssrc >> 24 & 0xFF, ssrc >> 16 & 0xFF
    header[10], header[11] = ssrc >> 8 & 0xFF, ssrc & 0xFF
    if packet.csrcs:
        header += pack(f">{len(packet.csrcs)}I", *packet.csrcs)
    if packet.extensions:
        header += _encode_extension(packet)
    return header


def _encode_extension(packet: RtpPacket) -> bytes | bytearray:
    profile = packet.extension_profile
    if profile != 0 and profile != ONE_BYTE_PROFILE and profile & 0xFFF0 != TWO_BYTE_PROFILE:
        return _encode_foreign_extension(packet)
    one_byte = _fits_one_byte(packet.extensions)
    if one_byte:
        profile = ONE_BYTE_PROFILE
    elif profile & 0xFFF0 != TWO_BYTE_PROFILE:
        profile = TWO_BYTE_PROFILE
    body = bytearray(4)
    for identifier, data in packet.extensions:
        if one_byte:
            body.append(identifier << 4 | len(data) - 1)
        else:
            body.append(identifier)
            body.append(len(data))
        body += data
    while len(body) & 3:
        body.append(0)
    words = (len(body) >> 2) - 1
    body[0], body[1], body[2], body[3] = profile >> 8, profile & 0xFF, words >> 8, words & 0xFF
    return body


def _fits_one_byte(elements: list[tuple[int, bytes]]) -> bool:
    one_byte = True
    if len(elements) > MAX_EXTENSIONS:
        raise InvalidAccessError(f"{len(elements)} extension elements")
    for identifier, data in elements:
        size = len(data)
        if identifier < 1 or identifier > 255 or size > 255:
            raise InvalidAccessError(f"an extension element {identifier} of {size} bytes")
        if identifier > MAX_ONE_BYTE_ID or size == 0 or size > MAX_ONE_BYTE_SIZE:
            one_byte = False
    return one_byte


def _encode_foreign_extension(packet: RtpPacket) -> bytes:
    identifier, data = packet.extensions[0]
    if len(packet.extensions) != 1 or identifier != 0 or len(data) & 3 or len(data) >> 2 > 0xFFFF:
        raise InvalidAccessError(f"not the content of an extension of profile {packet.extension_profile:#06x}")
    return pack(">HH", packet.extension_profile, len(data) >> 2) + data
