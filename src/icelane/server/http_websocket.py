"""uvicorn's WebSocket, with what it leaves open: long heads, and frames that carry nothing.

`websockets` takes 128 headers of 8 KiB each, and uvicorn says nothing to a client whose head has more. So the parser of
the handshake is shown only the headers that it needs; the application sees all of them, and `HttpGate` bounds them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame
from websockets.http11 import MAX_LINE_LENGTH, Request

from icelane.core.clock import Duration

MAX_BARE_FRAMES: Final = 100
"""Control frames and short fragments that a client may send within `BARE_FRAMES_WITHIN`; then it is closed with 1008.

Every other frame ends a message or is long, so that the limits of the application count it."""

BARE_FRAMES_WITHIN: Final[Duration] = 10.0

# Who cuts a message into pieces has a reason, such as a buffer of this size; smaller ones only cost us.
MIN_FRAGMENT: Final = 1024
# One read may have 256 KiB, which is 40,000 pings; this much is parsed before the rate is looked at.
MAX_PARSED_AT_ONCE: Final = 4096

_HANDSHAKE_HEADERS: Final = (b"connection", b"upgrade", b"host", b"origin")


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A protocol object of uvicorn for one WebSocket. The first bytes are the head, whole."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: Headers | None = None
        self._bare_frames = 0
        self._counted_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self._head is None:
            self._receive_head(data)
            return
        for start in range(0, len(data), MAX_PARSED_AT_ONCE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + MAX_PARSED_AT_ONCE])

    def handle_connect(self, event: Request) -> None:
        """The handshake parses: go on with every header, not with those alone that it needs."""
        assert self._head is not None, "the head comes first"
        event.headers = self._head
        super().handle_connect(event)

    def handle_ping(self) -> None:
        """A ping, which the parser has answered into its buffer."""
        if self._counts():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """A pong, asked for or not."""
        if self._counts():
            super().handle_pong(event)

    def handle_text(self, event: Frame) -> None:
        """A text, or its beginning."""
        if self._is_whole(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Bytes, or their beginning."""
        if self._is_whole(event):
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """A further part."""
        if self._is_whole(event):
            super().handle_cont(event)

    def _receive_head(self, data: bytes) -> None:
        request_line, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
        pairs = [line.partition(b":")[::2] for line in lines]
        self._head = Headers()
        for name, value in pairs:
            self._head[name.decode("latin-1")] = value.strip(b" \t").decode("latin-1")
        if len(request_line) >= MAX_LINE_LENGTH - 2:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        needed = [line for line, (name, _) in zip(lines, pairs, strict=True) if _is_of_the_handshake(name)]
        super().data_received(b"\r\n".join([request_line, *needed, b"", b""]))
        if not self.handshake_initiated:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer a head that is none of a WebSocket, and close."""
        text = status.phrase.encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()

    def _is_whole(self, event: Frame) -> bool:
        return event.fin or len(event.data) >= MIN_FRAGMENT or self._counts()

    def _counts(self) -> bool:
        """SG-14: whether a frame that carries nothing may still come; else the connection ends here."""
        if self.transport.is_closing():
            return False
        now = self.loop.time()
        if now - self._counted_since >= BARE_FRAMES_WITHIN:
            self._counted_since, self._bare_frames = now, 0
        self._bare_frames += 1
        if self._bare_frames <= MAX_BARE_FRAMES:
            return True
        self._end_flood()
        return False

    def _end_flood(self) -> None:
        """At once, without waiting for the other side to agree: it would go on."""
        try:
            self.conn.send_close(CloseCode.POLICY_VIOLATION, "too many frames")
        except InvalidState:  # not open yet, or closing already
            self.transport.abort()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008, "reason": "too many frames"})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.disconnected = True  # what the application sends from here on finds nobody
        self.transport.close()


def _is_of_the_handshake(name: bytes) -> bool:
    lowered = name.lower()
    return lowered in _HANDSHAKE_HEADERS or lowered.startswith(b"sec-websocket-")
