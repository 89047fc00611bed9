"""A TCP connection before anybody speaks on it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icelane.aio.device import Device, bind_to_device
from icelane.aio.sockets import open_socket, socket_family, source_towards
from icelane.core.clock import Duration
from icelane.core.net import AddressFamily, SocketAddress

# Where several addresses may be used: how long each but the last may take, since nothing may come back to one of them.
ATTEMPT_TIMEOUT: Final[Duration] = 3.0


@dataclass(frozen=True, slots=True)
class LocalHosts:
    """The addresses of this machine that a connection may leave from, best first; from any other it must not.

    `devices` are, by address, what it is then bound to.
    """

    hosts: tuple[str, ...]
    devices: Mapping[str, Device] = field(default_factory=dict)


def bind_tcp(address: SocketAddress, *, shared: bool = False, device: Device | None = None) -> socket.socket:
    """A non-blocking socket that is bound to `address`, to listen or to connect from there; raises OSError.

    With `device` it listens and connects there alone, and so does what it accepts.

    `shared`: others may be bound there too, by SO_REUSEPORT; where that is missing, nobody can.
    """
    bound = open_socket(socket_family(address), socket.SOCK_STREAM)
    try:
        # A port on which a connection was closed a minute ago may be listened on again. Windows needs no word for that;
        # there the option would let others have the port at the same time, and this one keeps them off.
        bound.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bind_to_device(bound, device)
        bound.bind(tuple(address))
    except BaseException:
        bound.close()
        raise
    return bound


async def connect_tcp(
    remote: SocketAddress, local: SocketAddress | LocalHosts | None, *, device: Device | None = None
) -> socket.socket:
    """A non-blocking socket that is connected to `remote`, from `local` and by `device` if given. Raises OSError.

    Of LocalHosts the one comes first that the routes of this machine lead from; `strerror` says when there is none. To
    a program on this machine, such as a proxy, no device leads.
    """
    if not isinstance(local, LocalHosts):
        return await _connect(remote, local, device)
    hosts = [host for host in local.hosts if SocketAddress(host, 0).family is remote.family]
    if not hosts:
        family = "IPv6" if remote.family is AddressFamily.IPV6 else "IPv4"
        raise OSError(errno.EADDRNOTAVAIL, f"of the addresses that may be used here none is one of {family}")
    routed = _routed_host(remote)
    hosts.sort(key=lambda host: host != routed)
    for host in hosts[:-1]:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                return await _connect(remote, SocketAddress(host, 0), local.devices.get(host))
        except OSError:  # TimeoutError among them
            continue
    return await _connect(remote, SocketAddress(hosts[-1], 0), local.devices.get(hosts[-1]))


async def _connect(remote: SocketAddress, local: SocketAddress | None, device: Device | None) -> socket.socket:
    opened = socket.socket(socket_family(remote), socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        # What this machine sends to itself comes from the address that it goes to.
        if device is not None and _routed_host(remote) != remote.host:
            bind_to_device(opened, device)
        if local is not None:
            opened.bind(tuple(local))
        await asyncio.get_running_loop().sock_connect(opened, tuple(remote))
    except BaseException:
        opened.close()
        raise
    return opened


def _routed_host(remote: SocketAddress) -> str | None:
    try:
        return source_towards(remote)
    except OSError:
        return None
