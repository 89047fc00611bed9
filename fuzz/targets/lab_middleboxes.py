"""What programs of the lab read from the network: records of TLS, requests to the proxy, captured packets."""

from __future__ import annotations

import socket
from collections.abc import Hashable

from icelane.testing.lab.capture import row_of
from icelane.testing.lab.http_proxy import Proxy, RefusedError
from icelane.testing.lab.splice import CutError
from icelane.testing.lab.tls_gate import CLIENT_HELLO, SERVER_HELLO, RecordFilter

SEEDS = [
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\x17\x03\x03\x00\x03abc",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"CONNECT turn.example.org:443 HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\n\r\n",
    b"CONNECT [2001:2::2]:443 HTTP/1.0\r\n\r\n",
    bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]) + b"\x03\xe8\x07\xd0",
    b"\x60\x00\x00\x00\x00\x08\x00\x40" + socket.inet_pton(socket.AF_INET6, "2001:2::1") * 2 + b"\x11\x00" + bytes(10),
]
DICTIONARY = [
    b"\x16\x03\x03",
    b"\x17\x03\x03",
    b"CONNECT ",
    b" HTTP/1.1",
    b"\r\n",
    b":443",
    b"Basic ",
    b"\x2c",
    b"\x11",
]

_PROXY = Proxy(connect_ports=frozenset({443}), user="a", password="b")


def passed(data: bytes, hello: int, step: int) -> tuple[bytes, bool]:
    """What a filter lets pass, and whether it cuts."""
    passes, found = RecordFilter(hello), b""
    try:
        for start in range(0, len(data), step):
            found += passes(data[start : start + step])
    except CutError:
        return found, True
    return found, False


def run(data: bytes) -> Hashable:
    """How each of them takes it."""
    kinds: list[Hashable] = []
    for hello in (CLIENT_HELLO, SERVER_HELLO):
        piecemeal, is_cut = passed(data, hello, 1)
        whole, is_cut_too = passed(data, hello, max(1, len(data)))
        assert data.startswith(piecemeal)
        assert is_cut is is_cut_too
        assert whole == (b"" if is_cut else piecemeal), "what is cut in one piece passes not at all"
        kinds += [is_cut, bool(piecemeal)]
    try:
        host, port = _PROXY.destination_of(data.decode("latin-1"))
        assert host
        assert port == 443
        kinds.append("tunnel")
    except RefusedError as refused:
        kinds.append(refused.status)
    for ethernet_type in (0x0800, 0x86DD):
        row = row_of(ethernet_type, data, is_outgoing=True)
        kinds.append(row and row.protocol)
    return tuple(kinds)
