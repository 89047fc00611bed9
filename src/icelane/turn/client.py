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
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, assert_never

from icelane.core.clock import Instant, TimerTable, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, canonical_host
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
from icelane.stun.authentication import ClientAuthentication
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageClass, Method, parse_message
from icelane.turn.channel_data import (
    encode_channel_data,
    encode_channel_data_for_stream,
    looks_like_channel_data,
    parse_channel_data,
)
from icelane.turn.client_event import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationRefreshed,
    AllocationReleased,
    ChannelBound,
    ChannelFailed,
    DataReceived,
    IcmpReceived,
    PermissionGranted,
    PermissionRefused,
    TurnClientEvent,
)
from icelane.turn.client_peer import MAX_CHANNELS, MAX_HOSTS_PER_REQUEST, MAX_PERMISSIONS, Channel, PeerTable
from icelane.turn.client_request import (
    AllocateOptions,
    parse_allocated,
    parse_lifetime,
    parse_redirect,
    write_allocate,
    write_channel_bind,
    write_create_permission,
    write_refresh,
)
from icelane.turn.exchange import Answered, Exchanges, Failed
from icelane.turn.redirect import check_redirect
from icelane.turn.translation import build_send_indication, parse_data_indication

# What UDP over IPv4 can carry, and so what a peer can receive.
MAX_PAYLOAD: Final = 65_507
# RFC 8656 section 8.1 asks for "about 1 minute before"; a lifetime shorter than two is refreshed at its half.
REFRESH_MARGIN: Final = 60.0
# A refresh that failed for a reason that may pass is tried again this much later, until the allocation has expired.
REFRESH_RETRY_DELAY: Final = 5.0
# Every permission and channel may be waited for at once, and the allocation itself; see `client_peer` for the bounds.
_MAX_EXCHANGES: Final = MAX_PERMISSIONS + MAX_CHANNELS + 8

_TRANSIENT_CODES: Final = frozenset({486, 500, 508})


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


class _Permit(NamedTuple):
    hosts: tuple[str, ...]
    renewal: bool = False


class _Bind(NamedTuple):
    number: int


_Purpose = _Allocate | _Refresh | _Permit | _Bind
_Outcome = Answered[_Purpose] | Failed[_Purpose]


class _Timer(enum.Enum):
    REFRESH = "refresh"
    EXPIRY = "expiry"


class TurnClient:
    """Sans-IO TURN client on `path`, whose remote end is the server.

    Without `username` nothing is signed. `visited` are the servers that redirected here, oldest first.
    """

    def __init__(
        self,
        path: Path,
        *,
        entropy: Entropy,
        username: str | None = None,
        password: str = "",
        visited: Sequence[SocketAddress] = (),
    ) -> None:
        self._path = path
        self._entropy = entropy
        self._visited = [*visited, path.remote]
        authentication = ClientAuthentication(username, password) if username is not None else None
        self._exchanges: Exchanges[_Purpose] = Exchanges(path, authentication, entropy=entropy, limit=_MAX_EXCHANGES)
        self._encode_channel = encode_channel_data_for_stream if path.transport.reliable else encode_channel_data
        self._state = ClientState.IDLE
        self._lifetime: int | None = None
        self._peers = PeerTable()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._transmits: deque[Transmit] = deque()
        self._events: deque[TurnClientEvent] = deque()

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram, or a framed message of a stream. What does not come from the server is dropped."""
        if path != self._path:
            return
        if looks_like_channel_data(data):
            self._handle_channel_data(data)
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
        while (due := self._peers.pop_due(now)) is not None:
            if isinstance(due, Channel):
                self._start_bind(due, now)
            else:
                self._start_permit(due, now, renewal=True)

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
        self._move(_Move.ALLOCATE)
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

    def create_permission(self, hosts: Iterable[str], now: Instant) -> None:
        """Let peers at these IP addresses send to us; PermissionGranted or PermissionRefused follows.

        They are granted or refused together. Raises LocalProtocolError when there are none or too many, MalformedError
        when one is no address.
        """
        self._require_held()
        wanted = tuple(dict.fromkeys(canonical_host(host) for host in hosts))
        if not 0 < len(wanted) <= MAX_HOSTS_PER_REQUEST:
            raise LocalProtocolError(f"a request names 1 to {MAX_HOSTS_PER_REQUEST} hosts, not {len(wanted)}")
        self._peers.want_hosts(wanted)
        self._start_permit(wanted, now)

    def bind_channel(self, peer: SocketAddress, now: Instant) -> int:
        """Bind a channel to `peer` and return its number; ChannelBound or ChannelFailed follows.

        It lets the peer's host send to us, as a permission does. Where there is a channel already, its number is
        returned and nothing follows.
        """
        self._require_held()
        peer = SocketAddress(canonical_host(peer.host), peer.port)
        channel = self._peers.channels_by_peer.get(peer)
        if channel is None:
            channel = self._peers.add_channel(peer)
            self._start_bind(channel, now)
        return channel.number

    def send(self, payload: bytes, peer: SocketAddress, *, dont_fragment: bool = False) -> None:
        """Relay `payload` to `peer`; see `encapsulate`."""
        self._transmits.append(Transmit(self._path, self.encapsulate(payload, peer, dont_fragment=dont_fragment)))

    def encapsulate(self, payload: bytes, peer: SocketAddress, *, dont_fragment: bool = False) -> bytes:
        """The message that carries `payload` to `peer`, for a driver that sends it without a queue. Changes nothing.

        On the peer's channel if one is bound; with `dont_fragment`, which channels do not have, and otherwise in a Send
        indication. Raises LocalProtocolError without an allocation, without a permission for the host and for more than
        MAX_PAYLOAD bytes.
        """
        self._require_held()
        channel = self._peers.channels_by_peer.get(peer)
        if len(payload) > MAX_PAYLOAD:
            raise LocalProtocolError(f"a datagram has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        if channel is not None and channel.bound and not dont_fragment:
            return self._encode_channel(channel.number, payload)
        if not self.permits(peer.host):
            raise LocalProtocolError(f"there is no permission for {peer.host}: ask for it first")
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        try:
            return build_send_indication(peer, payload, transaction_id, dont_fragment)
        except ValueError as error:
            raise LocalProtocolError("the payload does not fit into a Send indication; bind a channel") from error

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
        deadlines = (self._timers.next(), self._peers.next_renewal(), self._exchanges.next_timeout())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

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
    def idle(self) -> bool:
        """Whether nothing is remembered and nothing is waited for."""
        return not (len(self._exchanges) or len(self._peers) or len(self._timers))

    def permits(self, host: str) -> bool:
        """Whether data from `host`, in canonical form, is let in: a permission or a channel was asked for."""
        return self._peers.permits(host)

    def has_granted(self, host: str) -> bool:
        """Whether the server has granted a permission for `host`, in canonical form."""
        return self._peers.has_granted(host)

    def has_channel(self, peer: SocketAddress) -> bool:
        """Whether the server has bound a channel to `peer`."""
        channel = self._peers.channels_by_peer.get(peer)
        return channel is not None and channel.bound

    # Data

    def _handle_channel_data(self, data: bytes) -> None:
        try:
            channel_data = parse_channel_data(data)
        except MalformedError:
            return
        channel = self._peers.channels_by_number.get(channel_data.number)
        if channel is not None:
            self._events.append(DataReceived(channel.peer, channel_data.payload))

    def _handle_indication(self, message: Message) -> None:
        if message.method != Method.DATA:
            return
        try:
            peer, payload, icmp = parse_data_indication(message)
        except MalformedError:
            return
        if not self.permits(peer.host):
            return
        if icmp is not None:
            self._events.append(IcmpReceived(peer, icmp))
        else:
            self._events.append(DataReceived(peer, payload))

    # Requests

    def _start_refresh(self, lifetime: int | None, now: Instant) -> None:
        self._exchanges.start(_Refresh(), Method.REFRESH, lambda builder, _: write_refresh(builder, lifetime), now)

    def _start_permit(self, hosts: tuple[str, ...], now: Instant, *, renewal: bool = False) -> None:
        self._exchanges.start(
            _Permit(hosts, renewal),
            Method.CREATE_PERMISSION,
            lambda builder, transaction_id: write_create_permission(builder, transaction_id, hosts),
            now,
        )

    def _start_bind(self, channel: Channel, now: Instant) -> None:
        number, peer = channel.number, channel.peer
        self._exchanges.start(
            _Bind(number),
            Method.CHANNEL_BIND,
            lambda builder, transaction_id: write_channel_bind(builder, transaction_id, number, peer),
            now,
        )

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
        else:
            assert_never(timer)

    # Outcomes

    def _settle(self, now: Instant) -> None:
        while (outcome := self._exchanges.poll_outcome()) is not None:
            purpose = outcome.purpose
            if isinstance(purpose, _Allocate):
                self._settle_allocate(purpose, outcome, now)
            elif isinstance(purpose, _Refresh):
                self._settle_refresh(outcome, now)
            elif isinstance(purpose, _Permit):
                self._settle_permit(purpose, outcome, now)
            elif isinstance(purpose, _Bind):
                self._settle_bind(purpose, outcome, now)
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
        self._events.append(allocated)

    def _redirected(self, outcome: Failed[_Purpose]) -> TurnClientEvent | None:
        error, response = outcome.error, outcome.response
        if not isinstance(error, TurnError) or error.code != 300 or response is None:
            return None
        if self._state is not ClientState.REQUESTED:
            return None
        try:
            redirected = parse_redirect(response)
            check_redirect(self._visited, redirected.server)
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
        except TurnError as error:
            if error.code in _TRANSIENT_CODES:
                self._timers.set(_Timer.REFRESH, later(now, REFRESH_RETRY_DELAY))
            else:
                self._end(AllocationLost(error))
        except IcelaneError:
            # No answer, or none to believe: the expiry timer says when it is too late to go on trying.
            self._timers.set(_Timer.REFRESH, later(now, REFRESH_RETRY_DELAY))
        else:
            self._set_lifetime(lifetime, now)
            self._events.append(AllocationRefreshed(lifetime))

    def _settle_permit(self, purpose: _Permit, outcome: _Outcome, now: Instant) -> None:
        hosts = purpose.hosts
        if isinstance(outcome, Answered):
            self._peers.grant_hosts(hosts, now)
            if not purpose.renewal:
                self._events.append(PermissionGranted(hosts))
        elif not purpose.renewal:
            # What was granted before, by another request, stays until its renewal is refused.
            self._peers.drop_hosts(tuple(host for host in hosts if not self._peers.has_granted(host)))
            self._events.append(PermissionRefused(hosts, outcome.error))
        else:
            self._renewal_failed(hosts, outcome.error, now)

    def _renewal_failed(self, hosts: tuple[str, ...], error: IcelaneError, now: Instant) -> None:
        if _may_pass(error):
            hosts = self._peers.postpone_hosts(hosts, now)
        elif len(hosts) > 1:
            # One refused host refuses them all (section 10.2): ask for each alone, to lose only that one.
            for host in hosts:
                self._start_permit((host,), now, renewal=True)
            return
        if hosts:
            self._peers.drop_hosts(hosts)
            self._events.append(PermissionRefused(hosts, error))

    def _settle_bind(self, purpose: _Bind, outcome: _Outcome, now: Instant) -> None:
        channel = self._peers.channels_by_number.get(purpose.number)
        if channel is None:
            return
        if isinstance(outcome, Answered):
            new = not channel.bound
            self._peers.bind_channel(channel, now)
            if new:
                self._events.append(ChannelBound(channel.peer, channel.number))
            return
        if _may_pass(outcome.error) and self._peers.postpone_channel(channel, now):
            return
        self._peers.drop_channel(channel)
        self._events.append(ChannelFailed(channel.peer, outcome.error))

    # Life

    def _require_held(self) -> None:
        if self._state is not ClientState.HELD:
            raise LocalProtocolError(f"there is no allocation: it is {self._state.value}")

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
        self._peers.clear()
        self._timers.clear()


def _check_families(allocated: Allocated, options: AllocateOptions) -> None:
    granted = {address.family for address in allocated.relayed}
    if options.families and not granted <= options.families:
        raise RemoteProtocolError("the relayed address has another family than was asked for")


def _may_pass(error: IcelaneError) -> bool:
    return not isinstance(error, TurnError) or error.code in _TRANSIENT_CODES
