"""From where a server with two addresses and two ports answers (RFC 5780 section 6.1).

Flags          answered from    OTHER-ADDRESS      Da:Dp  where the request came in
none           Da:Dp            Ca:Cp              Ca     the other address of the pair
change IP      Ca:Dp            Ca:Cp              Cp     the other port
change port    Da:Cp            Ca:Cp
both           Ca:Cp            Ca:Cp
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from icelane.core.net import SocketAddress
from icelane.stun.attributes import ChangeRequest

T = TypeVar("T")

NO_CHANGE: Final = ChangeRequest(address=False, port=False)
BOTH: Final = ChangeRequest(address=True, port=True)


@dataclass(frozen=True, kw_only=True)
class BehaviorOrigins:
    """The addresses of NAT behaviour discovery: the server takes clients over UDP on each of them, at both ports.

    `pairs` has the two addresses of each family that is served; `external` says what the outside calls those that are
    behind a 1:1 NAT, which keeps ports.
    """

    pairs: tuple[tuple[str, str], ...]
    ports: tuple[int, int]
    external: Mapping[str, str] = field(default_factory=dict)

    def covers(self, local: SocketAddress) -> bool:
        """Whether requests that come in there may ask for an answer from elsewhere."""
        return local.port in self.ports and any(local.host in pair for pair in self.pairs)

    def origin(self, local: SocketAddress, change: ChangeRequest) -> SocketAddress:
        """From where a request that came in at `local`, which is covered, is answered."""
        pair = next(pair for pair in self.pairs if local.host in pair)
        host = _other(pair, local.host) if change.address else local.host
        port = _other(self.ports, local.port) if change.port else local.port
        return SocketAddress(host, port)

    def told(self, local: SocketAddress) -> SocketAddress:
        """What the outside calls `local`."""
        return SocketAddress(self.external.get(local.host, local.host), local.port)


def _other(pair: tuple[T, T], one: T) -> T:
    return pair[1] if one == pair[0] else pair[0]
