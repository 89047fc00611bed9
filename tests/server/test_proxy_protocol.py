"""The header of a proxy: read exactly, understood exactly, or refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.server.proxy_protocol import MAX_HEADER_SIZE, ProxyHeader

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TLS = b"\x16\x03\x01\x02\x00\x01"
TCP4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"
TCP6 = b"PROXY TCP6 2001:DB8::7 2001:db8::1 50000 443\r\n"


def binary(command: int, family: int, body: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(body)) + body


IPV4_BODY = bytes((192, 0, 2, 7, 198, 51, 100, 1)) + struct.pack("!HH", 50000, 443)
IPV6_BODY = (
    bytes.fromhex("20010db8000000000000000000000007" "20010db8000000000000000000000001")
    + struct.pack("!HH", 50000, 443)
)  # fmt: skip
MAPPED_BODY = (
    bytes.fromhex("00000000000000000000ffffc0000207" "00000000000000000000ffffc6336401")
    + struct.pack("!HH", 50000, 443)
)  # fmt: skip
TLV = b"\x03\x00\x04abcd"

CLIENT4 = SocketAddress("192.0.2.7", 50000)
CLIENT6 = SocketAddress("2001:db8::7", 50000)

GOOD = {
    "version 1, IPv4": (TCP4, CLIENT4),
    "version 1, IPv6": (TCP6, CLIENT6),
    "version 1, the shortest": (b"PROXY UNKNOWN\r\n", None),
    "version 1, unknown with addresses": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    "version 2, IPv4": (binary(0x21, 0x11, IPV4_BODY), CLIENT4),
    "version 2, IPv6": (binary(0x21, 0x21, IPV6_BODY), CLIENT6),
    "version 1, IPv4 as IPv6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 50000 443\r\n", CLIENT4),
    "version 1, IPv4 as IPv6 in hexadecimal": (b"PROXY TCP6 ::FFFF:C000:207 2001:db8::1 50000 443\r\n", CLIENT4),
    "version 2, IPv4 as IPv6": (binary(0x21, 0x21, MAPPED_BODY), CLIENT4),
    "version 2, with more fields": (binary(0x21, 0x11, IPV4_BODY + TLV), CLIENT4),
    "version 2, the proxy itself": (binary(0x20, 0x00, b""), None),
    "version 2, the proxy itself, with addresses": (binary(0x20, 0x11, IPV4_BODY), None),
}

BAD = {
    "TLS": TLS + bytes(20),
    "HTTP": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "STUN": b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
    "no such family": b"PROXY UDP4 192.0.2.7 198.51.100.1 50000 443\r\n",
    "no ports": b"PROXY TCP4 192.0.2.7 198.51.100.1\r\n",
    "a port above 65535": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
    "IPv4 called IPv6": b"PROXY TCP6 192.0.2.7 198.51.100.1 50000 443\r\n",
    "an address with a zero in front": b"PROXY TCP4 192.0.2.07 198.51.100.1 50000 443\r\n",
    "no address": b"PROXY TCP4 .. 198.51.100.1 50000 443\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 50000 443\r\n",
    "a line that does not end": b"PROXY TCP4 " + b"1" * 200,
    "a lone line feed": b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\n" + bytes(80),
    "version 3": binary(0x31, 0x11, IPV4_BODY),
    "an unknown command": binary(0x22, 0x11, IPV4_BODY),
    "a datagram": binary(0x21, 0x12, IPV4_BODY),
    "a UNIX socket": binary(0x21, 0x31, bytes(216)),
    "no addresses": binary(0x21, 0x11, IPV4_BODY[:11]),
    "too long": binary(0x21, 0x11, bytes(MAX_HEADER_SIZE)),
    "half a signature": SIGNATURE[:8] + bytes(20),
}


def feed(stream: bytes, sizes: list[int] | None = None) -> tuple[ProxyHeader, bytes]:
    """Give the header what it wants, in pieces of the given sizes; returns it and what it left alone."""
    header = ProxyHeader()
    turn = 0
    while header.wanted and stream:
        size = min(header.wanted, sizes[turn % len(sizes)] if sizes else header.wanted)
        header.handle_bytes(stream[:size])
        stream = stream[size:]
        turn += 1
    return header, stream


@pytest.mark.parametrize(("header", "source"), GOOD.values(), ids=GOOD)
def test_a_header_names_the_client_and_nothing_behind_it_is_touched(
    header: bytes, source: SocketAddress | None
) -> None:
    for behind in (b"", TLS, header):
        parsed, left = feed(header + behind)
        assert (parsed.wanted, parsed.source, left) == (0, source, behind)


@pytest.mark.parametrize(("header", "source"), GOOD.values(), ids=GOOD)
def test_a_header_may_come_in_any_pieces(header: bytes, source: SocketAddress | None) -> None:
    for size in range(1, len(header) + 1):
        parsed, left = feed(header + TLS, [size, 1])
        assert (parsed.wanted, parsed.source, left) == (0, source, TLS)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_anything_else_is_malformed(header: bytes) -> None:
    with pytest.raises(MalformedError):
        feed(header)


@pytest.mark.parametrize(("header", "source"), GOOD.values(), ids=GOOD)
def test_a_header_that_is_cut_short_is_still_wanted(header: bytes, source: SocketAddress | None) -> None:
    for size in range(len(header)):
        parsed, _ = feed(header[:size])
        assert parsed.wanted > 0
        assert parsed.source is None


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_any_bytes_are_a_header_or_malformed(data: bytes, sizes: list[int]) -> None:
    for prefix in (b"", b"PROXY ", SIGNATURE):
        try:
            header, _ = feed(prefix + data, sizes)
        except MalformedError:
            continue
        assert 0 <= header.wanted <= MAX_HEADER_SIZE
