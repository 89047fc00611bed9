"""Whether a network interface can carry anything: an address stays on one that is down or has lost its cable.

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
_IFF_RUNNING: Final = 0x40
_ETHTOOL_GLINK: Final = 0x0A
_REQUEST: Final = struct.Struct("16sH22x")
_POINTER_REQUEST: Final = struct.Struct("16sP16x")
_MAX_NAME: Final = 15


def has_link(name: str) -> bool:
    """Whether the interface is up and connected, as far as the machine tells."""
    if not IS_LINUX or not 0 < len(name.encode()) <= _MAX_NAME:
        return True
    import fcntl

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = _REQUEST.pack(name.encode(), 0)
            _, flags = _REQUEST.unpack(fcntl.ioctl(probe, _SIOCGIFFLAGS, request))
            if not flags & _IFF_UP:
                return False
            return bool(flags & _IFF_RUNNING) or _is_connected(probe, name)
    except OSError:
        return True


def _is_connected(probe: socket.socket, name: str) -> bool:
    """IFF_RUNNING comes up to a second after the cable; the driver knows at once."""
    import fcntl

    value = array.array("I", (_ETHTOOL_GLINK, 0))
    try:
        fcntl.ioctl(probe, _SIOCETHTOOL, _POINTER_REQUEST.pack(name.encode(), value.buffer_info()[0]))
    except OSError:
        return False
    return bool(value[1])
