"""The state of one allocation (RFC 8656 section 3.2): relayed addresses, permissions, channels, and who owns them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from icelane.core.clock import Instant
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


@dataclass(slots=True)
class Relay:
    """One relayed transport address. `local` is bound on this host, `external` is what clients and peers are told."""

    local: SocketAddress
    external: SocketAddress
    expires_at: Instant


@dataclass(slots=True)
class Permission:
    """RFC 8656 section 9: traffic to and from a peer's address, on the relay of its family."""

    peer_host: str
    relay: Relay
    verdict: Verdict
    expires_at: Instant

    def route(self, client: Path) -> PermissionRoute:
        """The permission as a plane sees it."""
        return PermissionRoute(client, self.relay.local, self.peer_host, self.verdict, self.expires_at)


@dataclass(slots=True)
class Channel:
    """RFC 8656 section 12: a number that stands for a peer's transport address."""

    number: int
    peer: SocketAddress
    wire_peer: SocketAddress
    relay: Relay
    expires_at: Instant

    def route(self, client: Path) -> ChannelRoute:
        """The channel as a plane sees it."""
        return ChannelRoute(client, self.number, self.relay.local, self.peer, self.wire_peer, self.expires_at)


@dataclass(slots=True, kw_only=True)
class Allocation:
    """All that the server remembers of one client.

    With `tcp` its peers are reached by TCP (RFC 6062), so that its permissions are no routes: the engine judges each
    connection. `credential` and `kid` are those of the Allocate request, and so are `transaction_id` and `response`, by
    which its retransmission is answered alike.
    """

    client: Path
    credential: Credential
    kid: str
    slot: QuotaSlot
    transaction_id: bytes
    tcp: bool = False
    response: bytes = b""
    relays: dict[AddressFamily, Relay] = field(default_factory=dict)
    permissions_by_host: dict[str, Permission] = field(default_factory=dict)
    channels_by_number: dict[int, Channel] = field(default_factory=dict)
    channels_by_peer: dict[SocketAddress, Channel] = field(default_factory=dict)

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


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class AllocationCreated:
    """A client got its relayed addresses."""

    client: Path
    username: str
    kid: str
    relays: tuple[SocketAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationEnded:
    """An allocation is gone, and everything that belonged to it."""

    client: Path
    username: str
    kid: str
    reason: EndReason
