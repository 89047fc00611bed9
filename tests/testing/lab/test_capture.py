"""A capture has every packet, as rows that say who spoke to whom."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from icelane.testing.lab import Host, Lab, Packet, Way, build
from icelane.testing.lab.capture import row_of
from tests.testing.lab.sockets import datagrams, echo, echoing, need_lab

PORTS = struct.pack("!HH", 1000, 2000)
FOUR = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
SIX = bytes([0x60, 0, 0, 0, 0, 8, 17, 64]) + socket.inet_pton(socket.AF_INET6, "2001:2::1") * 2


def six(next_header: int, rest: bytes) -> bytes:
    return SIX[:6] + bytes([next_header]) + SIX[7:] + rest


@pytest.mark.parametrize(
    ("kind", "data", "row"),
    [
        (0x0800, FOUR + PORTS, ("udp", "10.0.0.1", 1000, "10.0.0.2", 2000)),
        (0x0800, b"\x46" + FOUR[1:] + b"opts" + PORTS, ("udp", "10.0.0.1", 1000, "10.0.0.2", 2000)),
        (0x0800, FOUR[:6] + b"\x00\x10" + FOUR[8:] + b"middle of it", ("udp", "10.0.0.1", 0, "10.0.0.2", 0)),
        (0x0800, FOUR[:9] + b"\x01" + FOUR[10:] + PORTS, ("icmp", "10.0.0.1", 0, "10.0.0.2", 0)),
        (0x0800, FOUR[:9] + b"\x84" + FOUR[10:] + PORTS, ("132", "10.0.0.1", 0, "10.0.0.2", 0)),
        (0x86DD, six(6, PORTS), ("tcp", "2001:2::1", 1000, "2001:2::1", 2000)),
        (0x86DD, six(0, b"\x11\x00......" + PORTS), ("udp", "2001:2::1", 1000, "2001:2::1", 2000)),
        (0x86DD, six(44, b"\x11\x00\x00\x01...." + PORTS), ("udp", "2001:2::1", 1000, "2001:2::1", 2000)),
        (0x86DD, six(44, b"\x11\x00\x01\x00...." + PORTS), ("udp", "2001:2::1", 0, "2001:2::1", 0)),
        (0x86DD, six(0, b"\x3a\x00......" + PORTS), ("icmpv6", "2001:2::1", 0, "2001:2::1", 0)),
        (0x0806, FOUR + PORTS, None),
        (0x0800, FOUR[:12], None),
        (0x0800, FOUR + PORTS[:2], None),
        (0x86DD, six(0, b"\x11"), None),
        (0x0800, b"", None),
    ],
)
def test_a_packet_becomes_a_row(kind: int, data: bytes, row: tuple[object, ...] | None) -> None:
    assert row_of(kind, data, is_outgoing=True) == (None if row is None else (True, *row))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    members = Host("alice"), Host("server"), Host("far", up=Way(delay=0.005))
    need_lab(*members)
    with build(*members) as built:
        yield built


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("name", ["alice", "far"])
def test_both_directions_are_counted_on_a_cable_and_on_a_line(lab: Lab, name: str, family: str) -> None:
    near, far = getattr(lab[name], family), getattr(lab["server"], family)
    with (
        datagrams(lab[name], host=near) as inner,
        datagrams(lab["server"], host=far) as server,
        lab[name].capture() as capture,
    ):
        inner_port, server_port = inner.getsockname()[1], server.getsockname()[1]
        for _ in range(3):
            inner.sendto(b"hello", (far, server_port))
            server.recv(100)
        server.sendto(b"answer", (near, inner_port))
        inner.recv(100)
    rows = {row: count for row, count in capture.packets().items() if row.protocol == "udp"}
    assert rows == {
        Packet(True, "udp", near, inner_port, far, server_port): 3,
        Packet(False, "udp", far, server_port, near, inner_port): 1,
    }
    assert capture.sent() == {("udp", far, server_port)}


def test_a_capture_can_be_asked_while_it_runs_and_tells_of_tcp(lab: Lab) -> None:
    host = lab["server"].ipv4
    assert host is not None
    with lab["alice"].capture() as capture, echoing(lab["server"], 80):
        assert capture.sent() == set()
        assert echo(lab["alice"], host, 80)
        assert capture.sent() == {("tcp", host, 80)}


def test_no_packet_of_a_flood_is_missed(lab: Lab) -> None:
    host = lab["server"].ipv4
    with datagrams(lab["alice"]) as inner, lab["alice"].capture() as capture:
        for _ in range(20_000):
            inner.sendto(bytes(1000), (host, 9))
    assert sum(count for row, count in capture.packets().items() if row.destination_port == 9) == 20_000
