"""What a configuration lets a peer connection use of this machine: addresses, and the devices that they leave by."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from icelane.aio.address_filter import address_filter
from icelane.aio.configuration import RTCConfiguration
from icelane.aio.device import Device
from icelane.aio.interfaces import Interface, devices_of, gone_addresses, is_loopback, usable_interfaces
from icelane.aio.kernel import IS_LINUX
from icelane.aio.tcp import LocalHosts
from icelane.core.net import canonical_host

_log = logging.getLogger(__name__)


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
    return devices_of(interfaces) if _is_narrowed(configuration) else {}


def warn_of_unbound(
    configuration: RTCConfiguration, interfaces: Iterable[Interface], devices: Mapping[str, Device]
) -> None:
    """Say so in the log where the program names an interface, and sockets are not bound to it or there is none.

    `interfaces` are those of `chosen_interfaces`, `devices` those of `chosen_devices`. Linux alone knows devices.
    """
    if not IS_LINUX:
        return
    for name in configuration.interfaces or ():
        found = [one for one in interfaces if name in (one.name, one.device)]
        if not found:
            _log.warning("no address to be reached at on the interface %s, which the configuration names", name)
        for one in found:
            if one.host not in devices and not is_loopback(one.host):
                _log.warning("no socket can be bound to %s at %s: routes decide how it leaves", one.device, one.host)


def warn_of_unknown_addresses(configuration: RTCConfiguration) -> None:
    """Say so in the log where `external_addresses` speaks of addresses that this machine does not have."""
    named = configuration.external_addresses
    if isinstance(named, Mapping):
        for host in sorted(gone_addresses([canonical_host(one) for one in named])):
            _log.warning("external_addresses has a public address for %s, which this machine does not have", host)


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
