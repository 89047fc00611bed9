"""What a configuration lets a peer connection use of this machine: addresses, and the devices that they leave by."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable

from icelane.aio.address_filter import address_filter
from icelane.aio.configuration import RTCConfiguration
from icelane.aio.device import Device
from icelane.aio.interfaces import Interface, is_loopback, usable_interfaces
from icelane.aio.link_state import leads_out
from icelane.aio.tcp import LocalHosts


def chosen_interfaces(configuration: RTCConfiguration) -> list[Interface]:
    """Where sockets are to be bound, best first."""
    return usable_interfaces(
        names=configuration.interfaces,
        include_loopback=configuration.include_loopback,
        accepts=address_filter(configuration.addresses),
    )


def chosen_devices(configuration: RTCConfiguration, interfaces: Iterable[Interface]) -> dict[str, Device]:
    """By address, the device that its sockets are to be bound to, where `interfaces` or `addresses` choose it.

    That is so where exactly one device carries the address, and leads out of this machine. `interfaces` are those of
    `chosen_interfaces`.
    """
    if not _is_narrowed(configuration):
        return {}
    once = dict.fromkeys((one.host, one.name.partition(":")[0]) for one in interfaces)  # eth0:1 is an address of eth0
    carriers = Counter(host for host, _ in once)
    found = {}
    for host, name in once:
        if carriers[host] == 1 and not is_loopback(host) and leads_out(name):
            try:
                found[host] = Device(name, socket.if_nametoindex(name))
            except OSError:  # gone meanwhile, or the name is not the kernel's
                continue
    return found


def chosen_hosts(configuration: RTCConfiguration, interfaces: Iterable[Interface] | None = None) -> LocalHosts | None:
    """Where connections with servers may leave from; None: anywhere.

    `interfaces` are those of `chosen_interfaces`, and are looked up where they are needed and not given.
    """
    if not _is_narrowed(configuration):
        return None
    found = chosen_interfaces(configuration) if interfaces is None else list(interfaces)
    return LocalHosts(tuple(one.host for one in found), chosen_devices(configuration, found))


def carriers_of(host: str) -> list[Interface]:
    """The interfaces that have the address, whatever a configuration says."""
    return usable_interfaces(include_loopback=True, accepts=lambda one: one == host)


def _is_narrowed(configuration: RTCConfiguration) -> bool:
    return configuration.interfaces is not None or bool(configuration.addresses)
