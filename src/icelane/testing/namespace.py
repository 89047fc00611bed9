"""Network namespaces of Linux without names: each lives as long as somebody holds its descriptor or runs in it.

Nothing is left behind however the process ends. Entering one changes the network of the calling thread only; sockets
and child processes made there stay there. Only root may make one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Final

_CLONE_NEWNET: Final = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def new_namespace() -> Iterator[int]:
    """A fresh network namespace, as a descriptor, for as long as the block lasts and somebody runs in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(_CLONE_NEWNET))
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _check(_libc.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)
    try:
        yield namespace
    finally:
        os.close(namespace)


@contextlib.contextmanager
def inside(namespace: int | None) -> Iterator[None]:
    """In this block, sockets and processes that this thread makes belong to `namespace`; None changes nothing."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.setns(namespace, _CLONE_NEWNET))
        yield
    finally:
        _check(_libc.setns(home, _CLONE_NEWNET))
        os.close(home)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
