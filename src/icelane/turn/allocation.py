"""The state of one allocation (RFC 8656 section 3.2): relayed addresses, permissions, channels, and who owns them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Instant
from icelane.core.garbage import untracked
from icelane.core.net import AddressFamily, Path, SocketAddress
from icelane.turn.credentials import Credential
from icelane.turn.peer_policy import Verdict
from icelane.turn.quota import QuotaSlot
from icelane.turn.routes import ChannelRoute, PermissionRoute

# Beyond these a request gets 508. A browser uses a few dozen; coturn's and pion's own tests stay below a hundred.
MAX_PERMISSIONS: Final = 1024
MAX_CHANNELS: Final = 1024


class EndReason(enum.Enum):
    """Why an allocation ended, for logs and counters."""

    REFRESHED_TO_ZERO = "refreshed-to-zero"
    EXPIRED = "expired"
    CONNECTION_CLOSED = "connection-closed"
    REVOKED = "revoked"
    CREDENTIAL_EXPIRED = "credential-expired"
    RELAY_LOST = "relay-lost"
    SERVER_CLOSED = "server-closed"


@dataclass
class Relay:
    """One relayed transport address. `local` is bound on this host, `external` is what clients and peers are told."""

    __slots__ = ("expires_at", "external", "local")

    local: SocketAddress
    external: SocketAddress
    expires_at: Instant


@dataclass
class Permission:
    """RFC 8656 section 9: traffic to and from a peer's address, on the relay of its family."""

    __slots__ = ("expires_at", "peer_host", "relay", "verdict")

    peer_host: str
    relay: Relay
    verdict: Verdict
    expires_at: Instant

    def route(self, client: Path) -> PermissionRoute:
        """The permission as a plane sees it."""
        return untracked(PermissionRoute(client, self.relay.local, self.peer_host, self.verdict, self.expires_at))


@dataclass
class Channel:
    """RFC 8656 section 12: a number that stands for a peer's transport address."""

    __slots__ = ("expires_at", "number", "peer", "relay", "wire_peer")

    number: int
    peer: SocketAddress
    wire_peer: SocketAddress
    relay: Relay
    expires_at: Instant

    def route(self, client: Path) -> ChannelRoute:
        """The channel as a plane sees it."""
        return ChannelRoute(client, self.number, self.relay.local, self.peer, self.wire_peer, self.expires_at)


@dataclass(kw_only=True, eq=False)
class Allocation:
    """All that the server remembers of one client.

    With `tcp` its peers are reached by TCP (RFC 6062), so that its permissions are no routes: the engine judges each
    connection. `credential` and `kid` are those of the Allocate request, and so are `transaction_id` and `response`, by
    which its retransmission is answered alike.

    Permissions are in the order in which they expire, and so are channels: each kind has one lifetime, and what is
    refreshed goes to the end. `alarm_at` is for `allocation_alarms` alone.
    """

    __slots__ = (
        "alarm_at",
        "channels_by_number",
        "channels_by_peer",
        "client",
        "credential",
        "credential_ends_at",
        "kid",
        "permissions_by_host",
        "relays",
        "response",
        "slot",
        "tcp",
        "transaction_id",
    )

    client: Path
    credential: Credential
    kid: str
    slot: QuotaSlot
    transaction_id: bytes
    tcp: bool
    response: bytes
    relays: dict[AddressFamily, Relay]
    permissions_by_host: dict[str, Permission]
    channels_by_number: dict[int, Channel]
    channels_by_peer: dict[SocketAddress, Channel]
    credential_ends_at: Instant
    alarm_at: Instant

    @property
    def username(self) -> str:
        return self.credential.username

    @property
    def user_key(self) -> str:
        return self.credential.user_key

    @property
    def expires_at(self) -> Instant:
        """When the last of its relayed addresses expires."""
        return max(relay.expires_at for relay in self.relays.values())

    def next_expiry(self) -> Instant:
        """When the first of all that it holds expires."""
        earliest = self.credential_ends_at
        for relay in self.relays.values():
            earliest = min(earliest, relay.expires_at)
        for permission in self.permissions_by_host.values():
            earliest = min(earliest, permission.expires_at)
            break  # the others expire later
        for channel in self.channels_by_number.values():
            earliest = min(earliest, channel.expires_at)
            break
        return earliest


@dataclass(kw_only=True, unsafe_hash=True)
class AllocationCreated:
    """A client got its relayed addresses."""

    __slots__ = ("client", "kid", "relays", "username")

    client: Path
    username: str
    kid: str
    relays: tuple[SocketAddress, ...]


@dataclass(frozen=True, kw_only=True)
class AllocationEnded:
    """An allocation is gone, and everything that belonged to it."""

    __slots__ = ("client", "kid", "reason", "username")

    client: Path
    username: str
    kid: str
    reason: EndReason
