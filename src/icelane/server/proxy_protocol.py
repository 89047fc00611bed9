"""The header that a proxy sends before a connection's own bytes (PROXY protocol, HAProxy, versions 1 and 2).

    PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\\r\\n                              version 1

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A (12 bytes)         |   version 2
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Ver  |Command| Family| Proto |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   source, destination, source port, destination port, TLVs    |

What follows the header belongs to somebody else, to TLS perhaps, so no byte beyond it may be read:

    header = ProxyHeader()
    while header.wanted:
        header.handle_bytes(receive(header.wanted))
    header.source                                  # None: the proxy speaks for itself

Left out on purpose: the fields after the addresses (TLVs) are skipped, and datagram and UNIX addresses are refused.
"""

from __future__ import annotations

import re
from typing import Final

from icelane.core.net import SocketAddress, pack_host, unpack_host
from icelane.errors import MalformedError

# A header of version 2 says its length itself; what is longer carries no address that we would wait for.
MAX_HEADER_SIZE: Final = 4096

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED_SIZE: Final = 16
# The shortest header, `PROXY UNKNOWN` and the line's end, so that reading so much never reads too far.
_SHORTEST: Final = 15
_LONGEST_LINE: Final = 107
_LINE: Final = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]{2,45}) ([0-9a-fA-F.:]{2,45}) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_LINE_SIZES: Final = {b"TCP4": 4, b"TCP6": 16}
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
_ADDRESS_SIZES: Final = {0x11: 4, 0x21: 16}


class ProxyHeader:
    """Collects one header. `wanted` is how many bytes surely still belong to it, 0 once it is complete."""

    __slots__ = ("_data", "source", "wanted")

    def __init__(self) -> None:
        self._data = bytearray()
        self.wanted = _SHORTEST
        self.source: SocketAddress | None = None
        """The client; None when the proxy connects on its own behalf, or does not know."""

    def handle_bytes(self, data: bytes) -> None:
        """At most `wanted` bytes came in. Raises MalformedError when this is no header."""
        self._data += data
        self.wanted -= len(data)
        if self.wanted <= 0:
            self.wanted = self._continue()

    def _continue(self) -> int:
        data = bytes(self._data)
        if data.startswith(_SIGNATURE):
            return self._continue_binary(data)
        if data.startswith(b"PROXY "):
            return self._continue_line(data)
        raise MalformedError("the connection does not begin with a PROXY header")

    def _continue_line(self, data: bytes) -> int:
        if data.endswith(b"\r\n"):
            self.source = _source_of_line(data)
            return 0
        if len(data) >= _LONGEST_LINE:
            raise MalformedError("the PROXY line does not end")
        return 1 if data.endswith(b"\r") else 2

    def _continue_binary(self, data: bytes) -> int:
        if len(data) < _FIXED_SIZE:
            return _FIXED_SIZE - len(data)
        size = _FIXED_SIZE + (data[14] << 8 | data[15])
        if size > MAX_HEADER_SIZE:
            raise MalformedError(f"the PROXY header claims {size} bytes")
        if len(data) < size:
            return size - len(data)
        self.source = _source_of_binary(data)
        return 0


def _source_of_line(line: bytes) -> SocketAddress | None:
    if _UNKNOWN.fullmatch(line):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise MalformedError("the PROXY line does not parse")
    packed, port = pack_host(match[2].decode()), int(match[4])
    if port > 0xFFFF or len(packed) != _LINE_SIZES[match[1]]:
        raise MalformedError("the PROXY line has an address that does not fit")
    return SocketAddress(_unmapped(packed), port)


def _source_of_binary(header: bytes) -> SocketAddress | None:
    command = header[12]
    if command == _LOCAL:
        return None
    size = _ADDRESS_SIZES.get(header[13])
    if command != _PROXY or size is None:
        raise MalformedError("the PROXY header is not about a TCP connection")
    if len(header) < _FIXED_SIZE + 2 * size + 4:
        raise MalformedError("the PROXY header is too short for its addresses")
    ports = _FIXED_SIZE + 2 * size
    host = _unmapped(header[_FIXED_SIZE : _FIXED_SIZE + size])
    return SocketAddress(host, header[ports] << 8 | header[ports + 1])


def _unmapped(packed: bytes) -> str:
    """The client's address as it has it: a proxy that listens on IPv6 alone writes IPv4 clients as ::ffff:192.0.2.7,
    which would be another source for limits, and another family for the alternate server."""
    return unpack_host(packed.removeprefix(_MAPPED) if len(packed) == 16 else packed)
