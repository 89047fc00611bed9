"""What a TURN client tells its owner. All but the two for single packets are rare and frozen."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.core.net import SocketAddress
from icelane.errors import IcelaneError
from icelane.turn.attributes import IcmpError


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The server relays for us from now on.

    `relayed` holds one address, or an IPv4 and an IPv6 one; `mapped` is how the server sees us; `lifetime` in seconds.
    `reservation_token` claims the next higher port on another path. `additional_error` says why a second address that
    was asked for is missing.
    """

    relayed: tuple[SocketAddress, ...]
    mapped: SocketAddress
    lifetime: int
    reservation_token: bytes | None = None
    additional_error: IcelaneError | None = None


@dataclass(frozen=True, slots=True)
class AllocationFailed:
    """The server did not allocate. `error` is TurnError when it said why; the engine is at its end."""

    error: IcelaneError


@dataclass(frozen=True, slots=True)
class Redirected:
    """The server named another one that `icelane.turn.redirect` does not refuse; the engine is at its end.

    `domain` is what a certificate of the other server must be valid for, "" when nothing was said.
    """

    server: SocketAddress
    domain: str


@dataclass(frozen=True, slots=True)
class AllocationRefreshed:
    """The allocation lives for `lifetime` more seconds."""

    lifetime: int


@dataclass(frozen=True, slots=True)
class AllocationLost:
    """The server does not relay for us any more, though nobody asked it to stop; the engine is at its end."""

    error: IcelaneError


@dataclass(frozen=True, slots=True)
class AllocationReleased:
    """What `close` asked for has happened, or cannot be known any more; the engine is at its end."""


@dataclass(frozen=True, slots=True)
class PermissionGranted:
    """Peers at these hosts may send to the relayed address; told once, not at every renewal."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PermissionRefused:
    """None of these hosts may send, or not any longer."""

    hosts: tuple[str, ...]
    error: IcelaneError


@dataclass(frozen=True, slots=True)
class ChannelBound:
    """Payload to and from `peer` travels with a header of four bytes from now on; told once, not at every renewal."""

    peer: SocketAddress
    number: int


@dataclass(frozen=True, slots=True)
class ChannelFailed:
    """There is no channel to `peer`, or not any longer; Send indications still work where a permission does."""

    peer: SocketAddress
    error: IcelaneError


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """The server has connected to `peer`; ConnectionBind with this number, within 30 seconds, gets the connection."""

    peer: SocketAddress
    connection_id: int


@dataclass(frozen=True, slots=True)
class PeerConnectFailed:
    """The server could not connect to `peer`, or would not."""

    peer: SocketAddress
    error: IcelaneError


@dataclass(frozen=True, slots=True)
class PeerAttempted:
    """`peer` connected to the relayed address; otherwise as PeerConnected."""

    peer: SocketAddress
    connection_id: int


class DataReceived:
    """`peer` sent `payload` to the relayed address. Made for every packet, so slotted and not frozen."""

    __slots__ = ("payload", "peer")

    def __init__(self, peer: SocketAddress, payload: bytes) -> None:
        self.peer = peer
        self.payload = payload

    def __repr__(self) -> str:
        return f"DataReceived({self.peer}, {len(self.payload)} bytes)"


@dataclass(slots=True)
class IcmpReceived:
    """A datagram that was relayed to `peer` met an ICMP error (RFC 8656 section 11.6)."""

    peer: SocketAddress
    error: IcmpError


TurnClientEvent = (
    Allocated
    | AllocationFailed
    | Redirected
    | AllocationRefreshed
    | AllocationLost
    | AllocationReleased
    | PermissionGranted
    | PermissionRefused
    | ChannelBound
    | ChannelFailed
    | DataReceived
    | IcmpReceived
    | PeerConnected
    | PeerConnectFailed
    | PeerAttempted
)
