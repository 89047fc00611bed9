"""The relay plane that is compiled: a core in C that relays in batches, and the plane that tells it by which routes.

    core        `relay_core.c` as an object: sockets, clients, channels and permissions by number
    reader      reads the server's UDP sockets through the core, and passes on what is not for it
    plane       the plane of `icelane.server.relay_plane`, with its routes in the core, too

    relay_core.c    receive, look up: no Python, no copy, no memory of its own for a packet
    relay_send.c    send, in runs where the kernel takes them
    relay_routes.c  what is installed and counted
    route_table.c   the one hash table

It needs Linux and a C compiler when icelane is built; `available` says whether it is here. ChannelData never meets
Python on its way; Send and Data indications, and all that is not payload, go the same way as in the other plane.
"""

from __future__ import annotations

import functools


@functools.cache
def available() -> bool:
    """Whether the core has been compiled, and compiled modules are to be used."""
    try:
        import icelane.server.batched.core  # noqa: F401  (whether it can be had is the question)
    except ImportError:
        return False
    return True
