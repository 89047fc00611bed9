"""The hub in an event loop: its timer, its writers, and the questions that it asks of admission and hooks.

WebSocket --text--> connection.receive --> Hub --> wakes   --> a task that writes while there is something
                                             |---> commands --> a task that asks, and answers the hub
                                             |---> events   --> log records, on_connected, on_left
                                             '---> deadline --> one timer
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw

from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import Duration, Instant, WallClock, later
from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress
from icelane.core.secret_header import SECRET_HEADERS
from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission.request import (
    Connected,
    ConnectRequest,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
)
from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.engine import SignalEngine
from icelane.signaling.engine_memory import MemoryEngine
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.failure import report_failure
from icelane.signaling.gate import Gate, IceSource
from icelane.signaling.hub import Hub
from icelane.signaling.hub_event import (
    Admit,
    AskJoin,
    AskMessage,
    ConnectionEnded,
    HubCommand,
    HubEvent,
    IceAnswer,
    IssueIce,
    Readmit,
    SessionEnded,
    SessionResumed,
    SessionStarted,
)
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import EVERYBODY, Update, encode_json, frame_type, parse_json_object
from icelane.signaling.moderation import Moderation
from icelane.signaling.outbox import CloseConnection
from icelane.signaling.room_rule import RoomRule
from icelane.signaling.session import ConnectionId, SessionSummary
from icelane.turn.access_list import Client

LOGGER: Final = logging.getLogger("icelane.signaling")

# How often lists are asked about who is connected: deny ends what is there within 5 s (SG-4).
LIST_INTERVAL: Final[Duration] = 2.0
# How long one frame may take to leave. Whoever does not read for so long gets no goodbye either.
WRITE_TIMEOUT: Final[Duration] = 10.0

R = TypeVar("R")
Write = Callable[[str | CloseConnection], Awaitable[None]]


class SignalConnection:
    """One WebSocket, as its endpoint sees it.

    `finished` is done when nothing more will be written: with True once the close is on its way, with False when the
    client does not read.
    """

    __slots__ = ("_service", "_write", "_writer", "finished", "id", "request")

    def __init__(
        self, service: SignalService, connection_id: ConnectionId, request: ConnectRequest, write: Write
    ) -> None:
        self._service = service
        self._write = write
        self._writer: asyncio.Task[None] | None = None
        self.id = connection_id
        self.request = request
        self.finished: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def receive(self, text: str) -> None:
        """A frame came."""
        self._service.handle_frame(self, text)

    def closed(self, code: int) -> None:
        """The WebSocket is closed; 1006 when the client did not say so."""
        if self._writer is not None:
            self._writer.cancel()
        self._finish(False)
        self._service.handle_closed(self, code)

    def wake(self) -> None:
        """There is something to write."""
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        hub = self._service.hub
        try:
            while (item := hub.poll_transmit(self.id)) is not None:
                async with asyncio.timeout(WRITE_TIMEOUT):
                    await self._write(item)
                if isinstance(item, CloseConnection):
                    self._finish(True)
                    return
        except (OSError, TimeoutError):  # he is gone, or as good as
            self._finish(False)
        finally:
            self._writer = None

    def _finish(self, closing: bool) -> None:
        if not self.finished.done():
            self.finished.set_result(closing)


class SignalService:
    """Signaling in the running loop. It starts with the first connection and ends with `close`.

    Without an `engine`, rooms are those of this process.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        ice: IceSource | None = None,
        engine: SignalEngine | None = None,
        limits: SignalingLimits | None = None,
        rules: tuple[RoomRule, ...] = (),
        entropy: Entropy | None = None,
        wall_clock: WallClock | None = None,
    ) -> None:
        self._gate = gate
        self._ice = ice
        self._wall_clock = wall_clock or SystemWallClock()
        self.hub = Hub(
            engine or MemoryEngine(monotonic()),
            entropy or SystemEntropy(),
            self._wall_clock,
            limits,
            rules,
            gate,
        )
        self._connections: dict[ConnectionId, SignalConnection] = {}
        self._last_id = 0
        self._wakeup = Wakeup(self._wake)
        self._tasks: set[asyncio.Task[None]] = set()
        self._driving = False
        self._lists_at: Instant | None = None
        self._closed = False

    @property
    def moderation(self) -> Moderation:
        """What administrators see. What they do goes through `run`."""
        return self.hub.moderation

    @property
    def connections(self) -> int:
        """How many WebSockets there are."""
        return len(self._connections)

    def connect(self, request: ConnectRequest, write: Write) -> SignalConnection:
        """A WebSocket was accepted; `write` sends a frame, or closes."""
        self._last_id += 1
        connection = SignalConnection(self, ConnectionId(self._last_id), request, write)
        self._connections[connection.id] = connection
        self.run(lambda now: self.hub.handle_connected(connection.id, request.ip, now))
        return connection

    def handle_refused(self, word: str) -> None:
        """Somebody was refused before the upgrade, with this word."""
        self.hub.refusals.count(word)

    def handle_frame(self, connection: SignalConnection, text: str) -> None:
        """A frame came on a connection."""
        self.hub.handle_frame(connection.id, text, monotonic())
        self.drive()

    def handle_closed(self, connection: SignalConnection, code: int) -> None:
        """A connection is closed."""
        if self._connections.pop(connection.id, None) is not None:
            self.run(lambda now: self.hub.handle_closed(connection.id, code, now))

    def run(self, verb: Callable[[Instant], R]) -> R:
        """Call a verb of the hub or of its moderation with the time, and do what follows."""
        try:
            return verb(monotonic())
        finally:
            self.drive()

    def drain(self, within: Duration, url: str | None = None) -> None:
        """Admit nobody any more and send everybody away, each at a time of his own."""
        self.run(lambda now: self.hub.drain(within, now, url))

    async def close(self, within: Duration = 2.0) -> None:
        """Say goodbye to everybody and wait until that is written, `within` seconds at most."""
        self._closed = True
        finished = [connection.finished for connection in self._connections.values()]
        self.run(self.hub.close)
        if finished:
            await asyncio.wait(finished, timeout=within)
        for task in list(self._tasks):
            task.cancel()
        self._wakeup.set(None)

    def drive(self) -> None:
        """Everything that the hub wants, until it wants nothing."""
        if self._driving:
            return
        self._driving = True
        try:
            while (command := self.hub.poll_command()) is not None:
                self._start(self._carry_out(command))
            while (event := self.hub.poll_event()) is not None:
                self._tell(event)
            while (woken := self.hub.poll_wake()) is not None:
                connection = self._connections.get(woken)
                if connection is not None:
                    connection.wake()
        finally:
            self._driving = False
            self._arm()

    def _arm(self) -> None:
        at = self.hub.next_timeout()
        if self._connections and self._lists_at is None:
            self._lists_at = later(monotonic(), LIST_INTERVAL)
        if self._lists_at is not None:
            at = self._lists_at if at is None else min(at, self._lists_at)
        # Nobody is here and nothing has happened: an engine that wants to be asked can wait for the next one.
        idle = self.hub.empty and not self._connections
        self._wakeup.set(None if idle or (self._closed and not self._connections) else at)

    def _wake(self) -> None:
        now = monotonic()
        if self._lists_at is not None and now >= self._lists_at:
            self._lists_at = None
            self._ask_lists(now)
        self.hub.handle_timeout(now)
        self.drive()

    def _ask_lists(self, now: Instant) -> None:
        clients = (Client(*client) for client in self.moderation.clients())
        for session, refusal in list(self._gate.refused_now(clients)):
            self.moderation.end_session(session, refusal, now)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        # Bounded by the hub: one question for each connection, and those that have not said hello are bounded.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Questions.

    async def _carry_out(self, command: HubCommand) -> None:
        match command:
            case Admit() | Readmit():
                answer, ice = await self._admission(command)
                try:
                    self.run(lambda now: self.hub.provide_admission(command.decision, answer, ice, now))
                except Exception as error:  # a gate of somebody's own may admit with anything
                    report_failure("admission", error)
                    self.run(lambda now: self.hub.handle_failed(command.connection, now))
            case AskJoin() | AskMessage():
                refusal = await self._decision(command)
                self.run(lambda now: self.hub.provide_decision(command.decision, refusal, now))
            case IssueIce(session):
                ice = await self._ice_for(session.admission, session.address, session.session)
                self.run(lambda now: self.hub.provide_ice(session.session, ice, now))

    async def _admission(self, command: Admit | Readmit) -> tuple[Admission | Refusal, IceAnswer | None]:
        connection = self._connections.get(command.connection)
        if connection is None:
            return _MISTAKE, None
        try:
            if isinstance(command, Readmit):
                request = _only_with(connection.request, command.refresh.token)
            else:
                request = _with_hello(connection.request, command)
            answer = await self._gate.admit(request, screened=True)
            if isinstance(answer, Refusal):
                return answer, None
            return answer, await self._ice_for(answer, request.ip, "")
        except Exception as error:  # whatever goes wrong in there, nobody gets in by it
            report_failure("admission", error)
            return _MISTAKE, None

    async def _decision(self, command: AskJoin | AskMessage) -> Refusal | None:
        session = command.session
        try:
            if isinstance(command, AskJoin):
                return await self._gate.before_join(_join_request(session, command))
            return await self._gate.before_message(_message_request(session, command), session.address)
        except Exception as error:
            report_failure("decision", error)
            return _MISTAKE

    async def _ice_for(self, admission: Admission, address: str, session: str) -> IceAnswer:
        if self._ice is None and not self._gate.asks_about_ice:
            return IceAnswer(None, admission.relay_only)
        try:
            event = IceRequest(identity=admission.identity, labels=admission.labels, ip=address, session=session)
            policy = await self._gate.before_ice(event, admission.ice)
        except Exception as error:
            report_failure("before_ice", error)
            return IceAnswer(None, True)
        if isinstance(policy, Refusal):
            # A hook that has not answered might have said `relay`: until it does, no address is passed on.
            return IceAnswer(None, admission.relay_only or (self._gate.asks_about_ice and policy.code in _UNDECIDED))
        admission = replace(admission, ice=policy)
        if self._ice is None:
            return IceAnswer(None, admission.relay_only)
        try:
            return IceAnswer(self._ice.ice_servers(admission, monotonic()), admission.relay_only)
        except Exception as error:
            report_failure("ice", error)
            return IceAnswer(None, admission.relay_only)

    # Events.

    def _tell(self, event: HubEvent) -> None:
        at = self._wall_clock.unix_time(monotonic())
        match event:
            case SessionStarted(session, _, admission, address):
                self._gate.tell(Connected(identity=admission.identity, session=session, ip=address, at=at))
                _log("signaling.connected", event.session, admission, address)
            case SessionResumed(session, admission, replayed):
                _log("signaling.resumed", session, admission, replayed=replayed)
            case SessionEnded(session, admission, reason):
                self._gate.tell(Left(identity=admission.identity, session=session, reason=reason.value, at=at))
                _log("signaling.left", session, admission, reason=reason.value)
            case ConnectionEnded(_, address, code, error, _):
                fields = {"code": int(code), "reason": error, "client": SocketAddress(address, 0)}
                LOGGER.info("signaling.closed", extra=fields)
            case _:
                pass


# Refusals of `before_ice` that are not the hook's own word.
_UNDECIDED: Final = frozenset({CloseCode.INTERNAL, CloseCode.RATE_LIMITED})
_MISTAKE: Final = Refusal(code=CloseCode.INTERNAL, error=ErrorCode.INTERNAL.value, reason=ErrorCode.INTERNAL.message)


def _log(event: str, session: str, admission: Admission, address: str = "", **fields: object) -> None:
    # The id of a session is half of what resumes it, so the log has the half that tells them apart.
    known: dict[str, object] = {"session": session[:10], "identity": admission.identity, **fields}
    if address:
        known["client"] = SocketAddress(address, 0)
    LOGGER.info(event, extra=known)


def _with_hello(request: ConnectRequest, command: Admit) -> ConnectRequest:
    hello = command.hello
    data = None if hello.data is UNSET else msgspec.json.decode(hello.data)
    request = request.with_hello(None if hello.token is UNSET else hello.token, data)
    return request if hello.ticket is UNSET else replace(request, ticket=hello.ticket)


def _only_with(request: ConnectRequest, token: str) -> ConnectRequest:
    """The request as if nothing had come with it but this token: what it came with is older."""
    headers = request.headers.without(*SECRET_HEADERS)
    return replace(
        request, headers=headers, cookies={}, subprotocols=(), ticket=None, query_token=None, hello_token=token
    )


def _join_request(session: SessionSummary, command: AskJoin) -> JoinRequest:
    return JoinRequest(
        identity=session.identity,
        room=command.join.room,
        meta=parse_json_object(command.join.meta),
        labels=session.admission.labels,
        ip=session.address,
        session=session.session,
    )


def _message_request(session: SessionSummary, command: AskMessage) -> MessageRequest:
    frame = command.frame
    # What somebody says of himself goes to everybody in the room, as a message to all would.
    to = EVERYBODY if isinstance(frame, Update) else frame.to
    data = frame.meta if isinstance(frame, Update) else frame.data
    if not isinstance(data, Raw):
        data = encode_json(data)
    return MessageRequest(
        identity=session.identity,
        room=command.room,
        to=to,
        kind=frame_type(frame),
        data=msgspec.json.decode(data),
        labels=session.admission.labels,
        session=session.session,
    )
