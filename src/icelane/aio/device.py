"""Sockets that leave by one network interface, whatever the routing table would choose.

The source address alone does not decide that: on a machine with two uplinks everything leaves by the default route.
Linux can bind a socket to a device, without privileges since 5.7; it then sends and receives there and nowhere else.
Where that is refused, and on other systems, the routing table chooses.
"""

from __future__ import annotations

import logging
import socket
from typing import NamedTuple

_log = logging.getLogger(__name__)


class Device(NamedTuple):
    """A network interface as the kernel knows it. One that goes and comes back has the same name and another number."""

    name: str
    number: int


def bind_to_device(opened: socket.socket, device: Device | None) -> None:
    """From now on the socket leaves by `device`, if that can be had; a warning says if not. None changes nothing."""
    if device is None or not hasattr(socket, "SO_BINDTODEVICE"):
        return
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.name.encode() + b"\0")
    except OSError as error:
        # The program has named the interface, perhaps so that nothing leaves by another one.
        _log.warning("no socket can be bound to %s (%s): routes decide how it leaves", device.name, error.strerror)
