"""The first free ports."""

from __future__ import annotations

import socket

import pytest

from icelane.errors import ConfigurationError
from icelane.node.development.ports import TCP, UDP, free_port, free_range

HOST = "127.0.0.1"


def bound(kind: int) -> socket.socket:
    """A socket that has a port, and listens where that is needed to have it."""
    taken = socket.socket(socket.AF_INET, kind)
    taken.bind((HOST, 0))
    if kind == TCP:
        taken.listen()
    return taken


@pytest.mark.parametrize("kind", [UDP, TCP])
def test_a_port_that_somebody_has_is_passed_over(kind: int) -> None:
    with bound(kind) as taken:
        port = taken.getsockname()[1]
        assert free_port([HOST], port, [kind]) != port


def test_a_port_has_to_be_free_for_every_kind() -> None:
    with bound(UDP) as taken:
        port = taken.getsockname()[1]
        assert free_port([HOST], port, [TCP, UDP]) != port


def test_a_port_that_was_given_away_is_not_given_twice() -> None:
    with bound(TCP) as probe:
        port = probe.getsockname()[1]
    first = free_port([HOST], port, [TCP])
    assert free_port([HOST], port, [TCP], taken=[first]) > first


def test_a_range_with_one_port_taken_is_passed_over_as_a_whole() -> None:
    with bound(UDP) as taken:
        port = taken.getsockname()[1]
        if port > 65_000:
            pytest.skip("the system gave a port at the very end")
        found = free_range([HOST], port - 1, 4)
        assert found.first > port
        assert found.last - found.first == 3


def test_an_address_that_is_not_this_machines_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"does not have the address 203\.0\.113\.77"):
        free_port(["203.0.113.77"], 8443, [TCP])


def test_an_end_of_ports_is_said() -> None:
    with bound(UDP) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="no port is free"):
            free_port([HOST], port, [UDP], taken=range(port, port + 100))
