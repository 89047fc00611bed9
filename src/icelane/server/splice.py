"""Two streams that carry each other's bytes, at the pace of the slower one (RFC 6062 section 5.4).

    client  -> Flow ->  peer
    client  <- Flow <-  peer

Nothing is dropped: while one side does not take what it is sent, or the bandwidth is used up, nothing is read from the
other, and TCP makes it wait. What is held for one side is bounded by HIGH_WATER and one read of the loop on top.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from icelane.core.clock import Duration

# Reading stops above the one and goes on below the other.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024
# How long to wait before the bandwidth limits are asked again; they hold a second's worth, so this is smooth enough.
ADMIT_AGAIN_AFTER: Final[Duration] = 0.02


class StreamEnd(asyncio.Protocol):
    """One of the two streams. `flow` takes what comes in, `full` stops the flow towards it while it is not read."""

    def __init__(self, on_lost: Callable[[Exception | None], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.incoming: Flow
        self.outgoing: Flow
        self._on_lost = on_lost
        self._reading = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: there is a connection. It is not read before `Splice.start`."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        self.incoming.handle_bytes(data)

    def eof_received(self) -> bool:
        """asyncio: this side has finished sending, and may still receive."""
        self.incoming.handle_end()
        return True

    def pause_writing(self) -> None:
        """asyncio: this side does not read what it is sent."""
        self.outgoing.set_full(True)

    def resume_writing(self) -> None:
        """asyncio: it reads again."""
        self.outgoing.set_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self.transport = None
        self._on_lost(exc)

    def write(self, data: bytes) -> None:
        """Send."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Nothing more will be sent. TLS cannot say that alone, so there the connection is closed."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def set_reading(self, reading: bool) -> None:
        """Read or let the other side wait."""
        transport = self.transport
        if transport is None or transport.is_closing() or self._reading is reading:
            return
        self._reading = reading
        if reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def close(self) -> None:
        """Close when what is buffered has been sent."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def buffered(self) -> int:
        """How many bytes wait to be sent."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0


class Flow:
    """Bytes one way. `count` hears how many passed, `on_finished` that the source has ended and all is passed on."""

    def __init__(
        self,
        source: StreamEnd,
        sink: StreamEnd,
        *,
        admit: Callable[[int], bool],
        count: Callable[[int], None],
        on_finished: Callable[[], None],
    ) -> None:
        self.finished = False
        self._source = source
        self._sink = sink
        self._admit = admit
        self._count = count
        self._on_finished = on_finished
        self._held: list[bytes] = []
        self._ended = False
        self._full = False
        self._retry: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """How many bytes wait for bandwidth."""
        return sum(map(len, self._held))

    def handle_bytes(self, data: bytes) -> None:
        """The source sent something."""
        if self._held or not self._passes(data):
            self._held.append(data)
            self._wait()

    def handle_end(self) -> None:
        """The source has finished sending."""
        self._ended = True
        if not self._held:
            self._finish()

    def set_full(self, full: bool) -> None:
        """Whether the sink has enough for now."""
        self._full = full
        self._pace()

    def stop(self) -> None:
        """Pass nothing on any more."""
        self._held.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _passes(self, data: bytes) -> bool:
        if not self._admit(len(data)):
            return False
        self._count(len(data))
        self._sink.write(data)
        return True

    def _wait(self) -> None:
        self._pace()
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(ADMIT_AGAIN_AFTER, self._go_on)

    def _go_on(self) -> None:
        self._retry = None
        while self._held:
            if not self._passes(self._held[0]):
                self._wait()
                return
            del self._held[0]
        if self._ended:
            self._finish()
        else:
            self._pace()

    def _pace(self) -> None:
        if not self._ended:
            self._source.set_reading(not (self._full or self._held))

    def _finish(self) -> None:
        self.finished = True
        self._sink.finish()
        self._on_finished()


class Splice:
    """A client's data connection and a peer's, joined. `on_closed` runs once, when nothing is carried any more.

    `count_from_client` and `count_to_client` hear of every piece that passed, `on_gone` that both
    connections are closed.
    """

    def __init__(
        self,
        *,
        admit: Callable[[int], bool],
        count_from_client: Callable[[int], None],
        count_to_client: Callable[[int], None],
        on_client_lost: Callable[[Exception | None], None],
        on_closed: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._on_client_lost = on_client_lost
        self._on_closed = on_closed
        self._on_gone = on_gone
        self._closed = False
        self.client = StreamEnd(self._client_lost)
        self.peer = StreamEnd(self._peer_lost)
        upward = Flow(
            self.client, self.peer, admit=admit, count=count_from_client, on_finished=self._close_when_finished
        )
        downward = Flow(
            self.peer, self.client, admit=admit, count=count_to_client, on_finished=self._close_when_finished
        )
        self._flows = (upward, downward)
        self.client.incoming = self.peer.outgoing = upward
        self.peer.incoming = self.client.outgoing = downward

    def start(self, rest: bytes) -> None:
        """Both ends are there: begin. `rest` is what the client sent already."""
        if self._closed:
            self.close()
            return
        if rest:
            self.client.incoming.handle_bytes(rest)
        for end in (self.client, self.peer):
            end.set_reading(True)

    def close(self) -> None:
        """Close both ends now. A side that does not read what it was sent does not get it any more."""
        self._stop()
        for end in (self.client, self.peer):
            if end.buffered:
                end.abort()
            else:
                end.close()

    def _close_when_finished(self) -> None:
        if all(flow.finished for flow in self._flows):
            self._end()

    def _client_lost(self, error: Exception | None) -> None:
        self._end()
        self._on_client_lost(error)
        self._tell_when_gone()

    def _peer_lost(self, error: Exception | None) -> None:
        del error
        self._end()
        self._tell_when_gone()

    def _tell_when_gone(self) -> None:
        if self.client.transport is None and self.peer.transport is None:
            self._on_gone()

    def _end(self) -> None:
        """One end is gone or both have finished: what was read is still sent, TCP_USER_TIMEOUT says for how long."""
        if self._closed:
            return
        self._stop()
        self.client.close()
        self.peer.close()
        self._on_closed()

    def _stop(self) -> None:
        self._closed = True
        for flow in self._flows:
            flow.stop()
