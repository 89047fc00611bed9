"""A small HTTP proxy that knows CONNECT alone (RFC 9110 section 9.3.6), with Basic authentication if it is told.

    python -m icelane.testing.lab.http_proxy PORT ALLOWED_PORT,... [USER PASSWORD]

Like Debian's squid and tinyproxy it connects to few ports, 443 above all.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import sys
from dataclasses import dataclass, field
from typing import Final

from icelane.testing.lab.splice import serve, splice

_REQUEST_LINE: Final = re.compile(r"(\S+) (\S+) HTTP/1\.[01]")
_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/]+)):(\d{1,5})")


class RefusedError(Exception):
    """An answer other than 200: status code and reason, with further header fields."""

    def __init__(self, status: str, *fields: str) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """What it allows, and whom."""

    connect_ports: frozenset[int]
    user: str | None = None
    password: str = field(default="", repr=False)

    def destination_of(self, head: str) -> tuple[str, int]:
        """Where a request for a tunnel leads. Raises RefusedError."""
        request, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        line = _REQUEST_LINE.fullmatch(request)
        if line is None:
            raise RefusedError("400 Bad Request")
        if line[1] != "CONNECT":
            raise RefusedError("405 Method Not Allowed", "Allow: CONNECT")
        if self.user is not None and not any(self._proves(line) for line in lines):
            raise RefusedError("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="lab"')
        authority = _AUTHORITY.fullmatch(line[2])
        if authority is None:
            raise RefusedError("400 Bad Request")
        if int(authority[3]) not in self.connect_ports:
            raise RefusedError("403 Forbidden")
        return authority[1] or authority[2], int(authority[3])

    def _proves(self, line: str) -> bool:
        """Whether a header field is the right Basic credential (RFC 7617 section 2)."""
        name, _, value = line.partition(":")
        scheme, _, text = value.strip().partition(" ")
        if name.lower() != "proxy-authorization" or scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())

    async def tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            far = await self._connect(reader)
        except RefusedError as refused:
            fields = (*refused.fields, "Content-Length: 0", "Connection: close")
            writer.write("".join(f"{line}\r\n" for line in (f"HTTP/1.1 {refused.status}", *fields, "")).encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await splice((reader, writer), far)

    async def _connect(self, reader: asyncio.StreamReader) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise RefusedError("431 Request Header Fields Too Large") from None
        host, port = self.destination_of(head.decode("latin-1"))
        try:
            return await asyncio.open_connection(host, port)
        except OSError:
            raise RefusedError("502 Bad Gateway") from None


def main(port: str, connect_ports: str, user: str | None = None, password: str = "") -> None:
    """Serve until standard input ends."""
    proxy = Proxy(connect_ports=frozenset(map(int, connect_ports.split(","))), user=user, password=password)
    asyncio.run(serve(int(port), proxy.tunnel))


if __name__ == "__main__":
    main(*sys.argv[1:])
