from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icelane.core.net import AddressFamily, SocketAddress, canonical_host, family_of
from icelane.errors import ConfigurationError, MalformedError
from icelane.testing.peers import ALLOWED, ALLOWED_NEIGHBOURS, REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.peer_policy import ALL_PORTS, EMBEDDED_IPV4, HARD, MAX_VERDICTS, SPECIAL_PURPOSE, PeerPolicy

V4, V6 = AddressFamily.IPV4, AddressFamily.IPV6
EVERYTHING = ("0.0.0.0/0", "::/0")

# TR-5: a server behind NAT 1:1 with everything that a real host has.
RELAY, EXTERNAL, RELAY_V6, LISTENER = "10.0.0.5", "198.41.0.4", "2a00:1450::5", "9.9.9.9"
OWN = PeerPolicy(
    relay_addresses=(RELAY, RELAY_V6),
    relay_ports=range(50000, 50100),
    external_addresses={RELAY: EXTERNAL},
    own_addresses=("192.168.7.5/24", "8.8.4.4/31", "2a00:1450::9/64", "127.0.0.1/8"),
    own_listeners=frozenset({
        SocketAddress(LISTENER, 443),
        SocketAddress(RELAY, 50050),
        SocketAddress("0.0.0.0", 3478),
        SocketAddress("0.0.0.0", 50060),
    }),
    infrastructure=frozenset(
        {SocketAddress("1.2.3.4", 6379), SocketAddress(RELAY, 50070), SocketAddress("5.6.7.8", 0)}
    ),
    allow=EVERYTHING,
)  # fmt: skip


def refusal(policy: PeerPolicy, host: str, port: int = 3478) -> str | None:
    """The reason `host` is refused for, or None when it is allowed; the methods must agree."""
    peer, family = SocketAddress(host, port), family_of(host)
    verdict = policy.check(peer, family)
    assert policy.check_permission(peer, family) == verdict
    assert verdict.code == (0 if verdict.allowed else 403)
    assert verdict.reason
    return None if verdict.allowed else verdict.reason


@pytest.mark.parametrize("host", REFUSED_ALWAYS)
def test_what_no_configuration_opens_is_refused_however_it_is_allowed(host: str) -> None:
    """TR-1, TR-6: the hard rows, with nothing configured and with everything allowed."""
    assert refusal(PeerPolicy(), host) is not None
    assert refusal(PeerPolicy(allow=EVERYTHING), host) is not None
    assert refusal(PeerPolicy(allow=(host,) if "ffff" not in host else ("::/0",)), host) is not None
    assert not PeerPolicy(allow=EVERYTHING).check_host(host, family_of(host)).allowed


@pytest.mark.parametrize("host", REFUSED_BY_DEFAULT)
def test_special_purpose_addresses_are_refused_unless_the_allow_list_names_them(host: str) -> None:
    """TR-1, TR-6: the default rows; an allow entry inside a denied range works, its neighbour stays refused."""
    assert refusal(PeerPolicy(), host) is not None
    assert refusal(PeerPolicy(allow=(host,)), host) is None
    neighbour = str(ipaddress.ip_address(host) + 1)
    if host != "168.63.129.16":
        assert refusal(PeerPolicy(allow=(host,)), neighbour) is not None


@pytest.mark.parametrize("host", ALLOWED)
def test_public_addresses_are_allowed_on_every_port_but_zero(host: str) -> None:
    """TR-1: the allow rows."""
    policy, family = PeerPolicy(), family_of(host)
    for port in (1, 53, 3478, 65535):
        assert refusal(policy, host, port) is None
    assert policy.check(SocketAddress(host, 0), family).reason == "port-zero"
    verdict = policy.check_permission(SocketAddress(host, 0), family)
    assert verdict.allowed
    assert all(verdict.allows_port(port) for port in range(1, 65536))
    assert not verdict.allows_port(0)
    assert verdict.wire_host == host


@pytest.mark.parametrize("host", [*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT, *ALLOWED])
def test_a_peer_of_the_other_family_is_443_whatever_it_is(host: str) -> None:
    """TR-1: the family is looked at first."""
    other = V6 if family_of(host) is V4 else V4
    for policy in (PeerPolicy(), OWN, PeerPolicy(allow_loopback=True)):
        verdict = policy.check(SocketAddress(host, 3478), other)
        assert (verdict.allowed, verdict.code, verdict.reason) == (False, 443, "address-family")


def test_the_deny_list_wins_over_the_allow_list() -> None:
    """TR-6: the allow list opens only what is special-purpose."""
    policy = PeerPolicy(allow=("10.0.0.0/8", "8.8.8.8"), deny=("10.1.0.0/16", "8.8.8.0/24"))
    assert refusal(policy, "10.2.0.1") is None
    assert refusal(policy, "10.1.0.1") == "deny-list"
    assert refusal(policy, "8.8.8.8") == "deny-list"
    assert refusal(policy, "8.8.9.8") is None


@pytest.mark.parametrize("rule", [*EMBEDDED_IPV4, *HARD, *SPECIAL_PURPOSE], ids=lambda rule: f"{rule.prefix}")
def test_each_rule_covers_its_prefix_to_the_last_address(rule: tuple[str, str]) -> None:
    """TR-4: first, last, and for what is not closed around it, the neighbours."""
    network = ipaddress.ip_network(rule[0])
    for number in (network.network_address, network.broadcast_address):
        assert refusal(PeerPolicy(), str(number)) is not None


@pytest.mark.parametrize("host", ALLOWED_NEIGHBOURS)
def test_the_neighbours_of_closed_ranges_are_open(host: str) -> None:
    """TR-4: boundaries plus and minus one."""
    assert refusal(PeerPolicy(), host) is None


@pytest.mark.parametrize(
    ("key", "policy"),
    [
        ("turn.peers.deny", {"deny": ("10.0.0.0/8", "10.0.0.1/8")}),
        ("turn.peers.deny", {"deny": ("banana",)}),
        ("turn.peers.deny", {"deny": ("::ffff:10.0.0.0/104",)}),
        ("turn.peers.allow", {"allow": ("10.0.0.0/33",)}),
        ("turn.peers.allow", {"allow": ("10.0.0.9-10.0.0.1",)}),
        ("turn.peers.nat64_prefixes", {"nat64_prefixes": ("2001:db8::/33",)}),
        ("turn.peers.nat64_prefixes", {"nat64_prefixes": ("10.0.0.0/8",)}),
        ("turn.peers.nat64_prefixes", {"nat64_prefixes": ("2001:db8::-2001:db8::ffff:ffff",)}),
        ("turn.relay_addresses", {"relay_addresses": ("0.0.0.0",)}),
        ("turn.relay_addresses", {"relay_addresses": ("relay.example",)}),
        ("turn.external_addresses", {"external_addresses": {"10.0.0.5": "8.8.8.8"}}),
        ("turn.external_addresses", {"relay_addresses": ("10.0.0.5",), "external_addresses": {"10.0.0.5": "::8"}}),
        ("turn.external_addresses", {"relay_addresses": ("10.0.0.5",), "external_addresses": {"10.0.0.5": "x"}}),
        ("turn.external_addresses", {"relay_addresses": ("10.0.0.5", "10.0.0.6"),
                                     "external_addresses": {"10.0.0.5": "8.8.8.8", "10.0.0.6": "8.8.8.8"}}),
        ("turn.external_addresses", {"relay_addresses": ("10.0.0.5", "10.0.0.6"),
                                     "external_addresses": {"10.0.0.5": "10.0.0.6"}}),
        ("own_addresses", {"own_addresses": ("10.0.0.5/x",)}),
    ],
)  # fmt: skip
def test_a_malformed_value_stops_the_start_and_names_its_key(key: str, policy: dict[str, tuple[str, ...]]) -> None:
    """TR-4: nothing that was meant to deny is skipped."""
    with pytest.raises(ConfigurationError) as caught:
        PeerPolicy(**policy)  # type: ignore[arg-type]  # a table of keyword arguments
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("host", "port"),
    [
        (LISTENER, 443),
        (LISTENER, 50001),
        (RELAY, 3478),
        (RELAY, 49999),
        (RELAY, 50100),
        (RELAY, 50050),
        (RELAY, 50060),
        (RELAY, 50070),
        (EXTERNAL, 3478),
        (EXTERNAL, 22),
        (EXTERNAL, 50050),
        (EXTERNAL, 50060),
        (RELAY_V6, 443),
        ("192.168.7.5", 50001),
        ("2a00:1450::9", 50001),
        ("8.8.4.4", 50001),
        ("127.0.0.1", 50001),
        ("1.2.3.4", 6379),
        ("1.2.3.4", 443),
        ("5.6.7.8", 443),
    ],
)
def test_own_infrastructure_is_refused_even_when_everything_is_allowed(host: str, port: int) -> None:
    """TR-5: listeners, other own addresses, databases; by the external address too."""
    assert refusal(OWN, host, port) is not None


@pytest.mark.parametrize(
    ("host", "wire"), [(RELAY, RELAY), (EXTERNAL, RELAY), (RELAY_V6, RELAY_V6), ("2A00:1450:0::5", RELAY_V6)]
)
def test_two_clients_of_one_server_reach_each_other(host: str, wire: str) -> None:
    """TR-5: own relay ports are open, also under the external address, which leads to the local one."""
    for port in (50000, 50099):
        verdict = OWN.check(SocketAddress(host, port), family_of(host))
        assert verdict.allowed
        assert verdict.wire_host == wire
    permission = OWN.check_permission(SocketAddress(host, 0), family_of(host))
    assert permission.allowed
    assert permission.allows_port(50000)
    assert not permission.allows_port(3478)
    assert not permission.allows_port(0)


def test_the_subnet_broadcast_addresses_of_own_networks_are_refused() -> None:
    """TR-1: 'subnet broadcast' is hard; a point-to-point network has none."""
    assert refusal(OWN, "192.168.7.255") == "broadcast"
    assert refusal(OWN, "192.168.7.0") == "broadcast"
    assert refusal(OWN, "192.168.7.254") is None
    assert refusal(OWN, "8.8.4.5") is None


@pytest.mark.parametrize("length", [32, 40, 48, 56, 64, 96])
def test_nat64_prefixes_of_the_operator_are_refused(length: int) -> None:
    """TR-1: RFC 6052 prefixes that are not well known."""
    prefix = ipaddress.ip_network(f"2a01:4f8::/{length}")
    policy = PeerPolicy(nat64_prefixes=(str(prefix),), allow=EVERYTHING)
    assert refusal(policy, str(prefix[0])) == "nat64"
    assert refusal(policy, str(prefix[-1])) == "nat64"
    assert refusal(policy, str(prefix[-1] + 1)) is None
    assert refusal(PeerPolicy(), str(prefix[0])) is None


LOOPBACK = PeerPolicy(
    relay_addresses=("127.0.0.1", "::1"),
    relay_ports=range(50000, 50100),
    own_addresses=("127.0.0.1/8", "::1/128"),
    own_listeners=frozenset({
        SocketAddress("127.0.0.1", 3478), SocketAddress("0.0.0.0", 9090), SocketAddress("::", 443),
        SocketAddress("::1", 3478),
    }),
    infrastructure=frozenset({SocketAddress("127.0.0.1", 6379), SocketAddress("127.0.0.9", 0)}),
    allow_loopback=True,
)  # fmt: skip


def test_the_loopback_switch_opens_exactly_loopback() -> None:
    """TR-1: 127.0.0.0/8 and ::1, and nothing that looks like them."""
    for host in ("127.0.0.0", "127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"):
        assert refusal(LOOPBACK, host, 40000) is None
        assert refusal(LOOPBACK, host, 50001) is None
    for host in REFUSED_ALWAYS:
        if host not in ("127.0.0.1", "127.255.255.254", "::1"):
            assert refusal(LOOPBACK, host, 40000) is not None, host
    for host in REFUSED_BY_DEFAULT:
        assert refusal(LOOPBACK, host, 40000) is not None, host


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 3478, "own-port"),
        ("127.0.0.1", 9090, "own-port"),
        ("127.0.0.2", 9090, "own-port"),
        ("127.0.0.2", 443, "own-port"),
        ("127.0.0.1", 6379, "own-port"),
        ("::1", 3478, "own-port"),
        ("::1", 443, "own-port"),
        ("127.0.0.2", 3478, None),
        ("127.0.0.2", 6379, None),
        ("127.0.0.9", 40000, "infrastructure"),
    ],
)
def test_the_loopback_switch_keeps_own_listeners_closed(host: str, port: int, reason: str | None) -> None:
    """TR-5: listener, admin and metrics ports stay denied; a wildcard listens on every loopback address."""
    assert refusal(LOOPBACK, host, port) == reason
    permission = LOOPBACK.check_permission(SocketAddress(host, 0), family_of(host))
    assert permission.allows_port(port) is (reason is None)


def test_the_deny_list_wins_over_the_loopback_switch() -> None:
    """TR-6: as over the allow list; what the list does not name stays open."""
    policy = replace(LOOPBACK, allow=EVERYTHING, deny=("127.0.0.2-127.0.0.3", "::1"))
    for host in ("127.0.0.2", "127.0.0.3", "::1"):
        assert refusal(policy, host, 40000) == "deny-list"
    for host in ("127.0.0.1", "127.0.0.4"):
        assert refusal(policy, host, 40000) is None
    assert refusal(replace(policy, deny=EVERYTHING), "127.0.0.1", 50001) == "deny-list"


def test_being_a_relay_address_opens_nothing_on_loopback_without_the_switch() -> None:
    """TR-1: loopback opens by the test switch only."""
    policy = PeerPolicy(
        relay_addresses=("127.0.0.1",), relay_ports=ALL_PORTS, external_addresses={"127.0.0.1": "8.8.8.8"}
    )
    assert refusal(policy, "127.0.0.1", 50001) == "loopback"
    assert refusal(policy, "8.8.8.8", 50001) == "own-address"


def test_an_external_address_on_loopback_leads_to_its_relay_address() -> None:
    policy = PeerPolicy(
        relay_addresses=("127.0.0.1",),
        relay_ports=range(50000, 50100),
        external_addresses={"127.0.0.1": "127.0.0.7"},
        allow_loopback=True,
    )
    assert policy.check(SocketAddress("127.0.0.7", 50001), V4).wire_host == "127.0.0.1"
    assert refusal(policy, "127.0.0.7", 40000) == "own-port"
    assert refusal(policy, "127.0.0.1", 40000) is None


def test_a_host_that_is_no_address_is_malformed() -> None:
    for host in ("", "localhost", "1.2.3", "1.2.3.4.5", "::1::"):
        with pytest.raises(MalformedError):
            PeerPolicy().check(SocketAddress(host, 1), V4)


def test_a_zone_changes_nothing() -> None:
    assert refusal(PeerPolicy(allow=EVERYTHING), "fe80::1%eth0") == "link-local"


# --- FZ-2 and FZ-1: properties and a slow second opinion -------------------------------------------------------------

addresses_v4 = st.one_of(
    st.ip_addresses(v=4).map(int),
    st.sampled_from([*HARD, *SPECIAL_PURPOSE])
    .filter(lambda rule: "." in rule.prefix)
    .flatmap(
        lambda rule: st.sampled_from(
            [
                max(0, int(ipaddress.ip_network(rule.prefix)[0]) - 1),
                int(ipaddress.ip_network(rule.prefix)[0]),
                int(ipaddress.ip_network(rule.prefix)[-1]),
                min(2**32 - 1, int(ipaddress.ip_network(rule.prefix)[-1]) + 1),
            ]
        )
    ),
)
addresses_v6 = st.one_of(
    st.ip_addresses(v=6).map(int),
    st.integers(0, 2**125 - 1).map(lambda low: 2**125 + low),
    st.integers(0, 2**32 - 1).flatmap(lambda v4: st.sampled_from(list(encodings(v4)))),
)


def encodings(v4: int) -> Iterator[int]:
    """Every IPv6 address that may carry the packet to the IPv4 address `v4`."""
    yield v4
    yield 0xFFFF << 32 | v4
    yield 0xFFFF << 48 | v4
    yield 0x0064FF9B << 96 | v4
    yield 0x0064FF9B0001 << 80 | v4
    yield 0x2002 << 112 | v4 << 80
    yield 0x2002 << 112 | v4 << 80 | 1
    yield 0x20010000 << 96 | v4 << 64 | 0xFFFFFFFF
    yield 0x20010000 << 96 | v4 ^ 0xFFFFFFFF
    for prefix in (0xFE80 << 112, 0x26064700 << 96, 0x2A0102030405 << 80):
        yield prefix | 0x00005EFE << 32 | v4
        yield prefix | 0x02005EFE << 32 | v4


def reference(address: ipaddress.IPv4Address | ipaddress.IPv6Address, allow: list[str], deny: list[str]) -> bool:
    """The table again, written another way: whether a policy without own addresses allows the address."""

    def within(*prefixes: str) -> bool:
        networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
        return any(address in network for network in networks if network.version == address.version)

    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or address.teredo
        if embedded is not None or address.packed[8:12] in (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"):
            return False
        if within("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48") or address.is_multicast:
            return False
        if address.is_link_local or address.is_site_local or address.is_loopback or address.is_unspecified:
            return False
        if within("fd00:ec2::/32", "fd20:ce::254/128"):
            return False
    else:
        if address.is_multicast or address.is_loopback or address.is_link_local or address.is_reserved:
            return False
        if within("0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24"):
            return False
    if within(*deny):
        return False
    if within(*allow):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        closed = within("2001::/23", "2001:db8::/32", "3fff::/20")
        return within("2000::/3") and not closed
    shared = within("100.64.0.0/10", "168.63.129.16/32", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    return not (shared or within("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"))


prefixes = st.one_of(
    st.tuples(addresses_v4, st.integers(0, 32)).map(lambda pair: str(ipaddress.ip_network(pair, strict=False))),
    st.tuples(st.integers(2**125, 2**126 - 1), st.integers(3, 128)).map(
        lambda pair: str(ipaddress.ip_network((ipaddress.IPv6Address(pair[0]), pair[1]), strict=False))
    ),
)


@given(st.one_of(addresses_v4.map(ipaddress.IPv4Address), addresses_v6.map(ipaddress.IPv6Address)),
       st.lists(prefixes, max_size=3), st.lists(prefixes, max_size=3))  # fmt: skip
@example(ipaddress.ip_address("168.63.129.16"), [], [])
@example(ipaddress.ip_address("2001:db8::1"), ["2001:db8::/64"], ["2001:db8::/128"])
def test_the_policy_agrees_with_a_slow_reference(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, allow: list[str], deny: list[str]
) -> None:
    """FZ-1: differential against the table written with `ipaddress`."""
    policy = PeerPolicy(allow=tuple(allow), deny=tuple(deny))
    assert (refusal(policy, str(address)) is None) == reference(address, allow, deny)


@given(addresses_v4, st.booleans())
def test_every_encoding_of_every_ipv4_address_is_refused(v4: int, everything: bool) -> None:
    """FZ-2: so that of a denied IPv4 address all are; a public one is never relayed on an IPv6 socket either."""
    policy = PeerPolicy(allow=EVERYTHING if everything else (), allow_loopback=True)
    for number in encodings(v4):
        host = canonical_host(str(ipaddress.IPv6Address(number)))
        if host == "::1":
            continue
        assert refusal(policy, host) is not None


@given(st.one_of(addresses_v4.map(ipaddress.IPv4Address), addresses_v6.map(ipaddress.IPv6Address)),
       st.integers(1, 65535), st.sampled_from([OWN, LOOPBACK, PeerPolicy()]))  # fmt: skip
def test_all_methods_decide_alike(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, policy: PeerPolicy
) -> None:
    """FZ-2: a permission without a port, asked again for the port, says what a channel is told."""
    host, family = str(address), family_of(str(address))
    verdict = policy.check(SocketAddress(host, port), family)
    assert policy.check_permission(SocketAddress(host, port), family) == verdict
    assert policy.check_permission(SocketAddress(host, 0), family).allows_port(port) is verdict.allowed


def test_a_flood_of_hosts_is_not_remembered() -> None:
    policy = PeerPolicy(deny=("8.0.0.0/16",))
    for number in range(2 * MAX_VERDICTS + 10):
        assert not policy.check_host(f"8.0.{number >> 8 & 255}.{number & 255}", AddressFamily.IPV4).allowed
    assert len(policy._verdicts) <= MAX_VERDICTS
    assert not policy.check_host("8.0.0.0", AddressFamily.IPV4).allowed
