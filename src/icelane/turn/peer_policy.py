"""Which peers a relay may talk to: the one function that every TURN method asks.

A relay that reaches its own host, its neighbours or a cloud's metadata service is a hole in the network around it
(CVE-2020-26262, CVE-2026-27624). `PeerPolicy.check` decides for CreatePermission, ChannelBind, Send, Connect, inbound
TCP and after a reload, in this order; the first that applies wins:

    1. the family is not that of the allocation                              443
    2. an address of our own, external mappings included                     allowed on relay ports, else 403
    3. IPv6 that carries an IPv4 address: mapped, NAT64, 6to4, Teredo, ...   403
    4. addresses that nobody may open                                        403
    5. the deny list, `turn.peers.deny`                                      403
    6. the allow list, `turn.peers.allow`, which opens only what 7 closes    allowed
    7. special-purpose addresses                                             403
    8. what is left is the public internet                                   allowed

Python's `ipaddress.is_global` is not asked: it calls ::127.0.0.1, 64:ff9b::7f00:1 and 168.63.129.16 global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

from icelane.core.net import AddressFamily, SocketAddress, canonical_host, family_of
from icelane.errors import ConfigurationError, MalformedError
from icelane.turn.address_range import AddressRange, RangeTable, number_of, parse_address_range, parse_nat64_prefix

ALL_PORTS: Final = range(1, 65536)
DEFAULT_RELAY_PORTS: Final = range(49152, 65536)

FORBIDDEN: Final = 403
ADDRESS_FAMILY_MISMATCH: Final = 443

# How many hosts' verdicts a policy remembers; many permissions then share one. A flood of hosts only evicts.
MAX_VERDICTS: Final = 4096


class Rule(NamedTuple):
    """One row of the tables below: every address of `prefix` is refused with `reason`."""

    prefix: str
    reason: str


# Step 3. A packet to one of these may reach the IPv4 address inside it, so none is relayed, whatever that address is.
EMBEDDED_IPV4: Final = (
    Rule("::ffff:0:0/96", "ipv4-mapped"),  # RFC 4291 section 2.5.5.2
    Rule("::ffff:0:0:0/96", "ipv4-translated"),  # RFC 7915 section 2.2, SIIT
    Rule("64:ff9b::/96", "nat64"),  # RFC 6052 section 2.1
    Rule("64:ff9b:1::/48", "nat64"),  # RFC 8215
    Rule("2002::/16", "6to4"),  # RFC 3056
    Rule("2001::/32", "teredo"),  # RFC 4380 section 4
    # ISATAP has no prefix of its own: see _is_isatap.
)

# Step 4. No configuration opens these.
HARD: Final = (
    Rule("0.0.0.0/8", "this-host"),  # RFC 1122 section 3.2.1.3; Linux connects it to itself (CVE-2020-26262)
    Rule("127.0.0.0/8", "loopback"),  # RFC 1122 section 3.2.1.3
    Rule("169.254.0.0/16", "link-local"),  # RFC 3927; the metadata services of most clouds
    Rule("192.0.0.0/24", "ietf-protocol"),  # RFC 6890 section 2.1; Oracle's metadata service
    Rule("192.88.99.0/24", "6to4-anycast"),  # RFC 7526
    Rule("224.0.0.0/4", "multicast"),  # RFC 5771
    Rule("255.255.255.255/32", "broadcast"),  # RFC 919 section 7
    Rule("240.0.0.0/4", "reserved"),  # RFC 1112 section 4
    Rule("::/128", "unspecified"),  # RFC 4291 section 2.5.2
    Rule("::1/128", "loopback"),  # RFC 4291 section 2.5.3
    Rule("::/96", "ipv4-compatible"),  # RFC 4291 section 2.5.5.1
    Rule("fe80::/10", "link-local"),  # RFC 4291 section 2.5.6
    Rule("fec0::/10", "site-local"),  # RFC 3879
    Rule("ff00::/8", "multicast"),  # RFC 4291 section 2.7
    Rule("fd00:ec2::/32", "metadata"),  # the services Amazon puts beside every instance
    Rule("fd20:ce::254/128", "metadata"),  # the same of Google
)

# Step 7. Closed unless the allow list names them.
SPECIAL_PURPOSE: Final = (
    Rule("10.0.0.0/8", "private"),  # RFC 1918
    Rule("172.16.0.0/12", "private"),
    Rule("192.168.0.0/16", "private"),
    Rule("100.64.0.0/10", "shared"),  # RFC 6598; Alibaba's metadata service
    Rule("168.63.129.16/32", "metadata"),  # Azure's WireServer, in a public range
    Rule("192.0.2.0/24", "documentation"),  # RFC 5737
    Rule("198.51.100.0/24", "documentation"),
    Rule("203.0.113.0/24", "documentation"),
    Rule("198.18.0.0/15", "benchmark"),  # RFC 2544
    Rule("fc00::/7", "private"),  # RFC 4193
    Rule("2001:db8::/32", "documentation"),  # RFC 3849
    Rule("3fff::/20", "documentation"),  # RFC 9637
    Rule("100::/64", "discard"),  # RFC 6666
    Rule("100:0:0:1::/64", "dummy"),  # RFC 9780
    Rule("5f00::/16", "srv6"),  # RFC 9602
    Rule("2001::/23", "ietf-protocol"),  # RFC 2928; ORCHIDv2 and benchmarking are inside
    # Only 2000::/3 is given out as global unicast (RFC 4291 section 2.4, IANA); nobody legitimate lives in the rest.
    Rule("::/3", "unallocated"),
    Rule("4000::/2", "unallocated"),
    Rule("8000::/1", "unallocated"),
)

# Reasons that are not in a table; they and the ones above are what logs show.
REASON_ALLOWED: Final = "allowed"
REASON_FAMILY: Final = "address-family"  # step 1
REASON_OWN_ADDRESS: Final = "own-address"  # step 2: an address of ours that has no relay ports
REASON_OWN_PORT: Final = "own-port"  # step 2: an address with relay ports, but not this port
REASON_INFRASTRUCTURE: Final = "infrastructure"  # step 2: a service that this server or its host depends on
REASON_ISATAP: Final = "isatap"  # step 3
REASON_OPERATOR_NAT64: Final = "nat64"  # step 3: `turn.peers.nat64_prefixes`
REASON_SUBNET_BROADCAST: Final = "broadcast"  # step 4: of a network we are in
REASON_DENY_LIST: Final = "deny-list"  # step 5
REASON_PORT_ZERO: Final = "port-zero"  # nothing can be sent there

_IPV4_MAPPED: Final = parse_address_range("::ffff:0:0/96")
_LOOPBACK: Final = (parse_address_range("127.0.0.0/8"), parse_address_range("::1/128"))
_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the policy says about a peer. `reason` is one of the words in this module, for logs.

    When `allowed`, packets go to `wire_host`, which differs from what the client named when that is the external
    address of one of our own relay addresses; only to a port that `allows_port`, which a permission route must ask
    for every packet because a permission itself has no port.
    """

    allowed: bool
    code: int = 0
    reason: str = REASON_ALLOWED
    wire_host: str = ""
    ports: range = ALL_PORTS
    closed_ports: frozenset[int] = frozenset()

    def allows_port(self, port: int) -> bool:
        """Whether packets may go to, and come from, this port of the peer."""
        return self.allowed and port in self.ports and port not in self.closed_ports


@dataclass(frozen=True, kw_only=True)
class PeerPolicy:
    """The policy of one server, compiled once; a reload makes a new one and asks again about everything that is live.

    Raises ConfigurationError naming the key of a value that cannot be used.
    """

    relay_addresses: tuple[str, ...] = ()
    """Where relay ports are bound. Two clients of this server reach each other through them."""

    relay_ports: range = DEFAULT_RELAY_PORTS

    external_addresses: Mapping[str, str] = field(default_factory=dict)
    """Relay address to the address that the outside knows it by (NAT 1:1)."""

    own_addresses: tuple[str, ...] = ()
    """Every other address of this host, as `10.0.0.5` or, to know the subnet's broadcast address, `10.0.0.5/24`."""

    own_listeners: frozenset[SocketAddress] = frozenset()
    """What this host listens on: TURN, admin, metrics. A wildcard counts on every own and every loopback address."""

    infrastructure: frozenset[SocketAddress] = frozenset()
    """Databases, gateways and the like. A host is refused as a whole, except an own or opened loopback address: there
    the port is; port 0 stands for every port."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    nat64_prefixes: tuple[str, ...] = ()
    """NAT64 prefixes of the network around us, beside the well-known ones."""

    allow_loopback: bool = False
    """For tests: opens 127.0.0.0/8 and ::1, but for what `deny` names and the ports in `own_listeners`."""

    _own: Mapping[str, Verdict] = field(init=False, repr=False, compare=False)
    _hard: Mapping[AddressFamily, RangeTable] = field(init=False, repr=False, compare=False)
    _denied: Mapping[AddressFamily, RangeTable] = field(init=False, repr=False, compare=False)
    _allowed: Mapping[AddressFamily, RangeTable] = field(init=False, repr=False, compare=False)
    _verdicts: dict[tuple[str, AddressFamily], Verdict] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        deny = [(found, REASON_DENY_LIST) for found in _parse_list(self.deny, "turn.peers.deny")]
        allow = [(found, REASON_ALLOWED) for found in _parse_list(self.allow, "turn.peers.allow")]
        own = _OwnAddresses(self).verdicts()
        hard = [*self._nat64(), *_rows(EMBEDDED_IPV4), *self._broadcasts(), *_rows(HARD), *deny]
        object.__setattr__(self, "_own", MappingProxyType(own))
        object.__setattr__(self, "_hard", _tables(hard))
        object.__setattr__(self, "_denied", _tables(deny))
        object.__setattr__(self, "_allowed", _tables(allow))
        object.__setattr__(self, "_verdicts", {})

    def check(self, peer: SocketAddress, family: AddressFamily) -> Verdict:
        """Whether an allocation of `family` may talk to `peer`. Raises MalformedError when that is not an address."""
        verdict = self.check_host(peer.host, family)
        if not verdict.allowed or verdict.allows_port(peer.port):
            return verdict
        return _refuse(REASON_OWN_PORT if peer.port else REASON_PORT_ZERO)

    def check_permission(self, peer: SocketAddress, family: AddressFamily) -> Verdict:
        """`check` for CreatePermission, whose port means nothing (RFC 8656 section 10.1) and may be 0.

        A port that is given is checked all the same, so that all methods say the same about one peer.
        """
        return self.check(peer, family) if peer.port else self.check_host(peer.host, family)

    def check_host(self, host: str, family: AddressFamily) -> Verdict:
        """Whether any port of `host` may be talked to; which ones, the verdict says."""
        verdict = self._verdicts.get((host, family))
        if verdict is None:
            verdict = self._judge(host, family)
            if len(self._verdicts) >= MAX_VERDICTS:
                self._verdicts.clear()
            self._verdicts[host, family] = verdict
        return verdict

    def _judge(self, host: str, family: AddressFamily) -> Verdict:
        host = canonical_host(host)
        if family_of(host) is not family:
            return Verdict(allowed=False, code=ADDRESS_FAMILY_MISMATCH, reason=REASON_FAMILY)
        own = self._own.get(host)
        if own is not None:
            return own
        number = number_of(host)
        if self.allow_loopback and _is_loopback(family, number):
            denied = self._denied[family].label(number)  # the switch lifts step 4, and none of the others
            return _refuse(denied) if denied else _open_loopback(self, host)
        reason = self._refusal(family, number)
        return _refuse(reason) if reason else Verdict(allowed=True, wire_host=host)

    def _refusal(self, family: AddressFamily, number: int) -> str | None:
        if family is AddressFamily.IPV6 and _is_isatap(number):
            return REASON_ISATAP
        reason = self._hard[family].label(number)
        if reason is not None or self._allowed[family].label(number) is not None:
            return reason
        return _SPECIAL_PURPOSE_TABLES[family].label(number)

    def _nat64(self) -> Iterable[tuple[AddressRange, str]]:
        found = _parse_list(self.nat64_prefixes, "turn.peers.nat64_prefixes", parse_nat64_prefix)
        return [(prefix, REASON_OPERATOR_NAT64) for prefix in found]

    def _broadcasts(self) -> Iterable[tuple[AddressRange, str]]:
        for text in self.own_addresses:
            host, _, length = text.partition("/")
            if length and family_of(host) is AddressFamily.IPV4 and int(length) < 31:
                mask = (1 << (32 - int(length))) - 1
                for number in (number_of(host) | mask, number_of(host) & ~mask):
                    yield AddressRange(AddressFamily.IPV4, number, number), REASON_SUBNET_BROADCAST


class _OwnAddresses:
    """Works out what step 2 says about every address that is ours."""

    def __init__(self, policy: PeerPolicy) -> None:
        self._policy = policy
        self._relays = {_own_host(host, "turn.relay_addresses") for host in policy.relay_addresses}
        self._wire_by_external = self._invert(policy.external_addresses)

    def verdicts(self) -> dict[str, Verdict]:
        policy = self._policy
        found = dict.fromkeys(_own_host(_without_prefix(text), "own_addresses") for text in policy.own_addresses)
        found.update(dict.fromkeys(self._relays | self._wire_by_external.keys()))
        listeners = {canonical_host(listener.host) for listener in policy.own_listeners}
        found.update(dict.fromkeys(listeners - _WILDCARDS))
        verdicts = {host: self._own(host) for host in found if not self._left_to_loopback_rule(host)}
        for host, port in policy.infrastructure:
            host = _own_host(host, "infrastructure")
            if port == 0 or not (host in verdicts or (policy.allow_loopback and _is_loopback_host(host))):
                verdicts[host] = _refuse(REASON_INFRASTRUCTURE)
        return verdicts

    def _own(self, host: str) -> Verdict:
        policy = self._policy
        wire = self._wire_by_external.get(host, host)
        if wire not in self._relays or (_is_loopback_host(wire) and not policy.allow_loopback):
            return _refuse(REASON_OWN_ADDRESS)
        closed = _closed_ports(policy, host) | _closed_ports(policy, wire)
        return Verdict(allowed=True, wire_host=wire, ports=policy.relay_ports, closed_ports=closed)

    def _left_to_loopback_rule(self, host: str) -> bool:
        # Being a relay address opens nothing on loopback, and with the switch every port there is open anyway.
        return _is_loopback_host(host) and host not in self._wire_by_external

    def _invert(self, external_addresses: Mapping[str, str]) -> dict[str, str]:
        key = "turn.external_addresses"
        wire_by_external: dict[str, str] = {}
        for local, external in external_addresses.items():
            local, external = _own_host(local, key), _own_host(external, key)
            if local not in self._relays:
                raise ConfigurationError(f"{local} is not in turn.relay_addresses", key=key)
            if family_of(local) is not family_of(external):
                raise ConfigurationError(f"{local} and {external} are not of one family", key=key)
            if external in wire_by_external or (external in self._relays and external != local):
                raise ConfigurationError(f"{external} stands for two relay addresses", key=key)
            wire_by_external[external] = local
        return wire_by_external


def _open_loopback(policy: PeerPolicy, host: str) -> Verdict:
    return Verdict(allowed=True, wire_host=host, closed_ports=_closed_ports(policy, host))


def _closed_ports(policy: PeerPolicy, host: str) -> frozenset[int]:
    here = _WILDCARDS | {host}
    listening = {port for name, port in policy.own_listeners if canonical_host(name) in here}
    needed = {port for name, port in policy.infrastructure if canonical_host(name) == host}
    return frozenset(listening | needed)


def _own_host(text: str, key: str) -> str:
    try:
        host = canonical_host(text)
    except MalformedError as error:
        raise ConfigurationError(str(error), key=key) from error
    if host in _WILDCARDS:
        raise ConfigurationError(f"{text!r} is not one address", key=key)
    return host


def _without_prefix(text: str) -> str:
    host, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit() and int(length) <= 128):
        raise ConfigurationError(f"{text!r}: the prefix length is not a number", key="own_addresses")
    return host


def _parse_list(
    texts: Iterable[str], key: str, parse: Callable[[str], AddressRange] = parse_address_range
) -> list[AddressRange]:
    found = []
    for text in texts:
        try:
            parsed = parse(text)
        except MalformedError as error:
            raise ConfigurationError(str(error), key=key) from error
        if _IPV4_MAPPED.contains(parsed):
            # Never relayed to, so the entry would do nothing; whoever wrote it meant the IPv4 address.
            raise ConfigurationError(f"{text!r} is IPv4-mapped: write the IPv4 range", key=key)
        found.append(parsed)
    return found


@cache
def _rows(rules: tuple[Rule, ...]) -> list[tuple[AddressRange, str]]:
    return [(parse_address_range(rule.prefix), rule.reason) for rule in rules]


def _tables(rows: list[tuple[AddressRange, str]]) -> Mapping[AddressFamily, RangeTable]:
    return {family: RangeTable(family, rows) for family in AddressFamily}


def _refuse(reason: str) -> Verdict:
    return Verdict(allowed=False, code=FORBIDDEN, reason=reason)


def _is_loopback(family: AddressFamily, number: int) -> bool:
    return any(found.contains(AddressRange(family, number, number)) for found in _LOOPBACK)


def _is_loopback_host(host: str) -> bool:
    return _is_loopback(family_of(host), number_of(host))


def _is_isatap(number: int) -> bool:
    # RFC 5214 section 6.1: the interface identifier is 0000:5efe or, marked as globally unique, 0200:5efe, then IPv4.
    return (number >> 32) & 0xFDFFFFFF == 0x00005EFE


_SPECIAL_PURPOSE_TABLES: Final = _tables(_rows(SPECIAL_PURPOSE))
