"""Ports that sockets of ours are bound to, where a firewall lets only some of them through.

udp = bind_within((50_000, 50_100), lambda port: RunUdpSocket.bind(SocketAddress(host, port), on_datagram))
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from icelane.core.net import SocketAddress
from icelane.crypto.provider import SystemEntropy

PortRange = tuple[int, int]
"""The first and the last port of a range."""

T = TypeVar("T")

_HIGHEST: Final = 65_535


def parse_port_range(ports: object) -> PortRange:
    """`ports` if it is the first and the last port of a range; raises TypeError, which names it, for anything else."""
    if isinstance(ports, tuple | list) and len(ports) == 2:
        first, last = ports
        if type(first) is type(last) is int and 0 < first <= last <= _HIGHEST:
            return first, last
    raise TypeError(f"port_range is a pair of the first and the last port, such as (50000, 50100), not {ports!r}")


def is_within(ports: PortRange | None, address: SocketAddress) -> bool:
    """Whether the port of `address` is one of the range; every port is one of None."""
    return ports is None or ports[0] <= address.port <= ports[1]


def bind_within(ports: PortRange | None, bind: Callable[[int], T]) -> T:
    """What `bind` returns for the first port that is free: any port for None, else those of the range in random order.

    Random, so that a port that was just given back is not the next one: what is still under way to it would arrive at
    another connection. Raises OSError as `bind` does; EADDRINUSE, with the range in words, when none is free.
    """
    if ports is None:
        return bind(0)
    for port in _in_random_order(ports):
        try:
            return bind(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no port from {ports[0]} to {ports[1]} is free")


def _in_random_order(ports: PortRange) -> Iterator[int]:
    entropy, chosen = SystemEntropy(), list(range(ports[0], ports[1] + 1))
    for count in range(len(chosen)):
        other = count + entropy.below(len(chosen) - count)
        chosen[count], chosen[other] = chosen[other], chosen[count]
        yield chosen[count]
