"""What the configuration means to the engine, once the sockets are bound and the machine has been looked at."""

from __future__ import annotations

from collections.abc import Collection

from icelane.core.net import SocketAddress
from icelane.server.bandwidth import BandwidthLimits
from icelane.server.config import Config
from icelane.server.machine import Machine
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
    policy = PeerPolicy(
        relay_addresses=turn.relay_addresses,
        relay_ports=ports,
        external_addresses=external,
        own_addresses=machine.networks or machine.addresses,
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
        tcp_allocations=turn.tcp_allocations,
    )


def alternates(config: Config) -> frozenset[Alternate]:
    """Where clients are sent while this server drains."""
    server, domain = config.turn.alternate_server, config.turn.alternate_domain
    return frozenset() if server is None else frozenset({Alternate(server, domain or "")})


def bandwidth_limits(config: Config) -> BandwidthLimits:
    """The limits of `[turn.quota]` on what is relayed."""
    quota = config.turn.quota
    return BandwidthLimits(
        per_allocation=quota.bytes_per_second_per_allocation,
        per_user=quota.bytes_per_second_per_user,
        total=quota.bytes_per_second_total,
    )
