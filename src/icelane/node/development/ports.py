"""The first ports that are free on all of the addresses: another node may run here already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final

from icelane.errors import ConfigurationError
from icelane.node.development.addresses import KEY
from icelane.server.config.values import PortRange

# So many are tried one after another; a machine where all are taken has another problem.
MAX_TRIES: Final = 100

_HIGHEST: Final = 65_535

UDP: Final = socket.SOCK_DGRAM
TCP: Final = socket.SOCK_STREAM


def free_port(hosts: Sequence[str], first: int, kinds: Sequence[int], taken: Sequence[int] = ()) -> int:
    """The first port from `first` on that all `hosts` have free for all `kinds`, and that is not in `taken`.

    Raises ConfigurationError when there is none, or when this machine does not have one of the addresses.
    """
    for port in range(first, min(first + MAX_TRIES, _HIGHEST + 1)):
        if port not in taken and all(_is_free(host, port, kind) for host in hosts for kind in kinds):
            return port
    raise ConfigurationError(f"no port is free from {first} on: `ss -lntup` shows who has them", key=KEY)


def free_range(hosts: Sequence[str], first: int, count: int) -> PortRange:
    """The first `count` UDP ports in a row that all `hosts` have free. Raises ConfigurationError."""
    for begin in range(first, min(first + MAX_TRIES * count, _HIGHEST - count + 2), count):
        if all(_is_free(host, port, UDP) for port in range(begin, begin + count) for host in hosts):
            return PortRange(begin, begin + count - 1)
    raise ConfigurationError(f"no {count} UDP ports are free from {first} on", key=KEY)


def _is_free(host: str, port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind == TCP:
            # What a connection of before has left behind is nobody's; who listens is in the way all the same.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ConfigurationError(f"this machine does not have the address {host}", key=KEY) from None
            return False
        return True
