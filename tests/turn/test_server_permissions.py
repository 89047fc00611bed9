"""CreatePermission (RFC 8656 section 10.2), and the peer policy through every method that names a peer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icelane.core.net import AddressFamily, SocketAddress, Transport, canonical_host, family_of
from icelane.stun.attributes import AttributeType, encode_xor_address
from icelane.stun.message import Method
from icelane.testing.peers import ALLOWED, ALLOWED_NEIGHBOURS, REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.allocation import MAX_PERMISSIONS, EndReason
from icelane.turn.attributes import encode_address_family
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.routes import (
    InstallChannelRoute,
    InstallPermissionRoute,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.translation import build_send_indication
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    PEER_V6,
    RELAY,
    RELAY_V6,
    SERVER,
    SERVER_V6,
    Attribute,
    Caller,
    Reply,
    ServerDriver,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

IPV6 = (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
BOTH = (AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
KINDS: dict[str, list[Attribute]] = {"ipv4": [], "ipv6": [IPV6], "both": [BOTH]}
# What the vectors are judged by here has nothing of its own among them.
RELAYS = (RELAY, RELAY_V6)

Ask = Callable[[Caller, SocketAddress], Reply]
METHODS: dict[str, Ask] = {
    "CreatePermission": lambda caller, peer: caller.permit(peer),
    "CreatePermission without port": lambda caller, peer: caller.permit(peer._replace(port=0)),
    "CreatePermission among others": lambda caller, peer: caller.permit(_good(caller), peer, _good(caller)),
    "ChannelBind": lambda caller, peer: caller.bind(0x4001, peer),
}
each_method = pytest.mark.parametrize("ask", METHODS.values(), ids=METHODS.keys())


def _good(caller: Caller) -> SocketAddress:
    allocation = caller.driver.allocation(caller)
    assert allocation is not None
    return PEER if AddressFamily.IPV4 in allocation.relays else PEER_V6


def routes(driver: ServerDriver) -> list[object]:
    """Every command that ever let traffic through."""
    return [one for one in driver.plane.commands if isinstance(one, (InstallPermissionRoute, InstallChannelRoute))]


def installed(driver: ServerDriver) -> set[str]:
    return {host for _, _, host in driver.plane.permissions}


@each_method
@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("kind", KINDS)
def test_no_closed_peer_gets_a_route_by_any_method(ask: Ask, transport: Transport, kind: str) -> None:
    """TR-1: every closed address, on IPv4 and IPv6 allocations, from UDP, TCP and TLS clients. A Send goes by the
    permission routes alone, so where there is none nothing can leave.
    """
    driver = ServerDriver(policy=PeerPolicy(relay_addresses=RELAYS))
    caller = driver.caller(path=path_from(transport=transport))
    assert caller.allocate(*KINDS[kind]).code is None
    for host in (*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT):
        peer = SocketAddress(canonical_host(host), 80)
        relayed = kind == "both" or kind == peer.family.name.lower()
        assert ask(caller, peer).code == (403 if relayed else 443), host
        assert driver.send(build_send_indication(peer, b"payload", b"t" * 12), caller.path) is None
    assert not routes(driver)
    driver.close()


@each_method
def test_open_peers_get_their_route(ask: Ask) -> None:
    """TR-1: the rows that are allowed, and the addresses just outside the closed ranges."""
    driver = ServerDriver(policy=PeerPolicy(relay_addresses=RELAYS))
    for host in (*ALLOWED, *ALLOWED_NEIGHBOURS):
        caller = driver.caller()
        caller.allocate(BOTH)
        assert ask(caller, SocketAddress(canonical_host(host), 80)).code is None, host
        assert canonical_host(host) in installed(driver)
        caller.release()
    driver.close()


@each_method
@pytest.mark.parametrize(("kind", "peer"), [("ipv4", PEER_V6), ("ipv6", PEER)])
def test_a_peer_of_the_family_that_is_not_allocated_is_443(ask: Ask, kind: str, peer: SocketAddress) -> None:
    """TR-1."""
    driver = ServerDriver()
    caller = driver.caller()
    caller.allocate(*KINDS[kind])
    assert ask(caller, peer).code == 443
    assert not routes(driver)


def test_one_denied_peer_among_six_denies_all() -> None:
    """TR-3: wherever it stands in the list."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    good = [SocketAddress(f"8.8.8.{number}", 53) for number in range(5)]
    for place in range(6):
        peers = [*good[:place], SocketAddress("127.0.0.1", 53), *good[place:]]
        assert alice.permit(*peers).code == 403
        peers = [*good[:place], PEER_V6, *good[place:]]
        assert alice.permit(*peers).code == 443
    assert not routes(driver)
    assert alice.permit(*good).code is None
    assert installed(driver) == {peer.host for peer in good}


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([], 400),
        ([(AttributeType.XOR_PEER_ADDRESS, b"")], 400),
        ([PEER, (AttributeType.XOR_PEER_ADDRESS, b"\0\1\0\0\0")], 400),
        ([PEER, (AttributeType.XOR_PEER_ADDRESS, b"\0\3\0\0\0\0\0\0")], 400),
        ([PEER, (AttributeType.XOR_RELAYED_ADDRESS, bytes(8))], 420),
    ],
)
def test_a_permission_for_nobody_is_refused(attributes: list[Attribute], code: int) -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    assert alice.request(Method.CREATE_PERMISSION, *attributes).code == code
    assert not routes(driver)


@each_method
def test_without_an_allocation_it_is_437(ask: Ask) -> None:
    driver = ServerDriver()
    caller = driver.caller()
    other = driver.caller()
    other.allocate()
    if ask is METHODS["CreatePermission among others"]:
        assert caller.permit(PEER, OTHER_PEER).code == 437
    else:
        assert ask(caller, PEER).code == 437
    assert not routes(driver)


# TR-5: what is ours


@each_method
@pytest.mark.parametrize(
    "peer",
    [
        SocketAddress("10.0.0.5", 3478),
        SocketAddress("10.0.0.5", 22),
        SocketAddress("9.9.9.10", 443),
        SocketAddress("9.9.9.10", 50001),
        SocketAddress("11.0.0.1", 6379),
        SocketAddress("11.0.0.1", 80),
        SocketAddress("2620:fe::10", 3478),
    ],
)
def test_our_own_services_are_closed(ask: Ask, peer: SocketAddress) -> None:
    """TR-5: listeners, other addresses of this host, databases; an allow list does not open them."""
    driver = ServerDriver(
        policy=PeerPolicy(
            relay_addresses=RELAYS,
            own_addresses=("10.0.0.5/24", "9.9.9.10", "2620:fe::10"),
            own_listeners=frozenset((SocketAddress("10.0.0.5", 3478), SERVER)),
            infrastructure=frozenset((SocketAddress("11.0.0.1", 6379),)),
            allow=("0.0.0.0/0", "::/0"),
        )
    )
    caller = driver.caller()
    caller.allocate(BOTH)
    assert ask(caller, peer).code == 403
    assert not routes(driver)


@pytest.mark.parametrize("own", [SERVER, SERVER_V6])
def test_of_a_relay_address_only_the_relay_ports_are_open(own: SocketAddress) -> None:
    """TR-5: the TURN port on the same address stays closed, also behind a permission without a port."""
    driver = ServerDriver()
    caller = driver.caller()
    caller.allocate(BOTH)
    for port in (1, 22, own.port, 49999, 60000, 65535):
        assert caller.permit(own._replace(port=port)).code == 403
        assert caller.bind(0x4000, own._replace(port=port)).code == 403
    assert caller.permit(own._replace(port=0)).code is None
    assert caller.bind(0x4000, own._replace(port=0)).code == 403
    ((_, route),) = driver.plane.permissions.items()
    assert [port for port in range(65536) if route.verdict.allows_port(port)] == list(range(50000, 60000))


def test_two_clients_of_one_server_reach_each_other() -> None:
    """TR-5: relay to relay, on the own public address."""
    driver = ServerDriver()
    alice, bob = driver.caller(), driver.caller("bob")
    relay_of_alice, relay_of_bob = alice.allocate().relayed[0], bob.allocate().relayed[0]
    assert alice.permit(relay_of_bob).code is None
    assert bob.bind(0x4000, relay_of_alice).code is None
    assert driver.plane.channels[bob.path, 0x4000].wire_peer == relay_of_alice
    driver.close()


def test_behind_a_nat_clients_name_the_external_address_and_the_plane_uses_the_local_one() -> None:
    """TR-5: 1:1 NAT."""
    driver = ServerDriver(relay_addresses=("10.0.0.5",), external_addresses={"10.0.0.5": "9.9.9.9"})
    alice, bob = driver.caller(), driver.caller("bob")
    alice.allocate()
    relay_of_bob = bob.allocate().relayed[0]
    assert relay_of_bob.host == "9.9.9.9"
    assert alice.permit(relay_of_bob).code is None
    assert alice.bind(0x4000, relay_of_bob).code is None
    (permission,) = driver.plane.permissions.values()
    (channel,) = driver.plane.channels.values()
    assert (permission.peer_host, permission.verdict.wire_host) == ("9.9.9.9", "10.0.0.5")
    assert (channel.peer, channel.wire_peer) == (relay_of_bob, SocketAddress("10.0.0.5", relay_of_bob.port))
    driver.close()


# TR-6: the allow list


@each_method
def test_the_allow_list_opens_what_is_closed_by_default_and_nothing_else(ask: Ask) -> None:
    """TR-6."""
    everything = ("0.0.0.0/0", "::/0")
    driver = ServerDriver(policy=PeerPolicy(relay_addresses=RELAYS, allow=everything, deny=("10.9.0.0/16",)))
    for host in (*REFUSED_ALWAYS, "10.9.1.1"):
        caller = driver.caller()
        caller.allocate(BOTH)
        assert ask(caller, SocketAddress(canonical_host(host), 80)).code == 403, host
        caller.release()
    assert not routes(driver)
    for host in REFUSED_BY_DEFAULT:
        caller = driver.caller()
        caller.allocate(BOTH)
        assert ask(caller, SocketAddress(canonical_host(host), 80)).code is None, host
        caller.release()
    driver.close()


# TR-7: a reload


def test_a_new_policy_ends_what_it_refuses_at_once() -> None:
    """TR-7: permissions and channels to a denied peer stop; the others and the allocation stay."""
    driver = ServerDriver()
    alice, bob = driver.caller(), driver.caller("bob")
    for caller in (alice, bob):
        caller.allocate(BOTH)
        caller.permit(PEER, OTHER_PEER, PEER_V6)
        caller.bind(0x4000, PEER)
        caller.bind(0x4001, PEER._replace(port=5001))
        caller.bind(0x4002, OTHER_PEER)
    driver.engine.set_peer_policy(PeerPolicy(relay_addresses=RELAYS, deny=(f"{PEER.host}/32",)))
    driver.drain()
    assert installed(driver) == {OTHER_PEER.host, PEER_V6.host}
    assert {number for _, number in driver.plane.channels} == {0x4002}
    assert len(driver.engine.allocations) == 2
    assert alice.permit(PEER).code == 403
    assert alice.bind(0x4000, PEER).code == 403
    # The number is free again, and so is the peer once it is allowed.
    assert alice.bind(0x4000, OTHER_PEER._replace(port=1)).code is None
    driver.engine.set_peer_policy(PeerPolicy(relay_addresses=RELAYS))
    driver.drain()
    assert alice.bind(0x4001, PEER).code is None
    driver.close()


def test_a_new_policy_that_closes_a_port_narrows_the_permission() -> None:
    """TR-7: a permission has no port, so its route is replaced; a channel has one, and ends."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    bob = driver.caller("bob").allocate().relayed[0]
    alice.permit(bob)
    alice.bind(0x4000, bob)
    narrower = PeerPolicy(relay_addresses=RELAYS, relay_ports=range(50000, bob.port))
    driver.engine.set_peer_policy(narrower)
    driver.drain()
    (route,) = driver.plane.permissions.values()
    assert not route.verdict.allows_port(bob.port)
    assert route.verdict.allows_port(bob.port - 1)
    assert not driver.plane.channels
    driver.close()


def test_a_policy_that_changes_nothing_tells_the_plane_nothing() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.permit(PEER)
    before = list(driver.plane.commands)
    driver.engine.set_peer_policy(driver.policy)
    driver.drain()
    assert driver.plane.commands == before


# TR-8: expiry


def test_a_permission_expires_after_five_minutes_without_any_traffic() -> None:
    """TR-8."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.permit(PEER)
    driver.advance(100)
    alice.permit(OTHER_PEER)
    driver.advance(199.999)
    assert installed(driver) == {PEER.host, OTHER_PEER.host}
    driver.advance(0.001)
    assert installed(driver) == {OTHER_PEER.host}
    driver.advance(100)
    assert not installed(driver)
    assert driver.allocation(alice) is not None


def test_asking_again_is_what_keeps_a_permission() -> None:
    """TR-8: for any port of the peer; refreshing the allocation does not."""
    driver = ServerDriver(config=settings(permission_lifetime=4.0))
    alice = driver.caller()
    alice.allocate()
    alice.permit(PEER)
    for port in range(1, 6):
        driver.advance(3)
        assert alice.permit(PEER._replace(port=port)).code is None
        assert installed(driver) == {PEER.host}
    driver.advance(3)
    alice.refresh()
    driver.advance(1)
    assert not installed(driver)


@pytest.mark.parametrize("end", ["refresh", "expiry", "revoked", "closed"])
def test_whatever_ends_an_allocation_ends_its_permissions_first(end: str) -> None:
    """TR-8, TR-12: the plane checks that no route outlives its relay."""
    driver = ServerDriver()
    alice = driver.caller(path=path_from(transport=Transport.TCP))
    bob = driver.caller("bob")
    for caller in (alice, bob):
        caller.allocate(BOTH)
        caller.permit(PEER, OTHER_PEER, PEER_V6)
        caller.bind(0x4000, PEER)
        caller.bind(0x4001, PEER_V6)
    driver.advance(1)
    bob.allocate()
    match end:
        case "refresh":
            alice.refresh(lifetime(0))
            reason = EndReason.REFRESHED_TO_ZERO
        case "expiry":
            bob.refresh(lifetime(3600))
            driver.advance(250)
            bob.permit(PEER, OTHER_PEER, PEER_V6)
            driver.advance(250)
            bob.permit(PEER, OTHER_PEER, PEER_V6)
            bob.bind(0x4000, PEER)
            bob.bind(0x4001, PEER_V6)
            driver.advance(100)
            reason = EndReason.EXPIRED
        case "revoked":
            assert driver.engine.revoke(lambda allocation: allocation.username == "alice") == 1
            driver.drain()
            reason = EndReason.REVOKED
        case _:
            driver.disconnect(alice.path)
            reason = EndReason.CONNECTION_CLOSED
    assert [(event.client, event.reason) for event in driver.ended] == [(alice.path, reason)]
    assert {path for path, _, _ in driver.plane.permissions} == {bob.path}
    assert {path for path, _ in driver.plane.channels} == {bob.path}
    assert set(driver.plane.owners.values()) == {bob.path}
    removed = [one for one in driver.plane.commands if isinstance(one, (RemovePermissionRoute, RemoveChannelRoute))]
    assert {one.route.client for one in removed} == {alice.path} or end == "expiry"
    driver.close()


# TR-13, TQ-7


def test_the_engine_answers_no_answer() -> None:
    """TR-13: what the server sends, sent back to it, dies there; so no loop can live on its packets."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    alice.allocate()
    alice.permit(PEER)
    alice.bind(0x3FFF, PEER)
    assert len(driver.sent) == 4
    for _, data in list(driver.sent):
        assert driver.send(data, alice.path) is None
        assert driver.send(data, path_from(RELAY, 50001)) is None


def test_permissions_have_a_bound_and_the_rest_goes_on() -> None:
    """TQ-7: 508 beyond 1,024, and nothing of such a request is kept."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    hosts = [SocketAddress(f"11.0.{number // 250}.{number % 250 + 1}", 1) for number in range(MAX_PERMISSIONS + 1)]
    for start in range(0, MAX_PERMISSIONS - 24, 100):
        assert alice.permit(*hosts[start : start + 100]).code is None
    assert alice.permit(*hosts[1000:]).code == 508
    assert len(installed(driver)) == 1000
    assert alice.permit(*hosts[1000:MAX_PERMISSIONS]).code is None
    assert alice.permit(hosts[-1]).code == 508
    assert alice.bind(0x4000, hosts[-1]).code == 508
    assert not driver.plane.channels
    assert alice.permit(*hosts[:100]).code is None
    assert alice.bind(0x4000, hosts[0]).code is None
    assert len(installed(driver)) == MAX_PERMISSIONS
    assert driver.engine.allocations.timers == 1 + MAX_PERMISSIONS + 1
    driver.close()


def test_the_same_peer_many_times_is_one_permission() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    assert alice.permit(*[PEER._replace(port=port) for port in range(1000)]).code is None
    assert len(driver.plane.permissions) == 1


def test_an_address_is_one_key_however_it_is_written() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate(BOTH)
    value = encode_xor_address(SocketAddress("2606:4700:0::1111", 1), b"t" * 12)
    alice.permit(PEER_V6)
    alice.request(Method.CREATE_PERMISSION, (AttributeType.XOR_PEER_ADDRESS, value), transaction_id=b"t" * 12)
    assert installed(driver) == {PEER_V6.host}
    assert family_of(PEER_V6.host) is AddressFamily.IPV6
