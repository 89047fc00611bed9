"""The TURN server engine (RFC 8656): decides about requests, never touches payload.

A request goes through these hands, in this order:

    1. parse            malformed, FINGERPRINT wrong, indication, unknown method: dropped in silence
    2. Binding          answered at once, without state                         (icelane.turn.binding)
    3. authentication   401, 438, 400, 441                                      (icelane.turn.authentication)
    4. attributes       420 for what must be understood and is not
    5. the method       Allocate, Refresh, CreatePermission, ChannelBind        (icelane.turn.request reads them)
    6. effects          commands to the plane, then the response                (icelane.turn.response)

Nothing is remembered of a client before step 3 succeeded, but for a request whose user has to be asked for outside: it
waits a second at most and goes on from step 3. An Allocate waits for the plane to bind its relay ports; any other
request is answered in the call that brought it. What is remembered is in four places: requests that wait for a
credential in `credential_lookup`, those that wait for ports in `allocate`, allocations in `allocation_table`,
credentials that were taken back in `revocation`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final

from icelane.core.clock import Instant, UnixSeconds, WallClock, earliest
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import AddressFamily, Path, SocketAddress
from icelane.errors import IntegrityError, LocalProtocolError, MalformedError
from icelane.stun.attributes import AttributeType, encode_uint32
from icelane.stun.integrity import verify_fingerprint
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.access_list import AccessLists, refused_by
from icelane.turn.allocate import Allocates
from icelane.turn.allocation import (
    MAX_CHANNELS,
    MAX_PERMISSIONS,
    Allocation,
    AllocationCreated,
    AllocationEnded,
    EndReason,
    Relay,
)
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.authentication import Authenticator, CredentialUnknown, Identity
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.binding import BindingAnswers
from icelane.turn.credential_lookup import CredentialLookups
from icelane.turn.credentials import Credential, CredentialStore
from icelane.turn.limiter import SourceLimiter
from icelane.turn.peer_policy import PeerPolicy, Verdict
from icelane.turn.quota import AllocationQuota, Tally
from icelane.turn.refusal import Alternate, Refusal, RequestRefused
from icelane.turn.relay_acquisition import RelayAcquisition
from icelane.turn.relay_ports import RelayPorts
from icelane.turn.request import (
    connection_id_in,
    known_in,
    parse_allocate,
    parse_channel_bind,
    parse_connect,
    parse_connection_bind,
    parse_create_permission,
    parse_refresh,
)
from icelane.turn.response import Responder, encoded
from icelane.turn.revocation import UNTIL_RESTART, Revocation, Revocations, end_of
from icelane.turn.routes import BindId, BindStreams, Command, ConnectionId, LookupId, PassOn
from icelane.turn.server_config import TurnServerConfig
from icelane.turn.tcp_relay import ConnectRequest, PeerConnections
from icelane.turn.throttle import FailureThrottle

# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_REQUEST: Final = MessageClass.REQUEST
_BINDING: Final = int(Method.BINDING)
_CONNECTION_BIND: Final = int(Method.CONNECTION_BIND)

Event = AllocationCreated | AllocationEnded | RequestRefused


class TurnServer:
    """Sans-IO TURN server. See `icelane.turn` for the driving loop.

    `credentials` answers who a username is, `wall_clock` what time it is for credentials and nonces, `nonce_key` (32
    bytes) lets several servers accept each other's nonces, `revoked` lists credentials that were taken back, `tally`
    counts allocations where siblings count together.
    """

    def __init__(
        self,
        config: TurnServerConfig,
        *,
        credentials: CredentialStore,
        entropy: Entropy,
        wall_clock: WallClock,
        nonce_key: bytes | None = None,
        revoked: frozenset[Revocation] = frozenset(),
        tally: Tally | None = None,
        access: AccessLists | None = None,
    ) -> None:
        self._config = config
        self._access = access if access is not None else AccessLists()
        self._policy = config.policy
        self._entropy = entropy
        self._wall_clock = wall_clock
        self._revocations = Revocations(revoked)
        self._draining = False
        self._alternates: frozenset[Alternate] = frozenset()
        self._authenticator = Authenticator(
            realm=config.realm,
            credentials=credentials,
            wall_clock=wall_clock,
            nonce_key=nonce_key or entropy.token(32),
            nonce_lifetime=config.nonce_lifetime,
            strict_expiry=config.strict_expiry,
            throttle=FailureThrottle(entropy),
            revocations=self._revocations,
            credential_lookup=config.credential_lookup,
        )
        self._quota = AllocationQuota(config.allocations_per_user, config.allocations_total, tally)
        self._relay_ports = RelayPorts(
            config.relay_addresses,
            config.relay_ports,
            config.external_addresses,
            entropy=entropy,
            siblings=config.siblings,
        )
        self._transmits: deque[Transmit] = deque()
        self._commands: deque[Command] = deque()
        self._events: deque[Event] = deque()
        limiter = SourceLimiter(entropy, rate=config.unauthenticated_replies_per_second)
        self._responder = Responder(self._authenticator, limiter, self._transmits)
        rate = config.unauthenticated_replies_per_second
        self._bindings = BindingAnswers(self._responder, entropy, rate, config.behavior)
        self._lookups = CredentialLookups(config.realm, self._commands)
        self._acquisition = RelayAcquisition(
            self._relay_ports, config.reservation_lifetime, self._commands, config.siblings.life
        )
        self._connections = PeerConnections(
            entropy=entropy,
            timeout=config.peer_connection_timeout,
            commands=self._commands,
            transmits=self._transmits,
            siblings=config.siblings,
        )
        self._table = AllocationTable(
            permission_lifetime=config.permission_lifetime,
            channel_lifetime=config.channel_lifetime,
            credential_end=self._authenticator.strict_end,
            commands=self._commands,
            release=self._release,
            on_end=self._ended,
        )
        self._allocates = Allocates(
            quota=self._quota,
            relay_ports=self._relay_ports,
            acquisition=self._acquisition,
            table=self._table,
            connections=self._connections,
            responder=self._responder,
            lifetime=self._lifetime,
            refuse=self._refuse,
            on_created=self._events.append,
        )

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram, or a framed message of a stream, that no route covered. `path.remote` is the client."""
        try:
            message = parse_message(data)
            if message.fingerprint_offset is not None:
                verify_fingerprint(message)
        except (MalformedError, IntegrityError):
            return
        if message.message_class is not _REQUEST:
            return  # Send indications without a route, and answers to nothing we asked
        if message.method == _BINDING:
            self._bindings.answer(message, path, now)
            return
        handler = _HANDLERS.get(message.method)
        if handler is None or self._connections.is_bound(path):
            return
        owner = self._sibling_for(message, path)
        if owner is not None:
            self._commands.append(PassOn(path, data, owner))
        else:
            self._handle_request(message, path, now, handler)

    def handle_closed(self, path: Path, now: Instant) -> None:
        """The stream of `path` is gone; its allocation goes with it."""
        del now
        self._lookups.cancel(path)
        self._allocates.cancel(path)
        self._connections.handle_client_closed(path)
        self._table.end(path, EndReason.CONNECTION_CLOSED)

    def handle_relay_bound(self, bind_id: BindId, now: Instant) -> None:
        """The plane carried out `BindRelayPort`."""
        self._allocates.handle_bound(bind_id, now)

    def handle_relay_claimed(self, bind_id: BindId, relay: SocketAddress, owner: int, now: Instant) -> None:
        """The sibling has handed over the socket on `relay`, which the plane has now."""
        self._allocates.handle_claimed(bind_id, relay, owner, now)

    def handle_relay_failed(self, bind_id: BindId, now: Instant) -> None:
        """The plane could not carry out `BindRelayPort`, so another port is tried; or `ClaimRelayPort`, for good."""
        self._allocates.handle_failed(bind_id, now)

    def handle_relay_returned(self, relay: SocketAddress) -> None:
        """A sibling has closed a port of ours that was handed over to it."""
        self._acquisition.take_back(relay)

    def handle_sibling_gone(self, sibling: int) -> None:
        """That one has ended, and the system has closed all it had."""
        self._acquisition.take_back_from(sibling)

    def handle_peer_connected(self, connection_id: ConnectionId, now: Instant) -> None:
        """The plane carried out `ConnectPeer`."""
        self._connections.handle_connected(connection_id, now)
        self._finish_connects(now)

    def handle_peer_accepted(self, relay: SocketAddress, wire_peer: SocketAddress, now: Instant) -> ConnectionId | None:
        """A peer connected to a TCP relay. None when it has no permission: close it at once (RFC 6062 section 5.3)."""
        return self._connections.handle_accepted(relay, wire_peer, now)

    def handle_peer_closed(self, connection_id: ConnectionId, now: Instant) -> None:
        """`ConnectPeer` could not be carried out, or a connection with a peer is over."""
        self._connections.handle_peer_closed(connection_id)
        self._finish_connects(now)

    def provide_credential(self, lookup_id: LookupId, credential: Credential | None, now: Instant) -> None:
        """The answer to `LookUpCredential`; None when nobody has that name. Too late is harmless.

        Raises LocalProtocolError when it is the credential of another name.
        """
        waiting = self._lookups.take(lookup_id)
        if waiting is None:
            return
        if credential is None:
            self._authenticator.count_unknown(waiting.client, waiting.username, now)
            refusal = Refusal(401, "unknown-user", challenge=True)
            self._refuse(refusal, waiting.message, waiting.client, None, now)
            return
        if credential.username != waiting.username:
            raise LocalProtocolError("the credential is that of another name")
        handler = _HANDLERS[waiting.message.method]
        self._handle_request(waiting.message, waiting.client, now, handler, credential)

    def handle_lookup_failed(self, lookup_id: LookupId, now: Instant) -> None:
        """`LookUpCredential` cannot be answered: whether anybody has that name is not known."""
        waiting = self._lookups.take(lookup_id)
        if waiting is not None:
            self._refuse(Refusal(500, "lookup-failed"), waiting.message, waiting.client, None, now)

    def handle_timeout(self, now: Instant) -> None:
        """Expire what is due."""
        while (waiting := self._lookups.pop_overdue(now)) is not None:
            self._refuse(Refusal(500, "lookup-timeout"), waiting.message, waiting.client, None, now)
        self._acquisition.handle_timeout(now)
        self._table.handle_timeout(now)
        self._connections.handle_timeout(now)
        self._finish_connects(now)

    # Commands

    def lend_relay_port(self, token: bytes, sibling: int) -> SocketAddress | None:
        """What is reserved for `token`, to be handed over to a sibling; None when nothing is."""
        return self._acquisition.lend(token, sibling)

    def set_peer_policy(self, policy: PeerPolicy) -> None:
        """Use `policy` from now on; permissions and channels that it refuses end at once."""
        self._policy = policy
        self._table.apply_policy(policy)
        self._connections.apply_policy(policy)

    def set_external_addresses(
        self, external_addresses: Mapping[str, str], policy: PeerPolicy, behavior: BehaviorOrigins | None
    ) -> None:
        """Tell new allocations these addresses in place of the local relay hosts; `policy` must know them too.

        What a live allocation was told stays: nothing in TURN could correct it. `behavior` has them for its addresses.
        """
        self._relay_ports.set_external_addresses(external_addresses)
        self._bindings.origins = behavior
        self.set_peer_policy(policy)

    def set_credentials(self, credentials: CredentialStore) -> None:
        """Let in who is in `credentials` from now on; what is allocated stays, `revoke` ends it."""
        self._authenticator.set_credentials(credentials)

    def reconfigure(
        self,
        config: TurnServerConfig,
        credentials: CredentialStore,
        revoked: frozenset[Revocation],
        now: Instant,
    ) -> int:
        """Go by other settings from now on; returns how many allocations they ended.

        Counted are those of users who are not in `credentials` any more, those that are revoked, and those whose
        credential has run out where `strict_expiry` is new. The rotation of a secret ends none. What is bound stays as
        it is: realm, relay addresses and ports, lifetimes.
        """
        self._policy = config.policy
        self._table.apply_policy(config.policy)
        self._connections.apply_policy(config.policy)
        self._quota.set_limits(config.allocations_per_user, config.allocations_total)
        if config.unauthenticated_replies_per_second != self._config.unauthenticated_replies_per_second:
            self._responder.limiter = SourceLimiter(self._entropy, rate=config.unauthenticated_replies_per_second)
        self._bindings.set_rate(config.unauthenticated_replies_per_second)
        self._config = config
        before = len(self._table)
        self.enforce_access()
        removed = self._removed_users(credentials, now)
        self._authenticator.set_credentials(credentials)
        self._authenticator.set_strict_expiry(config.strict_expiry)
        self._revocations.set_listed(revoked)
        unix_time = self._wall_clock.unix_time(now)
        self.revoke(lambda one: one.client in removed or self._revocations.covers(one.credential, one.kid, unix_time))
        self._cancel_revoked(now)
        self._table.watch_credentials(now)
        return before - len(self._table)

    def revoke_credential(self, entry: Revocation, now: Instant) -> int:
        """Refuse what `entry` covers until it has expired, and end its allocations; returns how many.

        A user, whose other credentials nobody knows here, and a secret are refused as long as this server lives.
        Raises LocalProtocolError when too many revocations are remembered already; the allocations end all the same.
        """
        unix_time = self._wall_clock.unix_time(now)
        ended = [one.credential for one in self._table if entry.covers(one.credential, one.kid)]
        count = self.revoke(lambda one: entry.covers(one.credential, one.kid))
        known = self._authenticator.credentials.find(entry.name, self._config.realm, unix_time)
        if isinstance(known, Credential):
            ended.append(known)
        # What is looked up outside has an end that nobody knows here.
        until = UNTIL_RESTART if self._config.credential_lookup else end_of(entry, ended)
        self._revocations.add(entry, until, unix_time)
        self._cancel_revoked(now)
        return count

    def restore_revocations(self, ends_by_entry: Mapping[Revocation, UnixSeconds], now: Instant) -> None:
        """Remember what another engine, whose place this one takes, has been told to refuse, each until then.

        Raises LocalProtocolError when there are too many.
        """
        unix_time = self._wall_clock.unix_time(now)
        for entry, until in ends_by_entry.items():
            self._revocations.add(entry, until, unix_time)

    def revoked_until(self, entry: Revocation) -> UnixSeconds | None:
        """Until when `entry` is refused because somebody said so at run time."""
        return self._revocations.end_of(entry)

    def drain(self, alternates: frozenset[Alternate] = frozenset()) -> None:
        """Begin no allocation from now on; those that live go on.

        `alternates`, one of each address family at most, are named to clients, whatever they come over. Called again,
        others take their place.
        """
        self._draining = True
        self._alternates = alternates

    def revoke(self, matches: Callable[[Allocation], bool]) -> int:
        """End every allocation that `matches`; returns how many."""
        clients = [allocation.client for allocation in self._table if matches(allocation)]
        for client in clients:
            self._table.end(client, EndReason.REVOKED)
        return len(clients)

    def enforce_access(self) -> int:
        """The access lists have changed: end the allocations of whom they keep out by now; returns how many (SG-4)."""
        self._allocates.cancel_whose(
            lambda client, one: refused_by(self._access, client.remote.host, one.user_key) is not None
        )
        return self.revoke(
            lambda one: refused_by(self._access, one.client.remote.host, one.credential.user_key) is not None
        )

    def close(self) -> None:
        """End everything."""
        self._allocates.clear()
        for client in [allocation.client for allocation in self._table]:
            self._table.end(client, EndReason.SERVER_CLOSED)
        self._acquisition.close()
        self._lookups.clear()

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next message to send, or None."""
        return self._transmits.popleft() if self._transmits else None

    def poll_command(self) -> Command | None:
        """The next effect that the plane is to carry out, in this order, or None."""
        return self._commands.popleft() if self._commands else None

    def poll_event(self) -> Event | None:
        """The next thing worth a log line or a counter, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return earliest(
            self._table.next_timeout(),
            self._acquisition.next_timeout(),
            self._lookups.next_timeout(),
            self._connections.next_timeout(),
        )

    # Properties

    @property
    def allocations(self) -> AllocationTable:
        """The live allocations; not to be changed."""
        return self._table

    @property
    def idle(self) -> bool:
        """Whether nothing at all is remembered: no allocation, no reservation, no timer, no port in use."""
        return not (
            len(self._table)
            or self._table.timers
            or len(self._allocates)
            or len(self._lookups)
            or not self._acquisition.idle
            or len(self._connections)
            or len(self._quota)
        )

    # Requests

    def _handle_request(
        self, message: Message, path: Path, now: Instant, handler: _Handler, provided: Credential | None = None
    ) -> None:
        allocation = self._table.authorised(path, now)
        identity: Identity | None = None
        try:
            known = self._known_credential(message, allocation, now)
            try:
                identity = self._authenticator.authenticate(message, path, known, now, provided=provided)
            except CredentialUnknown as unknown_user:
                self._lookups.begin(message, path, unknown_user.username, now)
                return
            listed = refused_by(self._access, path.remote.host, identity.user_key)
            if listed is not None:
                # Signed, so that the client gives up; whoever is nobody learns nothing about the lists.
                raise Refusal(403, listed)
            is_other_user = allocation is not None and allocation.username != identity.username
            if is_other_user and message.method != Method.ALLOCATE:
                # RFC 8656 section 5. An Allocate gets 437 below, and the client takes another port (section 7.2).
                raise Refusal(441, "other-user")
            unknown = message.unknown_required(known_in(message.method, self._config.dont_fragment))
            if unknown:
                raise Refusal(420, "unknown-attribute", unknown=tuple(unknown))
            handler(self, message, path, identity, now)
        except Refusal as refusal:
            self._refuse(refusal, message, path, identity, now)

    def _handle_allocate(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        if path in self._allocates:
            return  # a retransmission; the answer is on its way
        allocation = self._table.get(path)
        if allocation is not None:
            if (allocation.transaction_id, allocation.username) != (message.transaction_id, identity.username):
                raise Refusal(437, "already-allocated")
            self._transmits.append(Transmit(path, allocation.response))
            return
        request = parse_allocate(message, path.transport, self._config.tcp_allocations)
        if self._draining:
            raise self._draining_refusal(path)
        self._allocates.begin(message, path, request, identity, now)

    def _handle_refresh(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        allocation = self._existing(path)
        request = parse_refresh(message)
        relays = [
            relay for family, relay in allocation.relays.items() if request.family is None or request.family == family
        ]
        if not relays:
            raise Refusal(443, "family-not-allocated")
        lifetime = self._lifetime(request.lifetime)
        self._table.refresh(allocation, relays, lifetime, now)
        response = MessageBuilder.response_to(message)
        self._responder.succeed(response.add(AttributeType.LIFETIME, encode_uint32(lifetime)), message, path, identity)

    def _handle_create_permission(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        allocation = self._existing(path)
        # TR-3: all peers are judged before the first permission is installed.
        granted = []
        for peer in parse_create_permission(message):
            relay, verdict = self._judge(allocation, peer, self._policy.check_permission)
            granted.append((peer.host, relay, verdict))
        self._check_room(allocation, [host for host, _, _ in granted])
        for host, relay, verdict in granted:
            self._table.permit(allocation, host, relay, verdict, now)
        self._responder.succeed(MessageBuilder.response_to(message), message, path, identity)

    def _handle_channel_bind(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        allocation = self._existing(path)
        if allocation.tcp:
            raise Refusal(400, "channel-with-tcp")  # RFC 6062 section 4
        request = parse_channel_bind(message)
        bound = allocation.channels_by_number.get(request.channel)
        if bound is not allocation.channels_by_peer.get(request.peer):
            raise Refusal(400, "channel-bound-otherwise")
        relay, verdict = self._judge(allocation, request.peer, self._policy.check)
        if bound is None and len(allocation.channels_by_number) >= MAX_CHANNELS:
            raise Refusal(508, "too-many-channels")
        self._check_room(allocation, (request.peer.host,))
        self._table.bind_channel(allocation, request.channel, request.peer, relay, verdict, now)
        self._responder.succeed(MessageBuilder.response_to(message), message, path, identity)

    def _handle_connect(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        self._require_tcp_allocations()
        allocation = self._existing(path)
        if not allocation.tcp:
            raise Refusal(400, "not-a-tcp-allocation")
        peer = parse_connect(message)
        relay, verdict = self._judge(allocation, peer, self._policy.check)
        wire_peer = SocketAddress(verdict.wire_host, peer.port)
        self._connections.connect(relay.local, peer, wire_peer, ConnectRequest(message, identity), now)

    def _handle_connection_bind(self, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        del now
        self._require_tcp_allocations()
        if not path.transport.reliable or self._table.get(path) is not None or path in self._allocates:
            raise Refusal(400, "not-a-data-connection")
        connection_id = parse_connection_bind(message)
        self._connections.bind(connection_id, path, identity.username)
        response = MessageBuilder.response_to(message)
        identity.protect(response)
        # Not a transmit: what the peer has sent by now must follow the response, and nothing may come between.
        self._commands.append(BindStreams(connection_id, path, encoded(response, message)))

    def _known_credential(self, message: Message, allocation: Allocation | None, now: Instant) -> Credential | None:
        """The credential of the allocation that a request is about, whose user is judged by it."""
        if message.method == _CONNECTION_BIND and allocation is None:
            # TA-9, TA-11: it comes over a connection of its own, and names its allocation by the number (RFC 6062
            # section 4.3). Whether it may have that is asked later; without the allocation's password it may not.
            owner = self._connections.owner_of(connection_id_in(message))
            allocation = self._table.authorised(owner, now) if owner is not None else None
        return allocation.credential if allocation is not None else None

    def _sibling_for(self, message: Message, path: Path) -> int | None:
        """Who alone can answer, where that is not us: it has the connection with the peer that is to be bound."""
        siblings = self._config.siblings
        wanted = message.method == _CONNECTION_BIND and self._config.tcp_allocations
        if not wanted or not path.transport.reliable or self._table.get(path) is not None:
            return None
        number = connection_id_in(message)
        return None if number is None or siblings.is_ours(number) else siblings.owner_of(number)

    def _require_tcp_allocations(self) -> None:
        # The client is told, but only after it said who it is.
        if not self._config.tcp_allocations:
            raise Refusal(400, "tcp-allocations-off")

    # What the requests share

    def _existing(self, path: Path) -> Allocation:
        allocation = self._table.get(path)
        if allocation is None:
            raise Refusal(437, "no-allocation")
        return allocation

    def _judge(
        self,
        allocation: Allocation,
        peer: SocketAddress,
        check: Callable[[SocketAddress, AddressFamily], Verdict],
    ) -> tuple[Relay, Verdict]:
        """The relay of the peer's family and what the policy says; raises Refusal when either forbids it."""
        relay = allocation.relays.get(peer.family)
        if relay is None:
            raise Refusal(443, "peer-family")
        verdict = check(peer, peer.family)
        if not verdict.allowed:
            raise Refusal(verdict.code, verdict.reason)
        return relay, verdict

    def _check_room(self, allocation: Allocation, hosts: Collection[str]) -> None:
        if len(allocation.permissions_by_host) + len(hosts) <= MAX_PERMISSIONS:
            return
        if len(allocation.permissions_by_host.keys() | set(hosts)) > MAX_PERMISSIONS:
            raise Refusal(508, "too-many-permissions")

    def _lifetime(self, requested: int | None) -> int:
        """RFC 8656 section 7.2: never below the default, except the zero that ends a refreshed allocation."""
        if requested == 0:
            return 0
        return max(self._config.default_lifetime, min(requested or 0, self._config.max_lifetime))

    # What ends

    def _draining_refusal(self, path: Path) -> Refusal:
        # RFC 8489 section 14.15: the alternate server is of the family that the client came by.
        same = (alternate for alternate in self._alternates if alternate.server.family is path.remote.family)
        return Refusal(508, "draining", alternate=next(same, None))

    def _removed_users(self, credentials: CredentialStore, now: Instant) -> set[Path]:
        """The clients whose user the store has and `credentials` has not: static users, since a secret has a kid."""
        unix_time, realm = self._wall_clock.unix_time(now), self._config.realm
        return {
            one.client
            for one in self._table
            if not one.kid
            and isinstance(self._authenticator.credentials.find(one.username, realm, unix_time), Credential)
            and not isinstance(credentials.find(one.username, realm, unix_time), Credential)
        }

    def _cancel_revoked(self, now: Instant) -> None:
        unix_time = self._wall_clock.unix_time(now)
        self._allocates.cancel_whose(lambda _, one: self._revocations.covers(one.credential, one.kid, unix_time))

    def _release(self, relay: SocketAddress) -> None:
        self._connections.close_relay(relay)
        self._acquisition.release(relay)

    def _finish_connects(self, now: Instant) -> None:
        while (outcome := self._connections.poll_outcome()) is not None:
            connection, (message, identity) = outcome.connection, outcome.request
            client = connection.allocation.client
            if outcome.refusal is not None:
                self._refuse(outcome.refusal, message, client, identity, now)
            else:
                response = MessageBuilder.response_to(message)
                response.add(AttributeType.CONNECTION_ID, encode_uint32(connection.connection_id))
                self._responder.succeed(response, message, client, identity)

    def _ended(self, allocation: Allocation, reason: EndReason) -> None:
        self._quota.release(allocation.slot)
        ended = AllocationEnded(
            client=allocation.client, username=allocation.username, kid=allocation.kid, reason=reason
        )
        self._events.append(ended)

    def _refuse(self, refusal: Refusal, message: Message, path: Path, identity: Identity | None, now: Instant) -> None:
        refused = self._responder.refuse(refusal, message, path, identity, now)
        if refused is not None:
            self._events.append(refused)


_Handler = Callable[[TurnServer, Message, Path, Identity, Instant], None]
_HANDLERS: Final[dict[int, _Handler]] = {
    Method.ALLOCATE: TurnServer._handle_allocate,
    Method.REFRESH: TurnServer._handle_refresh,
    Method.CREATE_PERMISSION: TurnServer._handle_create_permission,
    Method.CHANNEL_BIND: TurnServer._handle_channel_bind,
    Method.CONNECT: TurnServer._handle_connect,
    Method.CONNECTION_BIND: TurnServer._handle_connection_bind,
}
