"""Tells the service manager that has started us how we are: systemd, and whatever else speaks its sd_notify protocol.

    READY=1                                 everything is bound, and what a reload has changed counts
    RELOADING=1 MONOTONIC_USEC=NOW          a reload begins; READY=1 is its end, also when the new file was refused
    STOPPING=1 EXTEND_TIMEOUT_USEC=TIME     no new clients; so long it may take until the last call is over
    WATCHDOG=1                              the loop that serves is alive; twice in the time that WATCHDOG_USEC gives
    STATUS=TEXT                             a line for people, in `systemctl status`

Each goes as one datagram to the socket that NOTIFY_SOCKET names, by its path or, behind an @, in Linux's abstract
namespace. A manager that does not listen never stops the server: what cannot be sent is left out.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

from icelane.aio.system import monotonic_microseconds
from icelane.core.clock import Duration

# How often the status is written anew where no watchdog asks more often.
STATUS_INTERVAL: Final[Duration] = 10.0

# The manager reads at once; one that does not costs the loop no more than this for each word.
_SEND_TIMEOUT: Final[Duration] = 0.1

# Above the drain's own deadline: closing connections, writing the log.
_STOP_MARGIN: Final[Duration] = 60.0

_MICROSECONDS: Final = 1_000_000


class ServiceManager:
    """Who has started us. Without NOTIFY_SOCKET nobody wants to know, and every method does nothing."""

    def __init__(self, place: str | None = None, watchdog: Duration | None = None) -> None:
        """`place` is what NOTIFY_SOCKET says; within each `watchdog` seconds it wants a sign of life."""
        self._address = _address(place)
        self.watchdog = watchdog if self._address is not None else None
        self._status = ""
        self._describe: Callable[[], str] = str
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> ServiceManager:
        """Whom the environment names. It is taken out there, so that no program that we start speaks in our name."""
        place = environ.pop("NOTIFY_SOCKET", None)
        interval, whose = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        ours = whose in ("", str(os.getpid()))
        # Twelve digits are a week and more; a number that is none stands for no watchdog.
        usable = ours and interval.isascii() and interval.isdecimal() and len(interval) <= 12 and int(interval) > 0
        return cls(place, int(interval) / _MICROSECONDS if usable else None)

    @property
    def listens(self) -> bool:
        """Whether somebody wants to know."""
        return self._address is not None

    def ready(self, describe: Callable[[], str]) -> None:
        """It serves. From now on the running loop gives signs of life, and `describe` a line about what it does."""
        self._describe = describe
        if self._address is not None:
            self._status = _one_line(describe())
            self._tell("READY=1", f"STATUS={self._status}")
            self._set()

    def reloading(self) -> None:
        """A reload has begun."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_microseconds()}")

    def reloaded(self, problem: str | None = None) -> None:
        """The reload is over: the new configuration counts, or the old one still does because of `problem`."""
        self._status = _one_line(f"the configuration was refused: {problem}" if problem else self._describe())
        self._tell("READY=1", f"STATUS={self._status}")

    def stopping(self, within: Duration) -> None:
        """It drains, for `within` seconds at most, and then it ends."""
        extension = int((within + _STOP_MARGIN) * _MICROSECONDS)
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={extension}")

    def close(self) -> None:
        """No more signs of life; again is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        interval = STATUS_INTERVAL if self.watchdog is None else min(STATUS_INTERVAL, self.watchdog / 2)
        self._timer = asyncio.get_running_loop().call_later(interval, self._run)

    def _run(self) -> None:
        self._set()
        words = ["WATCHDOG=1"] if self.watchdog is not None else []
        status = _one_line(self._describe())
        if status != self._status:
            self._status = status
            words.append(f"STATUS={status}")
        if words:
            self._tell(*words)

    def _tell(self, *assignments: str) -> None:
        if self._address is None or not hasattr(socket, "AF_UNIX"):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(_SEND_TIMEOUT)
                # A path may have surrogates, for bytes that are no text.
                sending.sendto("\n".join(assignments).encode(errors="replace"), self._address)
        except OSError:
            return  # nobody listens any more, and there is nobody to tell


def _address(place: str | None) -> str | None:
    """A socket's address; None for what is no Unix socket, such as the vsock of a virtual machine."""
    if not place or place[0] not in "/@" or len(place) < 2 or not hasattr(socket, "AF_UNIX"):
        return None
    return f"\0{place[1:]}" if place[0] == "@" else place


def _one_line(text: str) -> str:
    """A line break would begin another assignment."""
    return " ".join(text.split())
