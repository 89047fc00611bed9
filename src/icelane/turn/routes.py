"""What the server engine tells its driver: the routes that a plane relays by, and the commands that change them.

A plane sees addresses as they are on the wire. Where a server sits behind a 1:1 NAT, a client names another client's
relayed address by its external form; `wire_*` is the local form that the packet really goes to and comes from.

All are values that nobody changes. Those that an allocation or a permission makes are not frozen for that, and neither
are some of `request`, `refusal` and `allocation`: a frozen one takes some five times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.turn.peer_policy import Verdict

BindId = NewType("BindId", int)
ConnectionId = NewType("ConnectionId", int)
LookupId = NewType("LookupId", int)


@dataclass(unsafe_hash=True)
class ChannelRoute:
    """Payload of `channel` of `client` goes out of `relay` to `wire_peer`, and back. RFC 8656 section 12."""

    __slots__ = ("channel", "client", "expires_at", "peer", "relay", "wire_peer")

    client: Path
    channel: int
    relay: SocketAddress
    peer: SocketAddress
    wire_peer: SocketAddress
    expires_at: Instant


@dataclass(unsafe_hash=True)
class PermissionRoute:
    """Payload of Send indications of `client` goes out of `relay` to `verdict.wire_host`, and back as Data.

    Every packet's port must pass `verdict.allows_port`, both ways. RFC 8656 section 9. It stands until it is removed:
    `expires_at` is what was known when it was installed, and a permission that is refreshed is not installed again.
    """

    __slots__ = ("client", "expires_at", "peer_host", "relay", "verdict")

    client: Path
    relay: SocketAddress
    peer_host: str
    verdict: Verdict
    expires_at: Instant


@dataclass(unsafe_hash=True)
class BindRelayPort:
    """Open a UDP socket on `relay`, and with `and_next` another on the next higher port; both or none.

    With `transport` TCP, listen on `relay` instead, and tell `TurnServer.handle_peer_accepted` of every connection.
    Answer with `TurnServer.handle_relay_bound` or `handle_relay_failed`.
    """

    __slots__ = ("and_next", "bind_id", "relay", "transport")

    bind_id: BindId
    relay: SocketAddress
    and_next: bool
    transport: Transport


@dataclass(frozen=True)
class ClaimRelayPort:
    """Get the bound socket of a reservation from the sibling who has given out `token`.

    Answer with `TurnServer.handle_relay_claimed` or `handle_relay_failed`.
    """

    __slots__ = ("bind_id", "owner", "token")

    bind_id: BindId
    token: bytes
    owner: int


@dataclass(frozen=True)
class ReturnRelayPort:
    """Tell the sibling that `relay`, which is of its ports, is free again; its socket here has been closed."""

    __slots__ = ("owner", "relay")

    relay: SocketAddress
    owner: int


@dataclass(frozen=True)
class PassOn:
    """Give the client's connection to a sibling, which handles `message`, the last one that came over it."""

    __slots__ = ("client", "message", "owner")

    client: Path
    message: bytes
    owner: int


@dataclass(unsafe_hash=True)
class AssignRelayPort:
    """From now on `relay` belongs to `client`, whose traffic counts for `user_key`."""

    __slots__ = ("client", "relay", "user_key")

    relay: SocketAddress
    client: Path
    user_key: str


@dataclass(unsafe_hash=True)
class ReleaseRelayPort:
    """Close the socket on `relay`. Its routes have been removed before."""

    __slots__ = ("relay",)

    relay: SocketAddress


@dataclass(frozen=True)
class ConnectPeer:
    """Connect from the TCP relay `relay` to `wire_peer`; read nothing from it yet.

    Answer with `TurnServer.handle_peer_connected`, or `handle_peer_closed` when it cannot be done. RFC 6062
    section 5.2.
    """

    __slots__ = ("connection_id", "relay", "wire_peer")

    connection_id: ConnectionId
    relay: SocketAddress
    wire_peer: SocketAddress


@dataclass(frozen=True)
class BindStreams:
    """Send `response` to `client`, then let that connection and the peer's carry each other's bytes.

    When the peer's is over, `TurnServer.handle_peer_closed` hears of it; the client's is reported by `handle_closed`,
    as always. RFC 6062 section 5.4.
    """

    __slots__ = ("client", "connection_id", "response")

    connection_id: ConnectionId
    client: Path
    response: bytes


@dataclass(frozen=True)
class ClosePeer:
    """Close the connection with a peer, or stop connecting, and close the client's connection that it is bound to."""

    __slots__ = ("connection_id",)

    connection_id: ConnectionId


@dataclass(unsafe_hash=True)
class InstallChannelRoute:
    """Add the route, or replace the one with the same client and channel."""

    __slots__ = ("route",)

    route: ChannelRoute


@dataclass(unsafe_hash=True)
class RemoveChannelRoute:
    """Forget the route."""

    __slots__ = ("route",)

    route: ChannelRoute


@dataclass(unsafe_hash=True)
class InstallPermissionRoute:
    """Add the route, or replace the one with the same client, relay and host."""

    __slots__ = ("route",)

    route: PermissionRoute


@dataclass(unsafe_hash=True)
class RemovePermissionRoute:
    """Forget the route."""

    __slots__ = ("route",)

    route: PermissionRoute


@dataclass(frozen=True)
class LookUpCredential:
    """Ask outside who `username` is, on behalf of `client`, whose address is proved.

    Answer within a second with `TurnServer.provide_credential` or `handle_lookup_failed`.
    """

    __slots__ = ("client", "lookup_id", "realm", "username")

    lookup_id: LookupId
    username: str
    realm: str
    client: Path


Command = (
    BindRelayPort
    | ClaimRelayPort
    | ReturnRelayPort
    | PassOn
    | AssignRelayPort
    | ReleaseRelayPort
    | InstallChannelRoute
    | RemoveChannelRoute
    | InstallPermissionRoute
    | RemovePermissionRoute
    | LookUpCredential
    | ConnectPeer
    | BindStreams
    | ClosePeer
)
