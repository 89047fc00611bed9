"""NATs and firewalls on the virtual network (RFC 4787).

    network = VirtualNetwork(clock, seed=7, link=Link(delay=0.02))
    Nat(network, public="203.0.113.1", inside="10.0.1.0/24", mapping=ENDPOINT_INDEPENDENT, filtering=ADDRESS_DEPENDENT)
    Nat(network, public="203.0.113.2", inside="10.0.2.0/24", mapping=ADDRESS_AND_PORT_DEPENDENT)
    Firewall(network, inside="203.0.113.2/32", except_for=["198.41.0.4"])
    alice = EngineHost(network, engine, SocketAddress("10.0.1.2", 5000))
    bob = EngineHost(network, other, SocketAddress("10.0.2.2", 5000))

Hosts attach by their own address. What they send to somebody outside leaves from the NAT's address, and what comes back
is let in or not by its rules; nobody outside reaches a private address. A NAT whose public address lies inside another
one is a NAT behind a NAT. Insides are different address ranges, also of NATs that do not know each other.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from icelane.core.clock import Duration, Instant, later
from icelane.core.net import SocketAddress
from icelane.testing.network import VirtualNetwork

# RFC 4787 section 4.3: no shorter than this unless configured.
MAPPING_LIFETIME: Final = 120.0
FIRST_PORT: Final = 20_000
MAX_MAPPINGS: Final = 40_000


class Behaviour(enum.Enum):
    """What a mapping or a filter depends on (RFC 4787 sections 4.1 and 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"

    def key(self, remote: SocketAddress) -> tuple[str, int]:
        """What two remote ends have in common when they are the same to this behaviour."""
        if self is Behaviour.ENDPOINT_INDEPENDENT:
            return "", 0
        return remote.host, (0 if self is Behaviour.ADDRESS_DEPENDENT else remote.port)


ENDPOINT_INDEPENDENT: Final = Behaviour.ENDPOINT_INDEPENDENT
ADDRESS_DEPENDENT: Final = Behaviour.ADDRESS_DEPENDENT
ADDRESS_AND_PORT_DEPENDENT: Final = Behaviour.ADDRESS_AND_PORT_DEPENDENT


@dataclass(slots=True)
class _Mapping:
    inside: SocketAddress
    expires: Instant
    contacted: set[tuple[str, int]] = field(default_factory=set)


class Nat:
    """Translates the addresses of `inside`, a network in CIDR notation, to ports of `public`.

    A mapping lives for `lifetime` seconds from the last datagram that left by it. `hairpin`: hosts inside reach each
    other by their public addresses.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        *,
        public: str,
        inside: str,
        mapping: Behaviour = ENDPOINT_INDEPENDENT,
        filtering: Behaviour = ADDRESS_AND_PORT_DEPENDENT,
        hairpin: bool = False,
        lifetime: Duration = MAPPING_LIFETIME,
    ) -> None:
        self.public = public
        self._inside = ipaddress.ip_network(inside)
        self._mapping = mapping
        self._filtering = filtering
        self._hairpin = hairpin
        self._lifetime = lifetime
        self._mappings_by_port: dict[int, _Mapping] = {}
        self._ports_by_key: dict[tuple[SocketAddress, tuple[str, int]], int] = {}
        self._next_port = FIRST_PORT
        network.add_gateway(self)

    @property
    def mappings(self) -> dict[SocketAddress, SocketAddress]:
        """Which public addresses stand for which inside, the expired ones included."""
        return {SocketAddress(self.public, port): one.inside for port, one in self._mappings_by_port.items()}

    def forget(self) -> None:
        """Lose every mapping, as a router does that is switched off and on. Ports are not used again."""
        self._mappings_by_port.clear()
        self._ports_by_key.clear()

    def holds(self, host: str) -> bool:
        """Whether `host` is inside."""
        return _is_in(host, self._inside)

    def owns(self, host: str) -> bool:
        """Whether `host` is the public address."""
        return host == self.public

    def outbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:
        """Map the source, and remember whom it talks to."""
        if self.owns(destination.host) and not self._hairpin:
            return None
        key = (source, self._mapping.key(destination))
        port = self._ports_by_key.get(key)
        if port is None or self._mappings_by_port[port].expires <= now:
            port = self._map(key, now)
        mapping = self._mappings_by_port[port]
        mapping.expires = later(now, self._lifetime)
        mapping.contacted.add(self._filtering.key(destination))
        return SocketAddress(self.public, port)

    def inbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:
        """Find who is meant, if the filter lets it in."""
        if not self.owns(destination.host):
            return None
        mapping = self._mappings_by_port.get(destination.port)
        if mapping is None or mapping.expires <= now or self._filtering.key(source) not in mapping.contacted:
            return None
        return mapping.inside

    def _map(self, key: tuple[SocketAddress, tuple[str, int]], now: Instant) -> int:
        port = self._next_port
        if port >= FIRST_PORT + MAX_MAPPINGS:
            raise AssertionError("more and more mappings")
        self._next_port += 1
        self._ports_by_key[key] = port
        self._mappings_by_port[port] = _Mapping(key[0], now)
        return port


class OneToOneNat:
    """Translates `inside`, one address, to `public` and back, port by port and for everybody, as clouds do."""

    def __init__(self, network: VirtualNetwork, *, public: str, inside: str) -> None:
        self.public = public
        self._inside = inside
        network.add_gateway(self)

    def holds(self, host: str) -> bool:
        """Whether `host` is inside."""
        return host == self._inside

    def owns(self, host: str) -> bool:
        """Whether `host` is the public address."""
        return host == self.public

    def outbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:  # noqa: ARG002
        """The public address, at the same port."""
        return SocketAddress(self.public, source.port)

    def inbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:  # noqa: ARG002
        """The address inside, at the same port."""
        return SocketAddress(self._inside, destination.port) if self.owns(destination.host) else None


class Firewall:
    """Stops datagrams to and from `inside`, but for those of the hosts in `except_for`; translates nothing.

    `outgoing` and `incoming` say which directions are stopped, and may be changed while the network runs.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        *,
        inside: str,
        outgoing: bool = True,
        incoming: bool = True,
        except_for: Collection[str] = (),
    ) -> None:
        self.outgoing = outgoing
        self.incoming = incoming
        self._inside = ipaddress.ip_network(inside)
        self._except_for = frozenset(except_for)
        network.add_gateway(self)

    def holds(self, host: str) -> bool:
        """Whether `host` is inside."""
        return _is_in(host, self._inside)

    def owns(self, host: str) -> bool:  # noqa: ARG002  (a gateway without an address)
        """Never: it has no address of its own."""
        return False

    def outbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:  # noqa: ARG002
        """The source as it is, if it may go out."""
        return None if self.outgoing and destination.host not in self._except_for else source

    def inbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:  # noqa: ARG002
        """The destination as it is, if it may come in."""
        return None if self.incoming and source.host not in self._except_for else destination


@functools.lru_cache(maxsize=1024)
def _is_in(host: str, inside: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(host) in inside
