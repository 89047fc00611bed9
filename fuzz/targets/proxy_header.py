"""The PROXY header: what it wants never reaches beyond its end, however it is cut, and it names a real address."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.net import canonical_host
from icelane.errors import MalformedError
from icelane.server.proxy_protocol import MAX_HEADER_SIZE, ProxyHeader

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

SEEDS = [
    b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n\x16\x03\x01",
    b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n",
    b"PROXY UNKNOWN\r\n",
    _SIGNATURE + b"\x21\x11\x00\x0c" + bytes(range(12)),
    _SIGNATURE + b"\x21\x21\x00\x24" + bytes(range(36)),
    _SIGNATURE + b"\x20\x00\x00\x00\x16\x03\x01",
]
DICTIONARY = [_SIGNATURE, b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", b"\x21\x11", b"\x21\x21", b"\x20\x00"]


def parse(data: bytes, step: int) -> tuple[str, int]:
    """Who the client is, or what is wrong, and how many bytes were taken."""
    header = ProxyHeader()
    taken = 0
    try:
        while header.wanted and taken < len(data):
            assert header.wanted <= MAX_HEADER_SIZE
            piece = data[taken : taken + min(header.wanted, step)]
            taken += len(piece)
            header.handle_bytes(piece)
    except MalformedError as error:
        return f"malformed: {error}", 0
    if header.wanted:
        assert header.source is None
        return "unfinished", taken
    if header.source is None:
        return "itself", taken
    assert canonical_host(header.source.host) == header.source.host
    assert 0 <= header.source.port <= 0xFFFF
    return str(header.source), taken


def run(data: bytes) -> Hashable:
    """The kind of header."""
    whole = parse(data, MAX_HEADER_SIZE)
    assert parse(data, 1) == whole, "a header depends on how it was cut"
    return whole[0] if whole[0].startswith(("malformed", "un", "it")) else ":" in whole[0]
