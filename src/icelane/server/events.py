"""What the server reports, as standard `logging` records: an event name as the message, its fields as `extra`.

    report("turn.refused", logging.INFO, code=401, reason="expired", client=path.remote)

A program that embeds the server sees ordinary records under the logger `icelane.server`; `icelane.server.logs` is what
turns them into lines. Addresses are passed as `SocketAddress` or `Path`, never as text, so that they can be masked.

A source that is refused again and again is reported once per ten seconds, with the count of what was left out.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from icelane.core.clock import Duration, Instant
from icelane.core.net import Path, SocketAddress, pack_host

LOGGER: Final = logging.getLogger("icelane.server")

REPEAT_WINDOW: Final[Duration] = 10.0

# At the bound, what a further source causes is counted and not told apart: a flood of forged sources must neither grow
# memory nor fill a disk.
MAX_SOURCES: Final = 1024

# How often the ends of windows are looked for; any fraction of the window will do.
_FLUSH_INTERVAL: Final[Duration] = 1.0

K = TypeVar("K", bound=Hashable)


class EventHandler(Protocol):
    """Who may know a shorter way than a record."""

    def write_event(self, logger: logging.Logger, event: str, level: int, fields: Mapping[str, object]) -> bool:
        """Write one event, for which `logger` is enabled; False when it needs a record, and nothing was written."""
        ...


_handlers: Final[list[EventHandler]] = []


def write_events_by(handler: EventHandler) -> None:
    """Ask `handler`, and no other, before a record is made."""
    _handlers[:] = [handler]


def report(event: str, level: int, **fields: object) -> None:
    """Log one event with its fields. A field may not be called like an attribute of `logging.LogRecord`."""
    report_fields(event, level, fields, depth=2)


def report_fields(event: str, level: int, fields: Mapping[str, object], *, depth: int = 1) -> None:
    """`report` for fields that are a mapping already; the record names the caller that many calls above."""
    if not LOGGER.isEnabledFor(level):
        return
    if _handlers and _handlers[0].write_event(LOGGER, event, level, fields):
        return
    # What LOGGER.log does, but for the search of its caller, which is ours.
    caller = sys._getframe(depth)
    code = caller.f_code
    LOGGER.handle(
        LOGGER.makeRecord(LOGGER.name, level, code.co_filename, caller.f_lineno, event, (), None, code.co_name, fields)
    )


def redact_address(host: str) -> str:
    """The network of an address: /24 of IPv4 and /48 of IPv6, which tells networks apart and people not."""
    if ":" not in host:
        packed = pack_host(host)
        return f"{packed[0]}.{packed[1]}.{packed[2]}.0/24"
    address = ipaddress.ip_address(host)
    return str(ipaddress.ip_network((address, 48), strict=False))


def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that an IPv6 host can change addresses within."""
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((host, 64), strict=False).network_address)


class Repeated(NamedTuple, Generic[K]):
    """A key whose window ended, and how many events were left out in it."""

    key: K
    repeats: int


class RepeatGate(Generic[K]):
    """Lets one event of a key through per window and counts the others. At most `capacity` keys are remembered."""

    def __init__(self, window: Duration = REPEAT_WINDOW, capacity: int = MAX_SOURCES) -> None:
        self._window = window
        self._capacity = capacity
        # Oldest window first, since a key moves to the end when its window begins.
        self._windows: OrderedDict[K, tuple[Instant, int]] = OrderedDict()
        self._overflow = 0

    def __len__(self) -> int:
        return len(self._windows)

    def admit(self, key: K, now: Instant) -> bool:
        """Whether to report this event; otherwise it is counted. Call `ended` first, so that full windows make room."""
        entry = self._windows.get(key)
        if entry is not None:
            self._windows[key] = (entry[0], entry[1] + 1)
            return False
        if len(self._windows) >= self._capacity:
            self._overflow += 1
            return False
        self._windows[key] = (now, 0)
        return True

    def ended(self, now: Instant) -> list[Repeated[K]]:
        """Forget the windows that are over and return those that left something out.

        Each of them opens a new window, because its count is a report too.
        """
        found: list[Repeated[K]] = []
        while self._windows:
            key, (began, count) = next(iter(self._windows.items()))
            if now - began < self._window:
                break
            del self._windows[key]
            if count:
                found.append(Repeated(key, count))
        for key, _count in found:
            self._windows[key] = (now, 0)
        return found

    def take_overflow(self) -> int:
        """How many events found no room since the last call."""
        count, self._overflow = self._overflow, 0
        return count


class _Refusal(NamedTuple):
    """What makes two refusals the same."""

    source: str
    code: int
    reason: str
    level: int


class RefusalLog:
    """One record for each refusal, `turn.refused`, and one per ten seconds for a source that keeps being refused."""

    def __init__(self, window: Duration = REPEAT_WINDOW, capacity: int = MAX_SOURCES) -> None:
        self._gate: RepeatGate[_Refusal] = RepeatGate(window, capacity)
        self._last_flush = Instant(float("-inf"))

    def __len__(self) -> int:
        return len(self._gate)

    def refused(
        self,
        client: Path,
        *,
        code: int,
        reason: str,
        now: Instant,
        level: int = logging.WARNING,
        **details: object,
    ) -> None:
        """Report that `client` was answered with `code`, or would have been. Details without a value are left out."""
        if now - self._last_flush >= _FLUSH_INTERVAL:
            self.flush(now)
        if self._gate.admit(_Refusal(source_of(client.remote.host), code, reason, level), now):
            report(
                "turn.refused",
                level,
                code=code,
                reason=reason,
                client=client.remote,
                transport=client.transport.value,
                **{name: value for name, value in details.items() if value},
            )

    def flush(self, now: Instant) -> None:
        """Report what was left out in the windows that are over. Call it every few seconds, and when closing."""
        self._last_flush = now
        for (source, code, reason, level), count in self._gate.ended(now):
            report(
                "turn.refused",
                level,
                code=code,
                reason=reason,
                client=SocketAddress(source, 0),
                repeats=count,
            )
        if overflow := self._gate.take_overflow():
            report("turn.refused", logging.WARNING, reason="too-many-sources", repeats=overflow)
