"""SignalClient: rooms, peers and calls by way of a signaling server, on asyncio.

    async with SignalClient("wss://call.example.org", token=token, room="demo") as signal:
        peer = await signal.next_peer()
        async with signal.connect_peer(peer) as pc:             # an RTCPeerConnection that negotiates by itself
            channel = pc.createDataChannel("chat", negotiated=True, id=0)
            await channel.opened()
            channel.send("hello")
            print(await channel.receive())

The same program runs at both ends. When the connection breaks it comes back into the same session, and nothing is lost
that was sent within a minute; calls go on meanwhile, since nothing of them passes the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self, assert_never

from msgspec import UNSET

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.event_target import EventTarget
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration, Instant
from icelane.crypto.provider import SystemEntropy
from icelane.errors import (
    InvalidStateError,
    LocalProtocolError,
    OperationError,
    SignalError,
    SignalRefusedError,
    TransportClosedError,
)
from icelane.signaling.client_calls import Calls
from icelane.signaling.client_connection import CLOSE_TIMEOUT, ConnectionOptions, signal_url
from icelane.signaling.client_driver import ClientDriver, Token
from icelane.signaling.client_event import (
    Answered,
    ClientEvent,
    Connected,
    Continuity,
    Disconnected,
    Ended,
    IceServersGiven,
    MessageReceived,
    Peer,
    PeerAppeared,
    PeerChanged,
    PeerDeparted,
    RoomChanged,
    RoomEntered,
    RoomLeft,
    SignalReceived,
    Unanswered,
)
from icelane.signaling.client_session import ClientSession, ClientState
from icelane.signaling.messages import (
    EVERYBODY,
    ClientInfo,
    Error,
    Joined,
    Ok,
    SignalData,
    encode_json,
)

_log = logging.getLogger(__name__)

# How long it may take to be in the room at first.
DEFAULT_TIMEOUT: Final[Duration] = 30.0
# Messages that nobody has received. At the bound the oldest is dropped, which is counted and logged once.
MAX_INBOX: Final = 1024
# Peers that `next_peer` has not handed out. At the bound the oldest goes; whoever wants them all has `peers`.
MAX_ARRIVALS: Final = 1024


class SignalClient(EventTarget):
    """A member of rooms on one server.

    `url` names the server, or the WebSocket there where it is not at /v1/signal. `token` is a join token, or a function
    that gets one, also an async one: it is called whenever another one is needed. `meta` is what others see of us.
    `data` is for the server's before-connect hook. `configuration` is for peer connections; where it names no
    `iceServers`, they come from the server, always fresh. `authority` and `http_proxy` are as in RTCConfiguration, and
    count for the server and for `turns:` servers. Cleartext is refused but to this machine, unless `allow_cleartext`.

    Events: `peerjoined` and `peerupdated` (the Peer), `peerleft` (the Peer, and why), `message` (what was said, and the
    Peer or None for the server), `roomleft` (the name, and why), `roomchanged` (the name, and whether it is locked),
    `iceservers`, `disconnected` (why), `connected` (the Continuity), `closed` (the SignalRefusedError, or None after
    our own `close`).
    """

    EVENTS = frozenset({
        "peerjoined", "peerupdated", "peerleft", "message", "roomleft", "roomchanged", "iceservers", "connected",
        "disconnected", "closed",
    })  # fmt: skip

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        room: str | None = None,
        meta: Mapping[str, object] | None = None,
        data: object = None,
        name: str = "icelane",
        version: str = "",
        configuration: RTCConfiguration | None = None,
        headers: Mapping[str, str] | None = None,
        authority: Path | str | None = None,
        http_proxy: str | None = None,
        allow_cleartext: bool = False,
        timeout: Duration = DEFAULT_TIMEOUT,
    ) -> None:
        """Raises LocalProtocolError for a URL that cannot be used; connects to nobody before `connect`."""
        super().__init__()
        self._room = room
        self._meta = dict(meta or {})
        self._timeout = timeout
        self._session = ClientSession(
            entropy=SystemEntropy(),
            wall_clock=SystemWallClock(),
            client=ClientInfo(name=name, version=version),
            data=UNSET if data is None else encode_json(data),
            renews_token=callable(token),
        )
        self._driver = ClientDriver(
            self._session,
            url=signal_url(url, allow_cleartext=allow_cleartext),
            token=token,
            options=ConnectionOptions(authority=authority, http_proxy=http_proxy, headers=dict(headers or {})),
            on_event=self._react,
            on_failure=self._fail_first,
        )
        base = configuration or RTCConfiguration()
        self._calls = Calls(
            replace(base, authority=base.authority or authority, http_proxy=base.http_proxy or http_proxy),
            self._signal,
        )
        self._answers: dict[int, asyncio.Future[Ok | Joined]] = {}
        self._arrivals: deque[Peer] = deque(maxlen=MAX_ARRIVALS)
        self._inbox: deque[tuple[object, Peer | None]] = deque()
        self._news = asyncio.Event()
        self._connected: asyncio.Future[None] | None = None
        self._reason = ""
        self._refusal: SignalRefusedError | None = None
        self.messages_dropped = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"SignalClient({self._session.state.value}, {self.identity or 'nobody yet'})"

    def __aiter__(self) -> AsyncIterator[Peer]:
        """Every peer, those that are there and those that come, until the end."""
        return self._each_peer()

    # The connection

    async def connect(self) -> None:
        """Connect, and join `room` if there is one. Afterwards the client comes back by itself whenever it has to.

        Raises SignalRefusedError when the server does not let us in, SignalError when it is the room that does not,
        CertificateRefusedError, ConfigurationError and ProxyError where that will not get better by itself, and
        TransportClosedError when `timeout` has passed, with what went wrong last. The client is closed then.
        """
        self._connected = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout) as limit:
                self._driver.run(lambda _: self._session.start())
                await self._connected
                if self._room is not None:
                    await self.join(self._room, self._meta)
        except BaseException as error:
            await self.close(0.0)
            if isinstance(error, TimeoutError) and limit.expired():
                raise TransportClosedError(self._reason or f"no answer within {self._timeout:g} s") from None
            raise

    async def close(self, timeout: Duration = CLOSE_TIMEOUT) -> None:
        """Leave. What was asked for is done first, within `timeout` seconds; peer connections are closed too."""
        if timeout > 0 and self._session.state is ClientState.OPEN and self._answers:
            await asyncio.wait(list(self._answers.values()), timeout=timeout)
        await self._calls.close(timeout)
        self._driver.run(lambda _: self._session.close())
        await self._driver.close()

    # Rooms

    async def join(self, room: str, meta: Mapping[str, object] | None = None) -> tuple[Peer, ...]:
        """Be in a room from now on; returns who is there. Raises SignalError."""
        body = encode_json(dict(self._meta if meta is None else meta))
        await self._ask(lambda now: self._session.join(room, body, now))
        return self.peers_in(room)

    async def leave(self, room: str) -> None:
        """Be there no more."""
        for peer in self.peers_in(room):
            self._calls.forget(peer.id)
        await self._ask(lambda now: self._session.leave(room, now))

    async def update(self, meta: Mapping[str, object], room: str | None = None) -> None:
        """Say something else about ourselves; `room` may be left out by whoever is in one. Raises SignalError."""
        body, where = encode_json(dict(meta)), self._only_room(room)
        await self._ask(lambda now: self._session.update(where, body, now))

    async def kick(self, peer: Peer, reason: str = "") -> None:
        """Remove somebody from the room. Raises SignalError, `forbidden` without the grant `moderate`."""
        await self._ask(lambda now: self._session.kick(peer.room, peer.id, reason, now))

    async def lock(self, room: str | None = None, *, locked: bool = True) -> None:
        """Let nobody in any more, or again. Raises SignalError."""
        where = self._only_room(room)
        await self._ask(lambda now: self._session.lock(where, locked, now))

    async def close_room(self, room: str | None = None, reason: str = "") -> None:
        """Send everybody out of a room. Raises SignalError."""
        where = self._only_room(room)
        await self._ask(lambda now: self._session.close_room(where, reason, now))

    def peers_in(self, room: str) -> tuple[Peer, ...]:
        """Who is in a room, besides us."""
        known = self._session.rooms.get(room)
        return tuple(known.peers.values()) if known else ()

    # Peers

    async def next_peer(self) -> Peer:
        """The next one who is there and whom this has not returned before; waits for one.

        Raises SignalRefusedError or InvalidStateError when the client is closed.
        """
        while True:
            while self._arrivals:
                peer = self._arrivals.popleft()
                if self.peer(peer.id) is not None:
                    return peer
            await self._wait_for_news()

    def peer(self, peer_id: str) -> Peer | None:
        """Who has this id now."""
        rooms = self._session.rooms.values()
        return next((room.peers[peer_id] for room in rooms if peer_id in room.peers), None)

    def connect_peer(self, peer: Peer, configuration: RTCConfiguration | None = None) -> RTCPeerConnection:
        """A peer connection that negotiates with `peer` by itself, at both ends and at any time.

        Use it as any other: create channels and add tracks, and close it. It ends when the peer leaves; it goes on when
        only the way to the server is lost. `iceServers` come from the server unless `configuration` names some. Raises
        InvalidStateError for a second connection to the same peer.
        """
        room = self._session.rooms.get(peer.room)
        return self._calls.connect(peer, configuration, relay_only=room is not None and room.relay_only)

    def rtc_configuration(self) -> RTCConfiguration:
        """What `connect_peer` uses: with the server's ICE servers as they are now."""
        return self._calls.configuration(None, relay_only=False)

    # Messages

    async def send(self, data: object, to: Peer | str = EVERYBODY, *, room: str | None = None) -> None:
        """Say something that JSON can say to a peer, or to all others of a room. Returns when the server has taken it.

        Raises SignalError, MessageTooLargeError, and OperationError when the connection is gone for too long.
        """
        where = room if to != EVERYBODY else self._only_room(room)
        target = to.id if isinstance(to, Peer) else to
        body = encode_json(data)
        await self._ask(lambda now: self._session.message(target, body, where, now))

    async def receive(self) -> tuple[object, Peer | None]:
        """The next thing that was said, and by whom; None stands for the server, and for who has gone already.

        Only where nobody listens to the event `message`. Raises as `next_peer`.
        """
        while not self._inbox:
            await self._wait_for_news()
        return self._inbox.popleft()

    # State

    @property
    def identity(self) -> str | None:
        """Who we are to the server."""
        return self._session.identity

    @property
    def peer_id(self) -> str | None:
        """How others know us; another one after a session was lost."""
        return self._session.peer

    @property
    def is_connected(self) -> bool:
        """Whether the server hears us now."""
        return self._session.state is ClientState.OPEN

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms we are in, or will be in again."""
        return tuple(self._session.rooms)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Everybody who is in a room with us."""
        return tuple(peer for room in self._session.rooms.values() for peer in room.peers.values())

    @property
    def ice_servers(self) -> list[RTCIceServer]:
        """The ICE servers as the server gave them last."""
        return self._calls.servers()

    # Events

    def _react(self, event: ClientEvent) -> None:
        match event:
            case Connected():
                self._handle_connected(event)
            case Disconnected():
                self._reason = event.reason or f"the connection was closed with {event.code}"
                self._emit("disconnected", self._reason, reason=self._reason)
            case Ended():
                self._handle_ended(event)
            case PeerAppeared(peer):
                self._arrivals.append(peer)
                self._news.set()
                self._emit("peerjoined", peer, peer=peer)
            case PeerChanged(peer):
                self._emit("peerupdated", peer, peer=peer)
            case PeerDeparted(peer, reason):
                self._calls.handle_departed(peer.id, reason)
                self._emit("peerleft", peer, reason.value, peer=peer, reason=reason.value)
            case RoomEntered():
                pass  # `join` returns
            case RoomLeft(room, reason):
                self._emit("roomleft", room, reason.value, room=room, reason=reason.value)
            case RoomChanged(room, locked, relay_only):
                self._calls.restrict([peer.id for peer in self.peers_in(room)], relay_only)
                self._emit("roomchanged", room, locked, room=room, locked=locked)
            case SignalReceived(sender, data):
                self._calls.handle_signal(sender, data)
            case MessageReceived():
                self._handle_message(event)
            case IceServersGiven(ice):
                self._calls.provide_servers(ice)
                self._emit("iceservers", self.ice_servers, iceServers=self.ice_servers)
            case Answered():
                self._handle_answer(event)
            case Unanswered(number):
                future = self._answers.pop(number, None)
                if future is not None and not future.done():
                    lost = OperationError("the session was lost before the server answered")
                    future.set_exception(self._refusal or lost)
            case _:
                assert_never(event)

    def _handle_connected(self, event: Connected) -> None:
        if event.continuity is Continuity.RESYNCED:
            self._calls.repeat_offers()
        if self._connected is not None and not self._connected.done():
            self._connected.set_result(None)
        self._emit("connected", event.continuity, continuity=event.continuity.value)

    def _handle_ended(self, event: Ended) -> None:
        self._news.set()
        wanted = event.reason == "closed" and event.code == 1000
        if not wanted:
            word = event.reason or f"closed_{event.code}"
            self._refusal = SignalRefusedError(word, event.message, close_code=event.code)
        if self._connected is not None and not self._connected.done():
            self._connected.set_exception(self._refusal or InvalidStateError("this client is closed"))
            self._connected.exception()  # whoever waits has it; nobody else needs to be told
        self._emit("closed", self._refusal, error=self._refusal)

    def _handle_message(self, event: MessageReceived) -> None:
        sender = None if event.sender is None else self.peer(event.sender)
        if self.has_listener("message"):
            self._emit("message", event.data, sender, data=event.data, sender=sender)
            return
        if len(self._inbox) >= MAX_INBOX:
            if not self.messages_dropped:
                _log.warning("messages are dropped: nobody receives them")
            self.messages_dropped += 1
            self._inbox.popleft()
        self._inbox.append((event.data, sender))
        self._news.set()

    def _handle_answer(self, event: Answered) -> None:
        future = self._answers.pop(event.id, None)
        if future is None or future.done():
            return
        answer = event.answer
        if isinstance(answer, Error):
            after = None if answer.after is UNSET else answer.after
            future.set_exception(SignalError(answer.code, answer.message, retryable=answer.retryable, after=after))
        else:
            future.set_result(answer)

    # Smaller things

    async def _ask(self, verb: Callable[[Instant], int]) -> Ok | Joined:
        if self._refusal is not None:
            raise self._refusal
        number = verb(monotonic())
        future: asyncio.Future[Ok | Joined] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self._driver.drain()
        try:
            return await future
        finally:
            self._answers.pop(number, None)

    def _fail_first(self, error: Exception) -> bool:
        """Whoever waits for the first connection gets the error."""
        if self._connected is None or self._connected.done():
            return False
        self._connected.set_exception(error)
        return True

    def _signal(self, peer: str, data: SignalData) -> None:
        """For calls: nobody waits for the answer."""
        if self._session.state is not ClientState.CLOSED:
            try:
                self._driver.run(lambda now: self._session.signal(peer, data, now))
            except OperationError:
                _log.debug("a signal was not sent: too many wait")

    def _only_room(self, room: str | None) -> str:
        if room is not None:
            return room
        if len(self._session.rooms) != 1:
            raise LocalProtocolError("say which room: this client is in none, or in several")
        return next(iter(self._session.rooms))

    async def _wait_for_news(self) -> None:
        if self._session.state is ClientState.CLOSED:
            raise self._refusal or InvalidStateError("this client is closed")
        self._news.clear()
        await self._news.wait()

    async def _each_peer(self) -> AsyncIterator[Peer]:
        while True:
            try:
                peer = await self.next_peer()
            except InvalidStateError:
                return
            yield peer
