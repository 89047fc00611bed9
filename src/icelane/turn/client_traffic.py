"""What a TURN client does with peers while it has an allocation: permissions, channels and data (RFC 8656 9 to 12)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, canonical_host
from icelane.errors import IcelaneError, LocalProtocolError, MalformedError, TurnError
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, Method
from icelane.turn.channel_data import encode_channel_data, encode_channel_data_for_stream, parse_channel_data
from icelane.turn.client_event import (
    ChannelBound,
    ChannelFailed,
    DataReceived,
    IcmpReceived,
    PermissionGranted,
    PermissionRefused,
    TurnClientEvent,
)
from icelane.turn.client_peer import MAX_HOSTS_PER_REQUEST, Channel, PeerTable
from icelane.turn.client_request import write_channel_bind, write_create_permission
from icelane.turn.exchange import Write
from icelane.turn.translation import build_send_indication, parse_data_indication

# What UDP over IPv4 can carry, and so what a peer can receive.
MAX_PAYLOAD: Final = 65_507

# What a server may answer differently in a moment: quota reached, server error, insufficient capacity.
_TRANSIENT_CODES: Final = frozenset({486, 500, 508})


class Permit(NamedTuple):
    """A CreatePermission request, for the first time or again."""

    hosts: tuple[str, ...]
    renewal: bool = False


class Bind(NamedTuple):
    """A ChannelBind request, for the first time or again."""

    number: int


StartRequest = Callable[[Permit | Bind, int, Write, Instant], None]
"""`start(purpose, method, write, now)` sends a request, whose outcome comes back by `PeerTraffic.settle`."""


class PeerTraffic:
    """Traffic through one allocation on `path`; tells `events` what happens."""

    def __init__(self, path: Path, *, entropy: Entropy, start: StartRequest, events: deque[TurnClientEvent]) -> None:
        self._entropy = entropy
        self._start = start
        self._events = events
        self._encode_channel = encode_channel_data_for_stream if path.transport.reliable else encode_channel_data
        self._peers = PeerTable()

    def __len__(self) -> int:
        return len(self._peers)

    # Inputs

    def handle_channel_data(self, data: bytes) -> None:
        """ChannelData came from the server; that of a channel we did not ask for is dropped."""
        try:
            channel_data = parse_channel_data(data)
        except MalformedError:
            return
        channel = self._peers.channels_by_number.get(channel_data.number)
        if channel is not None:
            self._events.append(DataReceived(channel.peer, channel_data.payload))

    def handle_indication(self, message: Message) -> None:
        """An indication came from the server; only Data of permitted hosts counts (section 11.6)."""
        if message.method != Method.DATA:
            return
        try:
            peer, payload, icmp = parse_data_indication(message)
        except MalformedError:
            return
        if not self._peers.permits(peer.host):
            return
        if icmp is not None:
            self._events.append(IcmpReceived(peer, icmp))
        else:
            self._events.append(DataReceived(peer, payload))

    def handle_timeout(self, now: Instant) -> None:
        """Renew what is due."""
        while (due := self._peers.pop_due(now)) is not None:
            if isinstance(due, Channel):
                self._start_bind(due, now)
            else:
                self._start_permit(due, now, renewal=True)

    def settle(self, purpose: Permit | Bind, error: IcelaneError | None, now: Instant) -> None:
        """A request succeeded, or failed with `error`."""
        if isinstance(purpose, Permit):
            self._settle_permit(purpose, error, now)
        else:
            self._settle_bind(purpose, error, now)

    # Commands

    def create_permission(self, hosts: Iterable[str], now: Instant) -> None:
        """See `TurnClient.create_permission`."""
        wanted = tuple(dict.fromkeys(canonical_host(host) for host in hosts))
        if not 0 < len(wanted) <= MAX_HOSTS_PER_REQUEST:
            raise LocalProtocolError(f"a request names 1 to {MAX_HOSTS_PER_REQUEST} hosts, not {len(wanted)}")
        self._peers.want_hosts(wanted)
        self._start_permit(wanted, now)

    def bind_channel(self, peer: SocketAddress, now: Instant) -> int:
        """See `TurnClient.bind_channel`."""
        peer = SocketAddress(canonical_host(peer.host), peer.port)
        channel = self._peers.channels_by_peer.get(peer)
        if channel is None:
            channel = self._peers.add_channel(peer)
            self._start_bind(channel, now)
        elif not channel.renewed:
            self._peers.want_channel(channel)
            self._start_bind(channel, now)
        return channel.number

    def keep_peers(self, peers: Collection[SocketAddress]) -> None:
        """See `TurnClient.keep_peers`."""
        self._peers.keep(peers)

    def encapsulate(self, payload: bytes, peer: SocketAddress, dont_fragment: bool) -> bytes:
        """See `TurnClient.encapsulate`."""
        channel = self._peers.channels_by_peer.get(peer)
        if len(payload) > MAX_PAYLOAD:
            raise LocalProtocolError(f"a datagram has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        if channel is not None and channel.bound and not dont_fragment:
            return self._encode_channel(channel.number, payload)
        if not self._peers.permits(peer.host):
            raise LocalProtocolError(f"there is no permission for {peer.host}: ask for it first")
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        try:
            return build_send_indication(peer, payload, transaction_id, dont_fragment)
        except ValueError as error:
            raise LocalProtocolError("the payload does not fit into a Send indication; bind a channel") from error

    def clear(self) -> None:
        """Forget every peer."""
        self._peers.clear()

    # Outputs and properties

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return self._peers.next_renewal()

    def permits(self, host: str) -> bool:
        """See `TurnClient.permits`."""
        return self._peers.permits(host)

    def has_granted(self, host: str) -> bool:
        """See `TurnClient.has_granted`."""
        return self._peers.has_granted(host)

    def has_channel(self, peer: SocketAddress) -> bool:
        """See `TurnClient.has_channel`."""
        channel = self._peers.channels_by_peer.get(peer)
        return channel is not None and channel.bound

    def _start_permit(self, hosts: tuple[str, ...], now: Instant, *, renewal: bool = False) -> None:
        self._start(
            Permit(hosts, renewal),
            Method.CREATE_PERMISSION,
            lambda builder, transaction_id: write_create_permission(builder, transaction_id, hosts),
            now,
        )

    def _start_bind(self, channel: Channel, now: Instant) -> None:
        number, peer = channel.number, channel.peer
        self._start(
            Bind(number),
            Method.CHANNEL_BIND,
            lambda builder, transaction_id: write_channel_bind(builder, transaction_id, number, peer),
            now,
        )

    def _settle_permit(self, purpose: Permit, error: IcelaneError | None, now: Instant) -> None:
        hosts = purpose.hosts
        if error is None:
            self._peers.grant_hosts(hosts, now)
            if not purpose.renewal:
                self._events.append(PermissionGranted(hosts))
        elif not purpose.renewal:
            # What was granted before, by another request, stays until its renewal is refused.
            self._peers.drop_hosts(tuple(host for host in hosts if not self._peers.has_granted(host)))
            self._events.append(PermissionRefused(hosts, error))
        else:
            self._renewal_failed(hosts, error, now)

    def _renewal_failed(self, hosts: tuple[str, ...], error: IcelaneError, now: Instant) -> None:
        hosts = self._peers.renewed(hosts)
        if may_pass(error):
            hosts = self._peers.postpone_hosts(hosts, now)
        elif len(hosts) > 1:
            # One refused host refuses them all (section 10.2): ask for each alone, to lose only that one.
            for host in hosts:
                self._start_permit((host,), now, renewal=True)
            return
        if hosts:
            self._peers.drop_hosts(hosts)
            self._events.append(PermissionRefused(hosts, error))

    def _settle_bind(self, purpose: Bind, error: IcelaneError | None, now: Instant) -> None:
        channel = self._peers.channels_by_number.get(purpose.number)
        if channel is None:
            return
        if error is None:
            new = not channel.bound
            self._peers.bind_channel(channel, now)
            if new:
                self._events.append(ChannelBound(channel.peer, channel.number))
        elif not (may_pass(error) and self._peers.postpone_channel(channel, now)):
            self._peers.drop_channel(channel)
            self._events.append(ChannelFailed(channel.peer, error))


def may_pass(error: IcelaneError) -> bool:
    """Whether the same request may succeed a little later: no answer came, or one that says "not now"."""
    return not isinstance(error, TurnError) or error.code in _TRANSIENT_CODES
