"""When the core of the compiled plane pauses, and when it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from icelane.aio.system import monotonic

if TYPE_CHECKING:
    from icelane.server.batched.core import RelayCore

# More than the core calls busy, in less than a window of 10 ms.
BURST = 25
SECRET = bytes(16)


@contextmanager
def relay(coalesce: float) -> Iterator[tuple[RelayCore, socket.socket, Any]]:
    """A core with one relay port that is nobody's, so that what comes is counted and dropped; and who sends to it."""
    module = pytest.importorskip("icelane.server.batched.core", exc_type=ImportError)
    core = module.RelayCore(runs=False, coalesce=coalesce, secret=SECRET)
    with closing(core), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as port:
        port.setblocking(False)
        port.bind(("127.0.0.1", 0))
        core.add_socket(port.fileno(), is_listener=False)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            yield core, sender, port.getsockname()


def offer_bursts(core: RelayCore, sender: socket.socket, to: Any, seconds: float) -> int:
    """One burst, one run, and again; returns how many runs there were."""
    runs, end = 0, monotonic() + seconds
    while monotonic() < end:
        for _ in range(BURST):
            sender.sendto(b"payload", to)
        core.run()
        runs += 1
    return runs


def test_a_busy_core_pauses_after_a_burst() -> None:
    with relay(0.0001) as (core, sender, to):
        offer_bursts(core, sender, to, 0.1)
        assert core.activity()["coalesced"] > 0


def test_a_core_without_coalescing_never_pauses() -> None:
    with relay(0.0) as (core, sender, to):
        offer_bursts(core, sender, to, 0.1)
        assert core.activity()["coalesced"] == 0


def test_a_core_that_is_not_busy_never_pauses() -> None:
    with relay(0.0001) as (core, sender, to):
        for _ in range(50):
            sender.sendto(b"payload", to)
            core.run()
        assert core.activity()["coalesced"] == 0


def test_pauses_that_bring_nobody_are_given_up_for_a_while() -> None:
    """The next burst comes when the run has ended, so that every pause is in vain."""
    with relay(0.00005) as (core, sender, to):
        runs = offer_bursts(core, sender, to, 0.4)
        assert core.activity()["coalesced"] < runs / 2


def test_a_run_ends_soon_whatever_comes() -> None:
    """The loop that calls has other work."""
    with relay(0.00015) as (core, sender, to):
        offer_bursts(core, sender, to, 0.05)
        began = monotonic()
        core.run()
        assert monotonic() - began < 0.5
