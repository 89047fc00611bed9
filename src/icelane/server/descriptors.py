"""How many sockets this process may hold."""

from __future__ import annotations

import sys


def allow_many_descriptors() -> int:
    """Raise the limit on open descriptors as far as the system lets us, and return it; a huge number where none is.

    Every allocation is a socket, and a shell's default of 1,024 ends far below `turn.quota.allocations_total`.
    """
    try:
        import resource
    except ImportError:  # Windows sets no such limit
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
