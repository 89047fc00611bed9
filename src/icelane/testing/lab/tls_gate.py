"""The firewall that lets pass what looks like TLS: a transparent proxy on a gateway.

    python -m icelane.testing.lab.tls_gate PORT

nftables redirects connections to it. It connects where the client wanted to go, once that has sent the begin of a
ClientHello, and follows the records of both directions to the end: a STUN message is cut at the first byte, and so is
one that hides behind a handshake of TLS. It cannot look into the records, and does not prove certificates.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Final

from icelane.testing.lab.splice import CutError, serve, splice

# RFC 8446 section 5.1, and RFC 5246 section 6.2.3 for the longest record that there may be.
HEADER: Final = 5
MAX_RECORD: Final = 2**14 + 2048
_CONTENT_TYPES: Final = range(20, 25)  # change_cipher_spec, alert, handshake, application_data, heartbeat
_ALERT: Final = 21
_HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2

_SO_ORIGINAL_DST: Final = 80  # linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h


class RecordFilter:
    """Follows the records of one direction.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | content type  |  version, 3.0 to 3.4          |    length     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |    length     |  first byte of the first: ClientHello or ServerHello
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    def __init__(self, hello: int) -> None:
        self._hello = hello
        self._head = bytearray()
        self._left = 0
        self._is_first = True

    def __call__(self, data: bytes) -> bytes:
        """What of the data that came so far may go on now. Raises CutError for what is no TLS."""
        passed = bytearray()
        position = 0
        while position < len(data):
            if self._left:
                taken = data[position : position + self._left]
                passed += taken
                self._left -= len(taken)
                position += len(taken)
                continue
            self._head.append(data[position])
            position += 1
            self._check()
            if len(self._head) == HEADER + self._is_first:
                passed += self._head
                (length,) = struct.unpack_from("!H", self._head, 3)
                self._left = length - self._is_first
                self._is_first = False
                self._head.clear()
        return bytes(passed)

    def _check(self) -> None:
        """The byte of the header that came last."""
        index, byte = len(self._head) - 1, self._head[-1]
        if index == 0:
            # A server may refuse at once.
            first = (_HANDSHAKE,) if self._hello == CLIENT_HELLO else (_HANDSHAKE, _ALERT)
            good = byte in (first if self._is_first else _CONTENT_TYPES)
        elif index == 1:
            good = byte == 3
        elif index == 2:
            good = byte <= 4
        elif index == HEADER - 1:
            (length,) = struct.unpack_from("!H", self._head, 3)
            good = self._is_first <= length <= MAX_RECORD
        elif index == HEADER:
            good = self._head[0] == _ALERT or byte == self._hello
        else:
            good = True
        if not good:
            raise CutError("this is no TLS")


async def pass_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of a client."""
    outward, inward = RecordFilter(CLIENT_HELLO), RecordFilter(SERVER_HELLO)
    begin = b""
    while not begin:
        data = await reader.read(4096)
        if not data:
            return
        begin = outward(data)
    host, port = _original_destination(writer.get_extra_info("socket"))
    far = await asyncio.open_connection(host, port)
    far[1].write(begin)
    await splice((reader, writer), far, outward=outward, inward=inward)


def _original_destination(connection: socket.socket) -> tuple[str, int]:
    """Where the client wanted to go before nftables redirected it."""
    host = connection.getsockname()[0]
    if "." in host:  # an IPv4 connection, perhaps on a socket for both
        address = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        return socket.inet_ntop(socket.AF_INET, address[4:8]), struct.unpack_from("!H", address, 2)[0]
    address = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
    return socket.inet_ntop(socket.AF_INET6, address[8:24]), struct.unpack_from("!H", address, 2)[0]


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), pass_through))
