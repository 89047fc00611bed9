"""What the server engine is told at the start, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icelane.core.clock import Duration
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.peer_policy import DEFAULT_RELAY_PORTS, PeerPolicy
from icelane.turn.siblings import ALONE, Siblings

# RFC 8656 section 3.2: "no longer than 10 minutes" is the default; an hour is the longest that section 7.2 recommends.
DEFAULT_LIFETIME: Final = 600
MAX_LIFETIME: Final = 3600
PERMISSION_LIFETIME: Final = 300.0  # section 9
CHANNEL_LIFETIME: Final = 600.0  # section 12
RESERVATION_LIFETIME: Final = 30.0  # section 7.2: "at least 30 seconds"
PEER_CONNECTION_TIMEOUT: Final = 30.0  # RFC 6062 section 5.2: to connect, and again to be bound


@dataclass(frozen=True, kw_only=True)
class TurnServerConfig:
    """Settings of `icelane.turn.server.TurnServer`.

    `relay_addresses` are the IP addresses on which relay ports are bound; `external_addresses` maps those behind a 1:1
    NAT to what the outside calls them. `relay_ports` are those of this engine alone, where it has siblings. Lifetimes
    are in seconds; tests shorten them, RFC 8656 fixes the defaults.
    """

    realm: str
    relay_addresses: tuple[str, ...]
    relay_ports: range = DEFAULT_RELAY_PORTS
    external_addresses: Mapping[str, str] = field(default_factory=dict)
    policy: PeerPolicy
    # A household of phones and laptops behind one account fits; a leaked credential cannot take every port.
    allocations_per_user: int = 12
    allocations_total: int = 10_000
    # Off: a call outlives the short life of the credential that began it, as browsers expect.
    strict_expiry: bool = False
    # Whether the driver answers LookUpCredential; then a name that the store does not know is asked for outside.
    credential_lookup: bool = False
    unauthenticated_replies_per_second: int = 200
    # RFC 5780: two addresses and two ports of ours, where there are such; without, CHANGE-REQUEST is answered with 420.
    behavior: BehaviorOrigins | None = None
    # RFC 6062: whether peers may be reached by TCP. Off, because it lets clients speak to web servers and mail servers.
    tcp_allocations: bool = False
    # Whether the plane can set the DF bit; where it cannot, DONT-FRAGMENT is answered with 420 (RFC 8656 section 7.2).
    dont_fragment: bool = True
    default_lifetime: int = DEFAULT_LIFETIME
    max_lifetime: int = MAX_LIFETIME
    permission_lifetime: Duration = PERMISSION_LIFETIME
    channel_lifetime: Duration = CHANNEL_LIFETIME
    reservation_lifetime: Duration = RESERVATION_LIFETIME
    peer_connection_timeout: Duration = PEER_CONNECTION_TIMEOUT
    nonce_lifetime: Duration = 600.0
    # Who else serves clients on the same addresses, so that what one has given out is understood by all.
    siblings: Siblings = ALONE
