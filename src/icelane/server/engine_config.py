"""What the configuration means to the engine, once the sockets are bound and the machine has been looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from icelane.aio.udp import CAN_SEND_WHOLE
from icelane.core.net import AddressFamily, SocketAddress, family_of
from icelane.server.bandwidth import BandwidthLimits
from icelane.server.config import Config
from icelane.server.machine import Machine
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.refusal import Alternate
from icelane.turn.server_config import TurnServerConfig


def engine_config(config: Config, listening: Collection[SocketAddress], machine: Machine) -> TurnServerConfig:
    """The engine's settings: those of `[turn]`, and what is known once everything is bound.

    TR-5: `listening` is where this server takes clients and shows its figures, with the ports that the system chose.
    """
    turn = config.turn
    ports = range(turn.relay_ports.first, turn.relay_ports.last + 1)
    external = turn.external_by_relay
    behavior = _behavior(config)
    policy = PeerPolicy(
        relay_addresses=turn.relay_addresses,
        relay_ports=ports,
        external_addresses=external,
        own_addresses=(*(machine.networks or machine.addresses), *_beside_relays(behavior, external)),
        own_listeners=frozenset(listening),
        # In a container the gateway is the host, with all that listens there; everywhere else it is a router's console.
        infrastructure=frozenset(SocketAddress(host, 0) for host in machine.gateways),
        allow=tuple(str(network) for network in turn.peers.allow),
        deny=tuple(str(network) for network in turn.peers.deny),
        nat64_prefixes=turn.peers.nat64_prefixes,
        allow_loopback=turn.dangerously_allow_loopback_peers,
    )
    return TurnServerConfig(
        realm=turn.realm or "",
        relay_addresses=turn.relay_addresses,
        relay_ports=ports,
        external_addresses=external,
        policy=policy,
        allocations_per_user=turn.quota.allocations_per_user,
        allocations_total=turn.quota.allocations_total,
        strict_expiry=turn.strict_expiry,
        credential_lookup=turn.auth is not None,
        unauthenticated_replies_per_second=turn.unauthenticated_replies_per_second,
        behavior=behavior,
        tcp_allocations=turn.tcp_allocations,
        dont_fragment=CAN_SEND_WHOLE,
    )


def _behavior(config: Config) -> BehaviorOrigins | None:
    """None while an address is not known that clients would have to be told: a wrong one would mislead them."""
    turn, hosts = config.turn, config.stun.behavior_addresses
    external = {host: turn.external_addresses[host] for host in hosts if host in turn.external_addresses}
    if not hosts or (turn.external_address_from is not None and len(external) < len(hosts)):
        return None
    families = ([host for host in hosts if family_of(host) is family] for family in AddressFamily)
    first, second = config.stun.behavior_ports
    return BehaviorOrigins(
        pairs=tuple((pair[0], pair[1]) for pair in families if pair), ports=(first, second), external=external
    )


def _beside_relays(behavior: BehaviorOrigins | None, external: Mapping[str, str]) -> tuple[str, ...]:
    """TR-5: what the outside calls those of our addresses that nothing is relayed on is ours too."""
    if behavior is None:
        return ()
    return tuple(outer for inner, outer in behavior.external.items() if inner not in external)


def alternates(config: Config) -> frozenset[Alternate]:
    """Where clients are sent while this server drains."""
    server, domain = config.turn.alternate_server, config.turn.alternate_domain
    return frozenset() if server is None else frozenset({Alternate(server, domain or "")})


def nonce_key(config: Config) -> bytes | None:
    """What nonces are made with; None: nobody else is to accept them."""
    key = config.turn.nonce_key
    return None if key is None else key.get_secret_value().encode()


def bandwidth_limits(config: Config) -> BandwidthLimits:
    """The limits of `[turn.quota]` on what is relayed."""
    quota = config.turn.quota
    return BandwidthLimits(
        per_allocation=quota.bytes_per_second_per_allocation,
        per_user=quota.bytes_per_second_per_user,
        total=quota.bytes_per_second_total,
    )
