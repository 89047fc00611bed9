"""The TURN client engine (RFC 8656): one path to a server, one allocation, from asking for it to giving it up.

    1. client -> server   Allocate                    allocate()            IDLE -> REQUESTED
    2. client <- server   401, and step 1 signed      (icelane.turn.exchange)
    3. client <- server   success: Allocated                                REQUESTED -> HELD
    4. client -> server   CreatePermission, ChannelBind, renewed until the end
    5. client <> server   ChannelData, Send, Data     send(), DataReceived
    6. client -> server   Refresh, a minute before the lifetime ends
    7. client -> server   Refresh with lifetime 0     close()               HELD -> RELEASING
    8. client <- server   success: AllocationReleased                       RELEASING -> ENDED

An engine that has ended holds nothing and stays so: make another, on another path, for another allocation.

    turn = TurnClient(path, username="alice", password="secret", entropy=SystemEntropy())
    turn.allocate(AllocateOptions(), now)
    while (transmit := turn.poll_transmit()) is not None:
        socket.send(transmit.data)
    while (event := turn.poll_event()) is not None:
        react(event)
    timer.reschedule(turn.next_timeout())
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple, assert_never

from icelane.core.clock import Instant, TimerTable, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress
from icelane.errors import (
    IcelaneError,
    IntegrityError,
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
    TransactionTimeoutError,
    TransportClosedError,
    TurnError,
)
from icelane.stun.attributes import AttributeType
from icelane.stun.authentication import ClientAuthentication
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.channel_data import looks_like_channel_data
from icelane.turn.client_event import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationRefreshed,
    AllocationReleased,
    PeerConnected,
    PeerConnectFailed,
    TurnClientEvent,
)
from icelane.turn.client_peer import MAX_CHANNELS, MAX_PERMISSIONS
from icelane.turn.client_request import (
    AllocateOptions,
    parse_allocated,
    parse_connection_attempt,
    parse_connection_id,
    parse_lifetime,
    parse_redirect,
    write_allocate,
    write_connect,
    write_refresh,
)
from icelane.turn.client_traffic import Bind, PeerTraffic, Permit, may_pass
from icelane.turn.exchange import Answered, Exchanges, Failed
from icelane.turn.redirect import check_redirect

# RFC 8656 section 8.1 asks for "about 1 minute before"; a lifetime shorter than two is refreshed at its half.
REFRESH_MARGIN: Final = 60.0
# A refresh that failed for a reason that may pass is tried again this much later, until the allocation has expired.
REFRESH_RETRY_DELAY: Final = 5.0
# Every permission and channel may be waited for at once, and the allocation itself; see `client_peer` for the bounds.
_MAX_EXCHANGES: Final = MAX_PERMISSIONS + MAX_CHANNELS + 8
# Peers that the server is connecting to, on a TCP allocation.
MAX_CONNECTING: Final = 64

# Home routers forget a UDP mapping after 30 s at the earliest (RFC 4787 section 4.3 wants two minutes).
KEEPALIVE_INTERVAL: Final = 25.0


class ClientState(enum.Enum):
    """Where the allocation is in its life."""

    IDLE = "idle"
    REQUESTED = "requested"
    ABANDONED = "abandoned"  # closed before the server answered: what it grants is given back
    HELD = "held"
    RELEASING = "releasing"
    ENDED = "ended"


class _Move(enum.Enum):
    ALLOCATE = "allocate"
    GRANT = "grant"
    CLOSE = "close"
    END = "end"


_MOVES: Final = {
    (ClientState.IDLE, _Move.ALLOCATE): ClientState.REQUESTED,
    (ClientState.IDLE, _Move.CLOSE): ClientState.ENDED,
    (ClientState.REQUESTED, _Move.GRANT): ClientState.HELD,
    (ClientState.REQUESTED, _Move.CLOSE): ClientState.ABANDONED,
    (ClientState.REQUESTED, _Move.END): ClientState.ENDED,
    (ClientState.ABANDONED, _Move.GRANT): ClientState.RELEASING,
    (ClientState.ABANDONED, _Move.END): ClientState.ENDED,
    (ClientState.HELD, _Move.CLOSE): ClientState.RELEASING,
    (ClientState.HELD, _Move.END): ClientState.ENDED,
    (ClientState.RELEASING, _Move.END): ClientState.ENDED,
}


class _Allocate(NamedTuple):
    options: AllocateOptions


class _Refresh(NamedTuple):
    pass


class _Connect(NamedTuple):
    peer: SocketAddress


_Purpose = _Allocate | _Refresh | _Connect | Permit | Bind
_Outcome = Answered[_Purpose] | Failed[_Purpose]


class _Timer(enum.Enum):
    REFRESH = "refresh"
    EXPIRY = "expiry"
    KEEPALIVE = "keepalive"


class TurnClient:
    """Sans-IO TURN client on `path`, whose remote end is the server.

    Without `username` nothing is signed. `visited` are the servers that redirected here, oldest first. With
    `is_proxied` the remote end is a proxy, and the server somewhere behind it.
    """

    def __init__(
        self,
        path: Path,
        *,
        entropy: Entropy,
        username: str | None = None,
        password: str = "",
        visited: Sequence[SocketAddress] = (),
        is_proxied: bool = False,
    ) -> None:
        self._path = path
        self._is_proxied = is_proxied
        self._entropy = entropy
        self._visited = [*visited, path.remote]
        authentication = ClientAuthentication(username, password) if username is not None else None
        self._exchanges: Exchanges[_Purpose] = Exchanges(path, authentication, entropy=entropy, limit=_MAX_EXCHANGES)
        self._state = ClientState.IDLE
        self._lifetime: int | None = None
        self._tcp = False
        self._connecting: set[SocketAddress] = set()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._transmits: deque[Transmit] = deque()
        self._events: deque[TurnClientEvent] = deque()
        self._traffic = PeerTraffic(path, entropy=entropy, start=self._exchanges.start, events=self._events)

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram, or a framed message of a stream. What does not come from the server is dropped."""
        if path != self._path:
            return
        if looks_like_channel_data(data):
            self._traffic.handle_channel_data(data)
            return
        try:
            message = parse_message(data)
            if message.fingerprint_offset is not None:
                verify_fingerprint(message)
        except (MalformedError, IntegrityError):
            return
        if message.message_class is MessageClass.INDICATION:
            self._handle_indication(message)
        else:
            self._exchanges.handle_message(message, now)
            self._settle(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed: retransmit, renew, expire."""
        self._exchanges.handle_timeout(now)
        self._settle(now)
        while (timer := self._timers.pop_due(now)) is not None:
            self._handle_timer(timer, now)
        self._traffic.handle_timeout(now)

    def handle_closed(self, path: Path, now: Instant) -> None:
        """The stream of `path` is gone, and with it the allocation."""
        if path != self._path or self._state in (ClientState.IDLE, ClientState.ENDED):
            return
        self._exchanges.handle_closed()
        self._settle(now)
        if self.state is not ClientState.ENDED:
            self._end(self._farewell(TransportClosedError("the connection to the server is closed")))

    # Commands

    def allocate(self, options: AllocateOptions, now: Instant) -> None:
        """Ask for an allocation; Allocated, AllocationFailed or Redirected follows. Once for each engine."""
        if options.tcp and not self._path.transport.reliable:
            raise LocalProtocolError("a TCP allocation needs a server over TCP or TLS")
        self._move(_Move.ALLOCATE)
        self._tcp = options.tcp
        self._lifetime = options.lifetime
        purpose = _Allocate(options)
        self._exchanges.start(purpose, Method.ALLOCATE, lambda builder, _: write_allocate(builder, options), now)

    def refresh(self, lifetime: int, now: Instant) -> None:
        """Ask for `lifetime` more seconds now, and at every refresh to come; AllocationRefreshed follows."""
        self._require_held()
        if lifetime <= 0:
            raise LocalProtocolError("a lifetime is a positive number of seconds; close() gives the allocation up")
        self._lifetime = lifetime
        self._start_refresh(lifetime, now)

    def confirm(self, now: Instant) -> None:
        """Ask now whether the allocation is still there, by refreshing it.

        AllocationRefreshed or AllocationLost follows. Without an allocation nothing happens.
        """
        if self._state is ClientState.HELD:
            self._start_refresh(self._lifetime, now)

    def create_permission(self, hosts: Iterable[str], now: Instant) -> None:
        """Let peers at these IP addresses send to us; PermissionGranted or PermissionRefused follows.

        They are granted or refused together. Raises LocalProtocolError when there are none or too many, MalformedError
        when one is no address.
        """
        self._require_held()
        self._traffic.create_permission(hosts, now)

    def bind_channel(self, peer: SocketAddress, now: Instant) -> int:
        """Bind a channel to `peer` and return its number; ChannelBound or ChannelFailed follows.

        It lets the peer's host send to us, as a permission does. Where there is a channel already, its number is
        returned and nothing follows.
        """
        self._require_held(tcp=False)
        return self._traffic.bind_channel(peer, now)

    def keep_peers(self, peers: Collection[SocketAddress]) -> None:
        """Renew no permission and no channel but those for `peers`; the others run out, and nothing is told of that.

        What is asked for once more is renewed again.
        """
        self._traffic.keep_peers(peers)

    def send(self, payload: bytes, peer: SocketAddress, *, dont_fragment: bool = False) -> None:
        """Relay `payload` to `peer`; see `encapsulate`."""
        self._transmits.append(Transmit(self._path, self.encapsulate(payload, peer, dont_fragment=dont_fragment)))

    def encapsulate(self, payload: bytes, peer: SocketAddress, *, dont_fragment: bool = False) -> bytes:
        """The message that carries `payload` to `peer`, for a driver that sends it without a queue. Changes nothing.

        On the peer's channel if one is bound; with `dont_fragment`, which channels do not have, and otherwise in a Send
        indication. Raises LocalProtocolError without an allocation, without a permission for the host and for more than
        MAX_PAYLOAD bytes.
        """
        self._require_held(tcp=False)
        return self._traffic.encapsulate(payload, peer, dont_fragment)

    def connect_peer(self, peer: SocketAddress, now: Instant) -> None:
        """TCP allocation: let the server connect to `peer`; PeerConnected or PeerConnectFailed follows.

        Needs no permission (RFC 6062 section 4.3). Raises LocalProtocolError while it is connecting there already, and
        beyond MAX_CONNECTING.
        """
        self._require_held(tcp=True)
        if peer in self._connecting or len(self._connecting) >= MAX_CONNECTING:
            raise LocalProtocolError(f"the server is connecting to {peer}, or to {MAX_CONNECTING} peers already")
        self._connecting.add(peer)
        self._exchanges.start(
            _Connect(peer), Method.CONNECT, lambda builder, token: write_connect(builder, token, peer), now
        )

    def close(self, now: Instant) -> None:
        """Give the allocation up; AllocationReleased follows. Harmless when it is over already."""
        if self._state in (ClientState.ABANDONED, ClientState.RELEASING, ClientState.ENDED):
            return
        state = self._move(_Move.CLOSE)
        if state is ClientState.RELEASING:
            self._release(now)
        elif state is ClientState.ENDED:
            self._events.append(AllocationReleased())

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next message to send, or None."""
        return self._exchanges.poll_transmit() or (self._transmits.popleft() if self._transmits else None)

    def poll_event(self) -> TurnClientEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        earliest = self._timers.next()
        for deadline in (self._traffic.next_timeout(), self._exchanges.next_timeout()):
            if deadline is not None and (earliest is None or deadline < earliest):
                earliest = deadline
        return earliest

    # Properties and privates

    @property
    def path(self) -> Path:
        """The path to the server."""
        return self._path

    @property
    def state(self) -> ClientState:
        return self._state

    @property
    def visited(self) -> tuple[SocketAddress, ...]:
        """The servers that redirected here, and the one at the end of the path."""
        return tuple(self._visited)

    @property
    def unproven_code(self) -> int | None:
        """What the last unsigned error said, for people alone; see `Exchanges`."""
        return self._exchanges.unproven_code

    @property
    def idle(self) -> bool:
        """Whether nothing is remembered and nothing is waited for."""
        return not (len(self._exchanges) or len(self._traffic) or len(self._timers))

    def permits(self, host: str) -> bool:
        """Whether data from `host`, in canonical form, is let in: a permission or a channel was asked for."""
        return self._traffic.permits(host)

    def has_granted(self, host: str) -> bool:
        """Whether the server has granted a permission for `host`, in canonical form."""
        return self._traffic.has_granted(host)

    def has_channel(self, peer: SocketAddress) -> bool:
        """Whether the server has bound a channel to `peer`."""
        return self._traffic.has_channel(peer)

    # Requests

    def _handle_indication(self, message: Message) -> None:
        if not self._tcp:
            self._traffic.handle_indication(message)
        elif message.method == Method.CONNECTION_ATTEMPT:
            try:
                attempt = parse_connection_attempt(message)
            except MalformedError:
                return
            if self._state is ClientState.HELD and self._traffic.permits(attempt.peer.host):
                self._events.append(attempt)

    def _start_refresh(self, lifetime: int | None, now: Instant) -> None:
        self._exchanges.start(_Refresh(), Method.REFRESH, lambda builder, _: write_refresh(builder, lifetime), now)

    def _release(self, now: Instant) -> None:
        self._clear()
        self._start_refresh(0, now)

    def _handle_timer(self, timer: _Timer, now: Instant) -> None:
        if timer is _Timer.REFRESH:
            self._start_refresh(self._lifetime, now)
        elif timer is _Timer.EXPIRY:
            self._end(
                AllocationLost(TransactionTimeoutError("the allocation expired: no refresh was answered in time"))
            )
        elif timer is _Timer.KEEPALIVE:
            self._keep_alive(now)
        else:
            assert_never(timer)

    def _keep_alive(self, now: Instant) -> None:
        """A Binding indication, which nobody answers, keeps the NATs on a UDP path open (RFC 8489 section 6.3.2)."""
        indication = MessageBuilder(Method.BINDING, MessageClass.INDICATION, self._entropy.token(TRANSACTION_ID_SIZE))
        self._transmits.append(Transmit(self._path, indication.build()))
        self._timers.set(_Timer.KEEPALIVE, later(now, KEEPALIVE_INTERVAL))

    # Outcomes

    def _settle(self, now: Instant) -> None:
        while (outcome := self._exchanges.poll_outcome()) is not None:
            purpose = outcome.purpose
            if isinstance(purpose, _Allocate):
                self._settle_allocate(purpose, outcome, now)
            elif isinstance(purpose, _Refresh):
                self._settle_refresh(outcome, now)
            elif isinstance(purpose, _Connect):
                self._settle_connect(purpose.peer, outcome)
            elif isinstance(purpose, Permit | Bind):
                self._traffic.settle(purpose, outcome.error if isinstance(outcome, Failed) else None, now)
            else:
                assert_never(purpose)

    def _settle_allocate(self, purpose: _Allocate, outcome: _Outcome, now: Instant) -> None:
        if isinstance(outcome, Failed):
            self._end(self._redirected(outcome) or self._farewell(outcome.error))
            return
        try:
            allocated = parse_allocated(outcome.response, str(self._path.remote))
            _check_families(allocated, purpose.options)
        except RemoteProtocolError as error:
            # RFC 8656 section 7.3: an allocation that we cannot use is deleted. Nobody waits for the answer.
            self._start_refresh(0, now)
            self._end(self._farewell(error))
            return
        if self._move(_Move.GRANT) is ClientState.RELEASING:
            self._release(now)
            return
        self._set_lifetime(allocated.lifetime, now)
        if not self._path.transport.reliable:
            self._timers.set(_Timer.KEEPALIVE, later(now, KEEPALIVE_INTERVAL))
        self._events.append(allocated)

    def _settle_connect(self, peer: SocketAddress, outcome: _Outcome) -> None:
        self._connecting.discard(peer)
        try:
            if isinstance(outcome, Failed):
                raise outcome.error
            self._events.append(PeerConnected(peer, parse_connection_id(outcome.response)))
        except IcelaneError as error:
            self._events.append(PeerConnectFailed(peer, error))

    def _redirected(self, outcome: Failed[_Purpose]) -> TurnClientEvent | None:
        error, response = outcome.error, outcome.response
        if not isinstance(error, TurnError) or response is None or self._state is not ClientState.REQUESTED:
            return None
        if error.code != 300 and not (error.code == 508 and response.has(AttributeType.ALTERNATE_SERVER)):
            return None  # a server that is being emptied may name another one in its 508
        try:
            redirected = parse_redirect(response)
            check_redirect(self._visited, redirected.server, is_proxied=self._is_proxied)
        except RemoteProtocolError as refused:
            return AllocationFailed(refused)
        return redirected

    def _settle_refresh(self, outcome: _Outcome, now: Instant) -> None:
        if self._state is ClientState.RELEASING:
            self._end(AllocationReleased())
            return
        try:
            if isinstance(outcome, Failed):
                raise outcome.error
            lifetime = parse_lifetime(outcome.response)
            if lifetime == 0:
                raise TurnError(437, "the server ended the allocation", str(self._path.remote))
        except IcelaneError as error:
            if may_pass(error):
                # The expiry timer says when it is too late to go on trying.
                self._timers.set(_Timer.REFRESH, later(now, REFRESH_RETRY_DELAY))
            else:
                self._end(AllocationLost(error))
        else:
            self._set_lifetime(lifetime, now)
            self._events.append(AllocationRefreshed(lifetime))

    # Life

    def _require_held(self, *, tcp: bool | None = None) -> None:
        if self._state is not ClientState.HELD:
            raise LocalProtocolError(f"there is no allocation: it is {self._state.value}")
        if tcp is not None and tcp is not self._tcp:
            raise LocalProtocolError("datagrams and channels are of UDP allocations, connections of TCP allocations")

    def _move(self, move: _Move) -> ClientState:
        after = _MOVES.get((self._state, move))
        if after is None:
            raise LocalProtocolError(f"cannot {move.value} an allocation that is {self._state.value}")
        self._state = after
        return after

    def _set_lifetime(self, lifetime: int, now: Instant) -> None:
        self._timers.set(_Timer.EXPIRY, later(now, lifetime))
        self._timers.set(_Timer.REFRESH, later(now, lifetime - min(REFRESH_MARGIN, lifetime / 2)))

    def _farewell(self, error: IcelaneError) -> TurnClientEvent:
        """What an end by `error` means in this state."""
        if self._state is ClientState.REQUESTED:
            return AllocationFailed(error)
        if self._state is ClientState.HELD:
            return AllocationLost(error)
        return AllocationReleased()

    def _end(self, event: TurnClientEvent) -> None:
        self._move(_Move.END)
        self._clear()
        self._events.append(event)

    def _clear(self) -> None:
        self._exchanges.clear()
        self._traffic.clear()
        self._connecting.clear()
        self._timers.clear()


def _check_families(allocated: Allocated, options: AllocateOptions) -> None:
    granted = {address.family for address in allocated.relayed}
    if options.families and not granted <= options.families:
        raise RemoteProtocolError("the relayed address has another family than was asked for")
