"""TCP for a virtual network: connections between its hosts that carry whole frames, in order and without loss.

    streams = VirtualStreams(network, delay=0.02)
    streams.listen(SocketAddress("192.0.2.1", 443), accepted)      # accepted(end)
    streams.connect("198.51.100.1", SocketAddress("192.0.2.1", 443), opened, failed)
    end.on_message, end.on_closed = react, forget
    end.send(b"whole")

A frame is what `icelane.ice.framing` makes of a datagram; here it stays whole. Gateways of the network are not asked:
`blocks` says which hosts do not reach which.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from icelane.core.clock import Duration, Instant, later
from icelane.core.net import Path, SocketAddress, Transport
from icelane.testing.network import VirtualNetwork

# How long a connection is tried to a host that does not answer.
CONNECT_TIMEOUT: Final[Duration] = 10.0
_FIRST_PORT: Final = 50_000


class StreamEnd:
    """One end of a connection. `on_closed` runs when the other end, or nobody, closed it."""

    def __init__(self, streams: VirtualStreams, path: Path) -> None:
        self.path = path
        self.other: StreamEnd | None = None
        self.closed = False
        self.on_message: Callable[[bytes], object] = lambda _: None
        self.on_closed: Callable[[], object] = lambda: None
        self._streams = streams

    def send(self, data: bytes) -> None:
        """A frame for the other end; dropped when that is gone."""
        other = self.other
        if not self.closed and other is not None:
            self._streams.sent.append((self.path, data))
            self._streams.after_delay(lambda: None if other.closed else other.on_message(data))

    def close(self) -> None:
        """Close this end; the other one learns of it."""
        other = self.other
        if not self.closed:
            self.closed = True
            self._streams.forget(self)
            if other is not None:
                self._streams.after_delay(other.lose)

    def lose(self) -> None:
        """The connection is gone, and not by us."""
        if not self.closed:
            self.closed = True
            self._streams.forget(self)
            self.on_closed()


class VirtualStreams:
    """The TCP of all hosts of `network`. `attempts` has when and where connections were begun, `sent` all frames."""

    def __init__(self, network: VirtualNetwork, delay: Duration = 0.02) -> None:
        self.attempts: list[tuple[Instant, Path]] = []
        self.sent: list[tuple[Path, bytes]] = []
        self.blocks: Callable[[str, str], bool] = lambda *_: False
        self.ends: list[StreamEnd] = []
        self._network = network
        self._delay = delay
        self._listeners: dict[SocketAddress, Callable[[StreamEnd], object]] = {}
        self._due: list[tuple[Instant, int, Callable[[], object]]] = []
        self._order = 0
        self._next_port = _FIRST_PORT
        network.add_timed(self)

    def listen(self, address: SocketAddress, accepted: Callable[[StreamEnd], object]) -> None:
        """Give connections to `address` to `accepted`, each as the end that is here."""
        self._listeners[address] = accepted

    def stop_listening(self, address: SocketAddress) -> None:
        """Nobody is there any more."""
        self._listeners.pop(address, None)

    def connect(
        self, host: str, remote: SocketAddress, opened: Callable[[StreamEnd], object], failed: Callable[[], object]
    ) -> None:
        """Connect from `host`: `opened` or `failed` runs."""
        self._next_port += 1
        path = Path(SocketAddress(host, self._next_port), remote, Transport.TCP)
        self.attempts.append((self._network.clock.now, path))
        if self.blocks(host, remote.host):
            self._after(CONNECT_TIMEOUT, failed)
            return
        self._after(self._delay, lambda: self._arrive(path, opened, failed))

    def cut(self) -> None:
        """Every connection is reset."""
        for end in list(self.ends):
            end.lose()

    def after_delay(self, action: Callable[[], object]) -> None:
        """What happens one way later."""
        self._after(self._delay, action)

    def forget(self, end: StreamEnd) -> None:
        """That end is closed."""
        self.ends = [one for one in self.ends if one is not end]

    def next_timeout(self) -> Instant | None:
        """When the next thing happens."""
        return self._due[0][0] if self._due else None

    def handle_timeout(self) -> None:
        """It happens."""
        _, _, action = heapq.heappop(self._due)
        action()

    def _arrive(self, path: Path, opened: Callable[[StreamEnd], object], failed: Callable[[], object]) -> None:
        accepted = self._listeners.get(path.remote)
        if accepted is None:
            self.after_delay(failed)
            return
        near = StreamEnd(self, path)
        far = StreamEnd(self, Path(path.remote, path.local, Transport.TCP))
        near.other, far.other = far, near
        self.ends += [near, far]
        accepted(far)
        self.after_delay(lambda: opened(near))

    def _after(self, duration: Duration, action: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._due, (later(self._network.clock.now, duration), self._order, action))
