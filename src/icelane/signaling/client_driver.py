"""What moves a client engine: WebSockets one after the other, tokens, and the clock.

driver = ClientDriver(session, url=url, token=token, options=options, on_event=react, on_failure=fail)
driver.run(lambda now: session.start())
...
await driver.close()
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar, assert_never

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from icelane.aio.system import monotonic
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import Duration, Instant
from icelane.errors import CertificateRefusedError, ConfigurationError, IcelaneError, ProxyError
from icelane.signaling.client_connection import ConnectionOptions, HttpRefusalError, open_websocket, signal_url
from icelane.signaling.client_event import ClientCommand, ClientEvent, CloseConnection, OpenConnection, RenewToken
from icelane.signaling.client_session import ClientSession, ClientState

_log = logging.getLogger(__name__)

# What the last frames and the closing handshake may take.
END_TIMEOUT: Final[Duration] = 3.0
_LOST: Final = 1006

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]
T = TypeVar("T")


class ClientDriver:
    """Feeds `session`. `on_failure` is asked about what will not get better by itself; True: it ends everything."""

    def __init__(
        self,
        session: ClientSession,
        *,
        url: str,
        token: Token | None,
        options: ConnectionOptions,
        on_event: Callable[[ClientEvent], object],
        on_failure: Callable[[Exception], bool],
    ) -> None:
        self._session = session
        self._url = url
        self._token = token
        self._options = options
        self._on_event = on_event
        self._on_failure = on_failure
        self._wakeup = Wakeup(lambda: self.run(session.handle_timeout))
        self._attempt: _Attempt | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._draining = False

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Call a verb of the engine with the time, drain, and return what it returned."""
        try:
            return verb(monotonic())
        finally:
            self.drain()

    async def close(self) -> None:
        """Wait for the end of the connection, after `ClientSession.close`."""
        self._wakeup.set(None)
        waiting = [task for task in self._background if task is not asyncio.current_task()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=END_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def drain(self) -> None:
        """Carry out and tell what the engine wants."""
        if self._draining:
            return  # whoever drains goes on with what this one caused
        self._draining = True
        try:
            while self._drain_once():
                pass
        finally:
            self._draining = False
        self._wakeup.set(self._session.next_timeout())

    def _drain_once(self) -> bool:
        session = self._session
        busy = False
        while (text := session.poll_transmit()) is not None:
            if self._attempt is not None:
                self._attempt.write(text)
        while (command := session.poll_command()) is not None:
            busy = True
            self._carry_out(command)
        while (event := session.poll_event()) is not None:
            busy = True
            self._on_event(event)
        return busy

    def _carry_out(self, command: ClientCommand) -> None:
        match command:
            case OpenConnection(url):
                self._attempt = attempt = _Attempt()
                self._start(self._serve(attempt, url))
            case CloseConnection(code):
                if self._attempt is not None:
                    self._attempt.finish(code)
                    self._attempt = None
            case RenewToken():
                self._start(self._renew())
            case _:
                assert_never(command)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Connections

    async def _serve(self, attempt: _Attempt, url: str | None) -> None:
        """One connection from its beginning to its end."""
        try:
            token = await self._get_token()
            target = self._url if url is None else signal_url(url, allow_cleartext=self._url.startswith("ws:"))
            socket = await open_websocket(target, token, self._options, is_named=url is None)
        except HttpRefusalError as error:
            status, reason, after = error.status, error.reason, error.retry_after
            self._tell(attempt, lambda now: self._session.handle_refused(status, reason, after, now))
            return
        except IcelaneError as error:
            if _is_lasting(error):
                self._fail(attempt, error)
                return
            reason = str(error)
            self._tell(attempt, lambda now: self._session.handle_closed(_LOST, reason, now))
            return
        except Exception as error:
            self._fail(attempt, error)
            return
        if self._attempt is not attempt:
            await socket.close()
            return
        self._tell(attempt, lambda now: self._session.handle_connected(None, now))
        code, reason = await attempt.serve(socket, lambda text: self._tell(attempt, self._frame(text)))
        self._tell(attempt, lambda now: self._session.handle_closed(code, reason, now))

    def _frame(self, text: str | bytes) -> Callable[[Instant], None]:
        return lambda now: self._session.handle_frame(text, now)

    def _tell(self, attempt: _Attempt, verb: Callable[[Instant], None]) -> None:
        """Unless that connection is given up already."""
        if self._attempt is attempt:
            self.run(verb)

    def _fail(self, attempt: _Attempt, error: Exception) -> None:
        """What will not get better by itself; but after an attempt that worked, it may."""
        if self._on_failure(error):
            return
        _log.warning("signaling cannot connect: %s", error if isinstance(error, IcelaneError) else type(error).__name__)
        self._tell(attempt, lambda now: self._session.handle_closed(_LOST, type(error).__name__, now))

    async def _get_token(self) -> str | None:
        if not callable(self._token):
            return self._token
        token = self._token()
        return await token if inspect.isawaitable(token) else token

    async def _renew(self) -> None:
        try:
            token = await self._get_token()
        except Exception as error:
            # The session goes on until the server ends it, and then another one is asked for.
            _log.warning("no other token: %s", type(error).__name__)
            return
        if token is not None and self._session.state is not ClientState.CLOSED:
            self.run(lambda now: self._session.refresh(token, now))


def _is_lasting(error: IcelaneError) -> bool:
    """Whether the same would happen again: a wrong certificate, a wrong setting, a proxy that does not want us."""
    if isinstance(error, ProxyError):
        return error.status is not None and 400 <= error.status < 500
    return isinstance(error, CertificateRefusedError | ConfigurationError)


class _Attempt:
    """A connection that may not be there yet, and what is to be written to it."""

    def __init__(self) -> None:
        self._frames: deque[str] = deque()  # bounded by the engine: MAX_IN_FLIGHT requests, and a ping
        self._more = asyncio.Event()
        self._close_with: int | None = None

    def write(self, text: str) -> None:
        """Send it in its turn."""
        self._frames.append(text)
        self._more.set()

    def finish(self, code: int) -> None:
        """Send what is there, then close."""
        self._close_with = code
        self._more.set()

    async def serve(self, socket: ClientConnection, on_frame: Callable[[str | bytes], None]) -> tuple[int, str]:
        """Read and write until the end; returns the code and the reason of it."""
        writer = asyncio.create_task(self._write(socket))
        try:
            while True:
                on_frame(await socket.recv())
        except ConnectionClosed as closed:
            received = closed.rcvd
            return (received.code, received.reason) if received is not None else (_LOST, "the connection was lost")
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                while self._frames:
                    await socket.send(self._frames.popleft())
                if self._close_with is not None:
                    await socket.close(self._close_with)
                    return
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            return  # the reader tells
