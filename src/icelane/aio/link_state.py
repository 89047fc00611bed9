"""Whether a network interface can carry anything: an address stays on one that is down or has lost its cable.

And whether anything leaves the machine there: an address may be on loopback or a dummy, for other interfaces to carry.
A dummy is told by its driver. Its flags are those of many a tunnel.

Linux alone is asked; elsewhere, and about what it does not tell, every interface counts as able.
"""

from __future__ import annotations

import array
import socket
import struct
from typing import Final

from icelane.aio.kernel import IS_LINUX

# linux/sockios.h, linux/if.h, linux/ethtool.h
_SIOCGIFFLAGS: Final = 0x8913
_SIOCETHTOOL: Final = 0x8946
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_POINTOPOINT: Final = 0x10
_IFF_RUNNING: Final = 0x40
_IFF_NOARP: Final = 0x80
_ETHTOOL_GDRVINFO: Final = 0x03
_ETHTOOL_GLINK: Final = 0x0A
# struct ethtool_drvinfo: the command, the driver's name and what nobody here asks about.
_DRIVER_INFO: Final = struct.Struct("I32s160x")
_DUMMY: Final = b"dummy"
_REQUEST: Final = struct.Struct("16sH22x")
_POINTER_REQUEST: Final = struct.Struct("16sP16x")
_MAX_NAME: Final = 15


def has_link(name: str) -> bool:
    """Whether the interface is up and connected, as far as the machine tells."""
    if not IS_LINUX or not 0 < len(name.encode()) <= _MAX_NAME:
        return True
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            flags = _flags(probe, name)
            if not flags & _IFF_UP:
                return False
            return bool(flags & _IFF_RUNNING) or _is_connected(probe, name)
    except OSError:
        return True


def leads_out(name: str) -> bool:
    """Whether what is sent on the interface leaves this machine, as far as the machine tells: no loopback, no dummy."""
    if not IS_LINUX or not 0 < len(name.encode()) <= _MAX_NAME:
        return True
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            flags = _flags(probe, name)
            if flags & _IFF_LOOPBACK:
                return False
            # Nobody's neighbours are asked for on a dummy; most interfaces do that, and need no second question.
            return flags & (_IFF_NOARP | _IFF_POINTOPOINT) != _IFF_NOARP or _driver(probe, name) != _DUMMY
    except OSError:
        return True


def _flags(probe: socket.socket, name: str) -> int:
    import fcntl

    _, flags = _REQUEST.unpack(fcntl.ioctl(probe, _SIOCGIFFLAGS, _REQUEST.pack(name.encode(), 0)))
    return int(flags)


def _driver(probe: socket.socket, name: str) -> bytes:
    """Of the interface, or what kind it is; empty where nobody tells."""
    import fcntl

    info = array.array("B", _DRIVER_INFO.pack(_ETHTOOL_GDRVINFO, b""))
    try:
        fcntl.ioctl(probe, _SIOCETHTOOL, _POINTER_REQUEST.pack(name.encode(), info.buffer_info()[0]))
    except OSError:
        return b""
    _, driver = _DRIVER_INFO.unpack(info)
    return bytes(driver).rstrip(b"\0")


def _is_connected(probe: socket.socket, name: str) -> bool:
    """IFF_RUNNING comes up to a second after the cable; the driver knows at once."""
    import fcntl

    value = array.array("I", (_ETHTOOL_GLINK, 0))
    try:
        fcntl.ioctl(probe, _SIOCETHTOOL, _POINTER_REQUEST.pack(name.encode(), value.buffer_info()[0]))
    except OSError:
        return False
    return bool(value[1])
