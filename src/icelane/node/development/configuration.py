"""The configuration of a development node, made anew at each start: random secrets, private addresses, a few ports."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress, family_of
from icelane.node.development.addresses import is_loopback, networks_of
from icelane.node.development.places import SOCKET
from icelane.node.development.ports import TCP, UDP, free_port, free_range
from icelane.server.config import Config, PortRange, parse_config
from icelane.server.machine import Machine

WEB_PORT: Final = 8443
TURN_PORT: Final = 3478
TURNS_PORT: Final = 5349
FIRST_RELAY_PORT: Final = 49_160
RELAY_PORTS: Final = 40
"""So few that all of them can be opened in a firewall by hand; a call of two takes up to four."""

ISSUER: Final = "icelane-dev"
_SECRET_BYTES: Final = 32
# Everybody on one LAN, and every page of it, may come from one address and be one guest.
_RATE_PER_MINUTE: Final = 1200
_RATE_PER_SECOND: Final = 500


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What is listened on, on each address."""

    web: int
    turn: int
    turns: int
    relay: PortRange

    @classmethod
    def free(cls, hosts: Sequence[str], relays: Sequence[str], web: int = WEB_PORT) -> Ports:
        """The first that are free, from the usual ones on. Raises ConfigurationError."""
        chosen = free_port(hosts, web, [TCP])
        turn = free_port(hosts, TURN_PORT, [TCP, UDP], [chosen])
        turns = free_port(hosts, TURNS_PORT, [TCP], [chosen, turn])
        # A node that has the ports before has its relay ports before ours, and binds them when it needs them.
        first = FIRST_RELAY_PORT + (turn - TURN_PORT) * RELAY_PORTS
        return cls(web=chosen, turn=turn, turns=turns, relay=free_range(relays, first, RELAY_PORTS))

    def moved(self, web: int = WEB_PORT) -> dict[int, int]:
        """Which ports were taken, and what is used instead."""
        usual = {web: self.web, TURN_PORT: self.turn, TURNS_PORT: self.turns, FIRST_RELAY_PORT: self.relay.first}
        return {wanted: used for wanted, used in usual.items() if wanted != used}


def relay_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Where relayed traffic arrives: one address of each family, loopback only where there is nothing else."""
    usable = [host for host in hosts if not is_loopback(host)] or list(hosts)
    return tuple({family_of(host): host for host in reversed(usable)}.values())[::-1]


def development_configuration(
    *,
    machine: Machine,
    hosts: Sequence[str],
    ports: Ports,
    folder: Path,
    entropy: Entropy,
    name: str | None = None,
    level: str = "warning",
) -> Config:
    """All of it, checked as any other. The certificate and its key are `leaf.pem` and `leaf.key` of `folder`.

    `name` is what pages are told to reach TURN over TLS by; None where they could not. Raises ConfigurationError.
    """
    return parse_config(_document(machine, hosts, ports, folder, entropy, name, level), machine=machine)


def page_url(host: str, port: int, path: str = "/") -> str:
    """Where a browser goes."""
    return f"https://{SocketAddress(host, port)}{path}"


def _document(
    machine: Machine,
    hosts: Sequence[str],
    ports: Ports,
    folder: Path,
    entropy: Entropy,
    name: str | None,
    level: str,
) -> Mapping[str, Any]:
    relays = relay_hosts(hosts)
    # One address is enough on a LAN, and a browser takes an allocation for each: so more calls find room.
    relaying = dict.fromkeys((relays[0], *filter(is_loopback, hosts)))
    listen = [f"{scheme}://{SocketAddress(host, ports.turn)}" for host in relaying for scheme in ("udp", "tcp")]
    listen += [f"tls://{SocketAddress(host, ports.turns)}" for host in relaying]
    turn: dict[str, Any] = {
        "realm": ISSUER,
        "listen": listen,
        "relay_addresses": list(relays),
        "relay_ports": f"{ports.relay.first}-{ports.relay.last}",
        "dangerously_allow_loopback_peers": any(is_loopback(host) for host in relays),
        # Of the addresses that relay alone: other networks are those of containers and of VPNs.
        "peers": {"allow": list(networks_of(machine, relays))},
        "secrets": [{"kid": "dev", "secret": _secret(entropy)}],
        "quota": {"allocations_per_user": RELAY_PORTS},
        "drain_deadline": "1s",
    }
    if name is not None:
        turn["hostname"] = name
    origins = [page_url(host, ports.web, "") for host in hosts]
    origins += [page_url(known, ports.web, "") for known in dict.fromkeys(("localhost", *([name] if name else [])))]
    return {
        "turn": turn,
        "server": {
            "listen": [f"https://{SocketAddress(host, ports.web)}" for host in hosts],
            "public_url": origins[0],
            "allowed_origins": origins,
            # A browser that was told so would come to every server on localhost by HTTPS alone.
            "hsts": "0s",
        },
        "tls": {"certificate": str(folder / "leaf.pem"), "key": str(folder / "leaf.key")},
        "auth": {"jwt": [{"issuer": ISSUER, "algorithm": "HS256", "secret": _secret(entropy)}]},
        # Guests are told apart by what they send, so each is asked about anew.
        "hooks": {"cache": "0s"},
        "limits": {
            "connects_per_minute_per_address": _RATE_PER_MINUTE,
            "connects_per_minute_per_identity": _RATE_PER_MINUTE,
            "credentials_per_minute_per_identity": _RATE_PER_MINUTE,
            "messages_per_second": _RATE_PER_SECOND,
            "joins_per_second": _RATE_PER_SECOND,
        },
        "log": {"level": level, "addresses": True},
        "admin": {"socket": str(folder / SOCKET)},
    }


def _secret(entropy: Entropy) -> str:
    return base64.b64encode(entropy.token(_SECRET_BYTES)).decode()
