"""Listening sockets that several processes have, one each, on the same addresses.

The system gives a client to one socket of the group by its 5-tuple, and goes on to as long as the group stays as it is.
So whoever has made the sockets keeps all of them open: one that was closed with its process would give the clients of
all others to somebody else. What arrives while nobody reads a socket waits in it for the next process.
"""

from __future__ import annotations

import socket

from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import address_of, bind_udp
from icelane.core.net import SocketAddress, Transport
from icelane.server.config.values import Listener as ListenSetting

_BACKLOG = 1024


class ListenerGroup:
    """The sockets of one listener, for each worker one."""

    def __init__(self, setting: ListenSetting, count: int) -> None:
        """Bind them. Raises OSError, also when another program has the address."""
        self._sockets: list[socket.socket] = []
        address = _free_address(setting)
        self.setting = ListenSetting(setting.transport, address.host, address.port)
        try:
            for _ in range(count):
                self._sockets.append(_bind(setting.transport, address, shared=True))
        except BaseException:
            self.close()
            raise

    def descriptor_for(self, worker: int) -> int:
        """A new descriptor of that worker's socket."""
        return self._sockets[worker].dup().detach()

    def close(self) -> None:
        """Close them here; again is harmless."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()


def _free_address(setting: ListenSetting) -> SocketAddress:
    """The address, with a port where any will do. A group would let itself be joined by another server's: this asks."""
    with _bind(setting.transport, setting.address, shared=False) as probe:
        return address_of(probe.getsockname())


def _bind(transport: Transport, address: SocketAddress, *, shared: bool) -> socket.socket:
    if transport is Transport.UDP:
        return bind_udp(address, shared=shared)
    bound = bind_tcp(address, shared=shared)
    if shared:
        bound.listen(_BACKLOG)
    return bound
