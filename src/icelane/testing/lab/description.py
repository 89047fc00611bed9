"""What a lab is to hold: hosts, and networks that lie one in the other, each behind a gateway of its own."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from icelane.testing.link_program import Way

INTERNET: Final = "internet"
"""The name of the outermost network's router."""

# The third number of a network's addresses is its number.
MAX_NETWORKS: Final = 254
# .1 is the gateway's.
MAX_MEMBERS: Final = 250

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


class Nat(enum.Enum):
    """What a gateway does with IPv4 addresses (RFC 4787). Both filter by address and port, as nearly all NATs do.

    nftables has no NAT that lets in everybody for whom a port is mapped ("full cone"): that kind is in
    `icelane.testing.nat`, on the virtual network.
    """

    PORT_PRESERVING = "port-preserving"
    """A mapping is the same for every destination, and keeps the port while it is free: peers punch through it."""
    SYMMETRIC = "symmetric"
    """A random port for each destination: nobody can be told in advance where the next packet will come from."""


class Firewall(enum.Enum):
    """What a gateway lets out; in come answers only. What it does not like vanishes without a word."""

    STATEFUL = "stateful"
    """Everything."""
    UDP_BLOCKED = "UDP blocked"
    """TCP to every port."""
    ONLY_443 = "only port 443"
    """TCP to port 443, whatever is said there."""
    ONLY_TLS = "only TLS on port 443"
    """TCP to port 443, as long as both directions look like records of TLS: everything else is cut."""
    ONLY_PROXY = "only an HTTP proxy"
    """Nothing but what the HTTP proxy on the gateway carries, by CONNECT."""


@dataclass(frozen=True, kw_only=True)
class HttpProxy:
    """The proxy of a network with Firewall.ONLY_PROXY: CONNECT to some ports, as strict as proxies usually are.

    With a `user`, it asks for Basic authentication (RFC 7617). With `run=False`, the port is yours: start another proxy
    on the gateway, such as squid or tinyproxy.
    """

    port: int = 3128
    connect_ports: tuple[int, ...] = (443, 563)
    user: str | None = None
    password: str = field(default="", repr=False)
    run: bool = True


@dataclass(frozen=True)
class Host:
    """A machine with one interface, "ethernet".

    Others know it by `name` and by `names`. Its link is perfect unless `up` says what happens to packets that it sends;
    for those that it receives, `down` says so, or `up` does as well.
    """

    name: str
    names: tuple[str, ...] = field(default=(), kw_only=True)
    up: Way | None = field(default=None, kw_only=True)
    down: Way | None = field(default=None, kw_only=True)


@dataclass(frozen=True, init=False)
class Network:
    """Hosts and further networks on one switch, behind a gateway.

    The gateway bears the name of the network; its interfaces are "wan" and "lan". Without a NAT and a firewall it is a
    router: its members can be reached from everywhere around it. With a NAT its members have private addresses, of the
    shared ones (100.64.0.0/10, RFC 6598) if they are networks with a NAT again.

    A member has what its network has of `ipv4` and `ipv6`. IPv6 is never translated, and a network with a NAT has none
    unless it is asked for. `up` and `down` are about the line of the gateway, as for a Host.

    `members=` are further ones, so that `dataclasses.replace` makes a network like this one.
    """

    name: str
    members: tuple[Host | Network, ...]
    nat: Nat | None
    firewall: Firewall | None
    proxy: HttpProxy | None
    ipv4: bool
    ipv6: bool
    up: Way | None
    down: Way | None

    def __init__(
        self,
        name: str,
        *first: Host | Network,
        members: Iterable[Host | Network] = (),
        nat: Nat | None = None,
        firewall: Firewall | None = None,
        proxy: HttpProxy | None = None,
        ipv4: bool = True,
        ipv6: bool | None = None,
        up: Way | None = None,
        down: Way | None = None,
    ) -> None:
        if proxy is None and firewall is Firewall.ONLY_PROXY:
            proxy = HttpProxy()
        settings = {
            "name": name, "members": (*first, *members), "nat": nat, "firewall": firewall, "proxy": proxy, "ipv4": ipv4,
            "ipv6": nat is None if ipv6 is None else ipv6, "up": up, "down": down,
        }  # fmt: skip
        for key, value in settings.items():
            object.__setattr__(self, key, value)

    def __iter__(self) -> Iterator[Host | Network]:
        """Every member, and their members."""
        for member in self.members:
            yield member
            if isinstance(member, Network):
                yield from member


Member = Host | Network


def check(internet: Network) -> None:
    """Raises ValueError, in words, for a description that nothing can be built from; TypeError for what is none."""
    for member in internet:
        _check_types(member)
    everything = list(internet)
    names = [name for member in everything for name in _names(member)]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a host: lower case letters, digits, hyphens and dots")
        if name == INTERNET or names.count(name) > 1:
            raise ValueError(f"there are two called {name!r}")
    networks = [member for member in everything if isinstance(member, Network)]
    if len(networks) > MAX_NETWORKS:
        raise ValueError(f"{len(networks)} networks are more than {MAX_NETWORKS}")
    for network in [internet, *networks]:
        _check_network(network)


def _check_types(member: object) -> None:
    """Of one member; those of a network come after it."""
    if not isinstance(member, Host | Network):
        raise TypeError(f"a lab has Hosts and Networks, and {member!r} is neither")
    if not isinstance(member.name, str):
        raise TypeError(f"the name of a {type(member).__name__} is a string, not {member.name!r}")
    kinds: dict[str, type] = {"up": Way, "down": Way}
    if isinstance(member, Network):
        kinds |= {"nat": Nat, "firewall": Firewall, "proxy": HttpProxy}
    else:
        _check_names(member.name, member.names)
    for key, kind in kinds.items():
        if not isinstance(value := getattr(member, key), kind | None):
            raise TypeError(f"{key} of {member.name} is a {kind.__name__}, not {value!r}")


def _check_names(of: str, names: object) -> None:
    """A string is a sequence of strings too, and its letters are not meant."""
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names of {of} is a tuple of strings, not {names!r}")


def _check_proxy(name: str, proxy: HttpProxy) -> None:
    if not proxy.connect_ports:
        raise ValueError(f"the proxy of {name} has no connect_ports, so that it connects nowhere")
    if ":" in (proxy.user or ""):
        raise ValueError(f"the proxy of {name} has a user with a colon, which no client can send (RFC 7617)")
    for port in (proxy.port, *proxy.connect_ports):
        if not 0 < port < 65_536:
            raise ValueError(f"the proxy of {name} has a port {port}; ports are numbers from 1 to 65535")


def _names(member: Member) -> tuple[str, ...]:
    return (member.name, *member.names) if isinstance(member, Host) else (member.name,)


def _check_network(network: Network) -> None:
    if not network.ipv4 and not network.ipv6:
        raise ValueError(f"{network.name} has neither IPv4 nor IPv6")
    if len(network.members) > MAX_MEMBERS:
        raise ValueError(f"{network.name} has more than {MAX_MEMBERS} members")
    if network.nat is not None and not network.ipv4:
        raise ValueError(f"{network.name} has a NAT and no IPv4 to translate")
    if network.proxy is not None:
        _check_proxy(network.name, network.proxy)
    if network.proxy is not None and network.firewall is not Firewall.ONLY_PROXY:
        raise ValueError(f"{network.name} has a proxy and another firewall than Firewall.ONLY_PROXY")
    for member in network.members:
        if member.down is not None and member.up is None:
            raise ValueError(f"{member.name} has a line with down and without up")
        if not isinstance(member, Network):
            continue
        for family in ("ipv4", "ipv6"):
            if getattr(member, family) and not getattr(network, family):
                raise ValueError(f"{member.name} has {family} and the network around it, {network.name}, does not")
