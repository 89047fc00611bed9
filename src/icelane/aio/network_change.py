"""What a peer connection does when the network of its machine changes, and when the machine has slept.

    an address is gone        its socket is closed, and what was reached from there is lost
    an address is new         a socket is bound there, and paths from it are tried
    the machine has slept     what ran out meanwhile runs out now; consent and allocations are asked for at once

Where that is asked for, ICE restarts by itself, as soon as there is an address to be reached at: when the path in use
is gone, and when paths are still being checked FINDING_TIME after a change. A restart needs offer and answer; if nobody
makes them, the states tell as for any dead path, and nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from icelane.aio.network_watch import network_namespace, watch_network
from icelane.aio.system import monotonic
from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.ice.event import IceState

_log = logging.getLogger(__name__)

# What sending fails with when the address or the interface of the socket is gone.
_GONE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENETDOWN, errno.ENETUNREACH, errno.ENODEV})
# Sending that fails makes us look at the machine's addresses no more often than that.
LOOK_INTERVAL: Final[Duration] = 1.0
# A path that is lost so soon after a change was lost by it: consent is asked for four times in a second.
SUSPECT_TIME: Final[Duration] = 5.0
# While paths are being checked, what the peer has been told may be of no use to it after a change. Most changes concern
# another network, and the path is found within this time.
FINDING_TIME: Final[Duration] = 1.0
# It doubles with each restart up to this, so that a slow call is set up in the end, however often addresses change.
MAX_FINDING_TIME: Final[Duration] = 16.0

_BEGINNING: Final = (IceState.NEW, IceState.CHECKING)
_ALIVE: Final = (IceState.CONNECTED, IceState.COMPLETED)
_DEAD: Final = (IceState.DISCONNECTED, IceState.FAILED)


class Look(NamedTuple):
    """What a look at the machine's addresses has found: others than before; one that leads out of the machine."""

    changed: bool
    leads_out: bool


class Bases(Protocol):
    """What is asked of the driver."""

    def look_at_interfaces(self) -> Look:
        """Let go of addresses that are gone, and bind new ones."""
        ...

    def doubt(self) -> None:
        """Catch up with the time, and ask at once whether paths and servers are still there."""
        ...

    def restart_ice(self) -> None:
        """Ask for a negotiation with new credentials."""
        ...

    @property
    def has_path(self) -> bool:
        """Whether data has somewhere to go."""
        ...

    @property
    def ice_state(self) -> IceState:
        """As the agent sees it."""
        ...


class NetworkChange:
    """Joins the watch of the machine and one driver; nothing happens before `start`."""

    def __init__(self, bases: Bases, wants_restart: Callable[[], bool]) -> None:
        self._bases = bases
        self._wants_restart = wants_restart
        self._loop = asyncio.get_running_loop()
        self._stop: Callable[[], None] | None = None
        self._namespace = 0
        self._looked_at = Instant(-NEVER)
        self._suspect_until = Instant(-NEVER)
        self._is_due = False
        # An address came or went before a path was found.
        self._changed_meanwhile = False
        self._finding: asyncio.TimerHandle | None = None
        self._finding_time = FINDING_TIME

    def start(self) -> None:
        """The first socket is about to be bound."""
        if self._stop is None:
            self._namespace = network_namespace()
            self._stop = watch_network(self)

    def stop(self) -> None:
        """Nothing more is of interest; again is harmless."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._stop_finding()

    def handle_network_change(self) -> None:
        """Addresses or links may be others than before."""
        if self._stop is None or network_namespace() != self._namespace:
            return  # this thread is in another network just now, and would take ours for gone
        self._looked_at = monotonic()
        had_path = self._bases.has_path
        look = self._bases.look_at_interfaces()
        if look.changed:
            self._suspect_until = later(monotonic(), SUSPECT_TIME)
            if self._bases.ice_state in _BEGINNING:
                self._changed_meanwhile = True
            self._bases.doubt()
            self._watch_finding()
        is_lost = had_path and not self._bases.has_path
        if is_lost or (look.changed and self._bases.ice_state in _DEAD):
            self._is_due = True
        if self._is_due and look.leads_out:
            self._restart()

    def handle_wake(self) -> None:
        """The machine has slept."""
        if self._stop is None:
            return
        self._suspect_until = later(monotonic(), SUSPECT_TIME)
        self._bases.doubt()
        if self._bases.ice_state in _DEAD:
            self._is_due = True
        self.handle_network_change()

    def handle_failed_send(self, error: OSError) -> None:
        """A socket could not send: its address may be gone, and nobody has said so yet."""
        if error.errno in _GONE and monotonic() - self._looked_at >= LOOK_INTERVAL:
            self._looked_at = monotonic()
            self._loop.call_soon(self.handle_network_change)

    def handle_ice_state(self) -> None:
        """ICE is in another state."""
        state = self._bases.ice_state
        self._watch_finding()
        if state in _ALIVE:
            self._changed_meanwhile = self._is_due = False
            self._finding_time = FINDING_TIME
        elif state in _DEAD and (self._changed_meanwhile or monotonic() < self._suspect_until):
            self._suspect_until = Instant(-NEVER)
            self._changed_meanwhile = False
            self._is_due = True
            # Not at once: whether there is an address to be reached at is for a look to say.
            self._loop.call_soon(self.handle_network_change)

    def _watch_finding(self) -> None:
        """Checks that go on after a change have some time to lead to something, from it or from their beginning."""
        if self._bases.ice_state is not IceState.CHECKING:
            self._stop_finding()
        elif self._changed_meanwhile and self._finding is None:
            self._finding = self._loop.call_later(self._finding_time, self._give_up_finding)

    def _give_up_finding(self) -> None:
        self._finding = None
        self._finding_time = min(2 * self._finding_time, MAX_FINDING_TIME)
        self._is_due = True
        self.handle_network_change()

    def _stop_finding(self) -> None:
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None

    def _restart(self) -> None:
        self._is_due = self._changed_meanwhile = False  # what is gathered from now on is as things are
        self._stop_finding()
        if self._wants_restart():
            _log.debug("the network has changed: ICE is to restart")
            self._bases.restart_ice()
