"""RTCDataChannel: messages to and from the peer (W3C WebRTC section 6.2).

    channel = pc.createDataChannel("chat")
    await channel.opened()
    channel.send("hello")
    async for message in channel:          # str or bytes, until the channel is closed
        ...

The loop ends when either side closes the channel or the connection, and raises when DTLS fails. The channel stays open
when ICE does: a restart may find another path, and then nothing was lost. Who does not restart reads within
`pc.until_failed()`.

A program that does not read slows the peer down: what is not consumed counts against the receive window. Messages are
consumed by handlers of "message" at once, by `async for` and `receive` when they are taken. A handler that comes late
gets first what came before it. `close` is told when every message was: where handlers are slow that may be later than
`readyState` is `closed`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal, Protocol

from icelane.aio.event_target import EventTarget
from icelane.datachannel.event import ChannelId
from icelane.errors import IcelaneError, InvalidStateError, NotSupportedError, TransportClosedError

ReadyState = Literal["connecting", "open", "closing", "closed"]

# What `drain` waits for when the program has set no threshold of its own.
DRAINED: Final = 256 * 1024
# Messages whose asynchronous handlers have not ended; further ones wait, and in the end the peer does.
MAX_UNFINISHED: Final = 1000


class ChannelPort(Protocol):
    """What a channel asks of its peer connection, by the engine's number of the channel."""

    def send(self, channel: ChannelId, data: bytes | str) -> None: ...
    def close_channel(self, channel: ChannelId) -> None: ...
    def buffered_amount(self, channel: ChannelId) -> int: ...
    def set_low_threshold(self, channel: ChannelId, amount: int) -> None: ...
    def release(self, channel: ChannelId, size: int) -> None: ...
    def stream_id(self, channel: ChannelId) -> int | None: ...


class RTCDataChannel(EventTarget):
    """Made by `createDataChannel`, or handed over by the event `datachannel`.

    Events: `open`, `message` (str or bytes), `bufferedamountlow`, `closing`, `close`, `error` (the exception).
    """

    EVENTS = frozenset({"open", "message", "bufferedamountlow", "closing", "close", "error"})

    def __init__(
        self,
        port: ChannelPort,
        number: ChannelId,
        *,
        label: str,
        protocol: str = "",
        ordered: bool = True,
        max_packet_life_time: int | None = None,
        max_retransmits: int | None = None,
        negotiated: bool = False,
    ) -> None:
        super().__init__()
        self._port = port
        self._number = number
        self._state: ReadyState = "connecting"
        self._stream_id: int | None = None
        self._threshold = 0
        self._queue: deque[tuple[bytes | str, int]] = deque()
        self._hands_over = False
        self._ends_untold = False
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._changed: asyncio.Event | None = None
        self._drainers: list[asyncio.Future[None]] = []
        self._error: IcelaneError | None = None
        self._unfinished = 0
        self._unsent = 0
        self.label: Final = label
        self.protocol: Final = protocol
        self.ordered: Final = ordered
        self.maxPacketLifeTime: Final = max_packet_life_time
        self.maxRetransmits: Final = max_retransmits
        self.negotiated: Final = negotiated

    def __repr__(self) -> str:
        return f"RTCDataChannel({self.label!r}, {self._state})"

    # What programs call

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Queue a message.

        Raises InvalidStateError when the channel is not open, MessageTooLargeError beyond what the peer takes,
        OperationError while 16 MiB are buffered: `await channel.drain()` waits for room.
        """
        if self._state != "open":
            raise InvalidStateError(f"the channel {self.label!r} is {self._state}")
        if isinstance(data, str):
            self._port.send(self._number, data)
        elif isinstance(data, bytes | bytearray | memoryview):
            self._port.send(self._number, data if isinstance(data, bytes) else bytes(data))
        else:
            raise TypeError(f"a message is str, bytes, bytearray or memoryview, not {type(data).__name__}")

    async def drain(self) -> None:
        """Wait until at most `bufferedAmountLowThreshold` bytes are queued, by default 256 KiB.

        Raises TransportClosedError when the channel ends before that.
        """
        limit = self._threshold or DRAINED
        while self.bufferedAmount > limit:
            if self._state == "closed":
                raise self._error or TransportClosedError(
                    f"the channel {self.label!r} is closed, and {self._unsent} bytes have not left"
                )
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drainers.append(waiter)
            self._port.set_low_threshold(self._number, limit)
            try:
                await waiter
            finally:
                if waiter in self._drainers:
                    self._drainers.remove(waiter)

    async def opened(self) -> None:
        """Wait until messages can be sent. Raises TransportClosedError when the channel ends instead."""
        while self._state == "connecting":
            self._changed = self._changed or asyncio.Event()
            await self._changed.wait()
        if self._state != "open":
            raise self._error or TransportClosedError(f"the channel {self.label!r} is {self._state}")

    async def receive(self) -> str | bytes:
        """The next message. Raises TransportClosedError when the channel is closed and nothing is left.

        Where that was no orderly end, such as a failure of DTLS, it is the IcelaneError that says why. While ICE has
        failed this waits for a restart, see `RTCPeerConnection.until_failed`.
        """
        while not self._queue:
            if self._state == "closed":
                raise self._error or TransportClosedError(f"the channel {self.label!r} is closed")
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif not waiter.cancelled():
                    self._wake_one()  # it was our turn, and we go
                raise
        data, size = self._queue.popleft()
        self._port.release(self._number, size)
        self._tell_end()
        return data

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until the channel is closed. Raises what `receive` does where that was no orderly end."""
        while True:
            try:
                message = await self.receive()
            except TransportClosedError:
                if self._error is not None:
                    raise
                return
            yield message

    def close(self) -> None:
        """Deliver what was sent, then close; again is harmless."""
        if self._state in ("closing", "closed"):
            return
        self._state = "closing"
        self._wake_changed()
        self._port.close_channel(self._number)

    # W3C attributes

    @property
    def readyState(self) -> ReadyState:  # noqa: N802
        return self._state

    @property
    def binaryType(self) -> str:  # noqa: N802
        """`arraybuffer`: binary messages are whole, as `bytes`. Setting it to `blob` raises NotSupportedError."""
        return "arraybuffer"

    @binaryType.setter
    def binaryType(self, wanted: str) -> None:  # noqa: N802
        if wanted == "blob":
            raise NotSupportedError("binary messages are bytes: binaryType is arraybuffer")
        if wanted != "arraybuffer":
            raise TypeError(f"binaryType is arraybuffer, not {wanted!r}")

    @property
    def id(self) -> int | None:
        """The SCTP stream, None before it is known."""
        if self._stream_id is None and self._state != "closed":
            self._stream_id = self._port.stream_id(self._number)
        return self._stream_id

    @property
    def bufferedAmount(self) -> int:  # noqa: N802
        """Bytes that `send` has queued and that have not left; once the channel is closed, those that never will."""
        return self._unsent if self._state == "closed" else self._port.buffered_amount(self._number)

    @property
    def bufferedAmountLowThreshold(self) -> int:  # noqa: N802
        """`bufferedamountlow` comes when what is buffered falls to this many bytes."""
        return self._threshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, amount: int) -> None:  # noqa: N802
        if amount < 0:
            raise TypeError("bufferedAmountLowThreshold is not negative")
        self._threshold = amount
        self._port.set_low_threshold(self._number, amount)

    # What the peer connection calls

    def _opened(self) -> None:
        if self._state == "connecting":
            self._become_open()
            self._emit("open")

    def _announced(self, tell: Callable[[RTCDataChannel], object]) -> None:
        """The peer made the channel: who gets it finds it open, and then hears of it (W3C section 6.2)."""
        self._become_open()
        tell(self)
        if self._state == "open":
            self._emit("open")

    def _become_open(self) -> None:
        self._state = "open"
        self._stream_id = self._port.stream_id(self._number)
        self._wake_changed()

    def _received(self, data: bytes | str, size: int) -> None:
        if self.has_listener("message") and not self._queue and self._unfinished < MAX_UNFINISHED:
            self._deliver(data, size)
            return
        # Nobody listens yet, or those who do are slow: kept within the bounds of the receive window that it counts
        # against, so that the peer slows down.
        self._queue.append((data, size))
        self._wake_one()

    def _deliver(self, data: bytes | str, size: int) -> None:
        """Tell the handlers. The message counts against the window until the last asynchronous one has ended."""
        tasks = self._emit("message", data, data=data)
        if not tasks:
            self._port.release(self._number, size)
            return
        self._unfinished += 1
        left = len(tasks)

        def ended(_: asyncio.Task[object]) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._unfinished -= 1
                self._port.release(self._number, size)
                self._gained_listener("message")

        for task in tasks:
            task.add_done_callback(ended)

    def _gained_listener(self, event: str) -> None:
        if event == "message" and self._queue and not self._hands_over:
            self._hands_over = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """What came before anybody listened, to who listens now."""
        self._hands_over = False
        while self._queue and self.has_listener("message") and self._unfinished < MAX_UNFINISHED:
            self._deliver(*self._queue.popleft())
        self._tell_end()

    def _ran_low(self) -> None:
        drainers, self._drainers = self._drainers, []
        for waiter in drainers:
            if not waiter.done():
                waiter.set_result(None)
        if self.bufferedAmount <= self._threshold:
            self._emit("bufferedamountlow")
        elif drainers:
            self._port.set_low_threshold(self._number, self._threshold)  # the program's own is still to come

    def _closing(self) -> None:
        if self._state not in ("closing", "closed"):
            self._state = "closing"
            self._wake_changed()
            self._emit("closing")

    def _closed(self, error: IcelaneError | None, unsent: int = 0) -> None:
        if self._state == "closed":
            return
        _ = self.id
        self._state = "closed"
        self._unsent = unsent
        self._error = error
        self._wake_changed()
        for waiter in (*self._waiters, *self._drainers):
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        self._drainers.clear()
        self._ends_untold = True
        self._tell_end()

    def _tell_end(self) -> None:
        """`close` comes last: behind the messages that wait for handlers, but not behind those that nobody asks for."""
        if not self._ends_untold or (self._queue and self.has_listener("message")):
            return
        self._ends_untold = False
        if self._error is not None:
            self._emit("error", self._error, error=self._error)
        self._emit("close")

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_changed(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
