"""Ports within a range; the sockets are real ones, on loopback."""

from __future__ import annotations

import errno
import socket

import pytest

from icelane.aio.port_range import bind_within, is_within, parse_port_range
from icelane.core.net import SocketAddress


@pytest.mark.parametrize("ports", [(1, 1), (50_000, 50_100), [1024, 65_535]])
def test_a_range_is_its_first_and_its_last_port(ports: object) -> None:
    assert parse_port_range(ports) == tuple(ports)  # type: ignore[arg-type]  # what mypy would not let a program do


@pytest.mark.parametrize(
    "ports", [50_000, "50000-50100", (50_000,), (2, 1), (0, 10), (1, 65_536), (1.0, 2.0), (True, 2), ("1", "2"), None]
)
def test_what_is_no_range_is_refused_and_named(ports: object) -> None:
    with pytest.raises(TypeError, match="port_range is a pair"):
        parse_port_range(ports)


def test_a_port_is_within_a_range_from_its_first_to_its_last() -> None:
    ports = [port for port in range(90, 120) if is_within((100, 110), SocketAddress("192.0.2.7", port))]
    assert ports == list(range(100, 111))
    assert is_within(None, SocketAddress("192.0.2.7", 99))


def test_without_a_range_the_kernel_chooses() -> None:
    assert bind_within(None, lambda port: port) == 0


def test_ports_come_in_random_order_and_each_once() -> None:
    tried: list[int] = []

    def taken(port: int) -> None:
        tried.append(port)
        raise OSError(errno.EADDRINUSE, "in use")

    with pytest.raises(OSError, match="no port from 40000 to 40099 is free"):
        bind_within((40_000, 40_099), taken)
    assert sorted(tried) == list(range(40_000, 40_100))
    assert tried != sorted(tried)


def test_another_failure_is_not_about_the_port_and_ends_the_search() -> None:
    tried: list[int] = []

    def forbidden(port: int) -> None:
        tried.append(port)
        raise OSError(errno.EACCES, "forbidden")

    with pytest.raises(PermissionError):
        bind_within((1, 1023), forbidden)
    assert len(tried) == 1


def test_the_one_port_that_is_free_is_found() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        first.bind(("127.0.0.1", 0))
        taken = first.getsockname()[1]

        def bind(port: int) -> int:
            second.bind(("127.0.0.1", port))
            return port

        ports = (taken - 1, taken) if taken > 1024 else (taken, taken + 1)
        assert bind_within(ports, bind) in set(range(ports[0], ports[1] + 1)) - {taken}
