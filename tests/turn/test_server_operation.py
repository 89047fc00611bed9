"""Settings that change, credentials that are taken back, and the end of a server, through the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.core.net import SocketAddress, Transport
from icelane.stun.attributes import AttributeType, parse_address, parse_text
from icelane.stun.message import Method
from icelane.turn.credentials import MAX_LEEWAY, CredentialStore, Secret
from icelane.turn.refusal import Alternate
from icelane.turn.revocation import Revocation
from icelane.turn.server_config import TurnServerConfig
from tests.scale import scaled
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    UDP_RELAY,
    USERS,
    Caller,
    ServerDriver,
    credentials,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

OLD = Secret("k1", "q5Vn0nJ3rX8sZk2LwT7yBd4E")
NEW = Secret("k2", "Wm8cR1xTf6Yh0pLd3sKv9aZu")
ALTERNATE = SocketAddress("203.0.113.9", 3478)


def reconfigure(
    driver: ServerDriver,
    store: CredentialStore | None = None,
    revoked: frozenset[Revocation] = frozenset(),
    **changes: object,
) -> int:
    config = replace(settings(**changes), policy=changes.get("policy", driver.policy))  # type: ignore[arg-type]
    assert isinstance(config, TurnServerConfig)
    ended = driver.engine.reconfigure(config, store or credentials(USERS), revoked, driver.clock.now)
    driver.drain()
    return ended


def revoke(driver: ServerDriver, name: str = "", kid: str = "") -> int:
    ended = driver.engine.revoke_credential(Revocation(name, kid), driver.clock.now)
    driver.drain()
    return ended


def guest(driver: ServerDriver, user: str, secret: Secret = OLD, ttl: int = 600, *, kid: bool = True) -> Caller:
    expiry = int(driver.clock.unix_time(driver.clock.now)) + ttl
    name = f"{expiry}:{secret.kid}:{user}" if kid else f"{expiry}:{user}"
    return driver.caller(name, secret.password(name))


# Reload


def test_a_reload_that_changes_nothing_touches_nobody() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.bind(0x4000, PEER)
    before = list(driver.plane.commands)
    for _ in range(50):
        assert reconfigure(driver) == 0
    assert driver.plane.commands == before
    assert alice.refresh().code is None
    assert [refusal.reason for refusal in driver.refusals] == ["no-credentials"]
    driver.close()


def test_a_peer_that_is_denied_by_a_reload_is_cut_off_at_once() -> None:
    """TR-7: permissions and channels to it end; others stay."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.bind(0x4000, PEER)
    alice.bind(0x4001, OTHER_PEER)
    narrower = type(driver.policy)(relay_addresses=("9.9.9.9", "2620:fe::9"), deny=(f"{PEER.host}/32",))
    reconfigure(driver, policy=narrower)
    assert {route.peer for route in driver.plane.channels.values()} == {OTHER_PEER}
    assert {host for _, _, host in driver.plane.permissions} == {OTHER_PEER.host}
    assert alice.permit(PEER).code == 403
    driver.close()


def test_new_limits_bind_whoever_comes_next() -> None:
    driver = ServerDriver()
    callers = [driver.caller() for _ in range(4)]
    assert [caller.allocate().code for caller in callers[:3]] == [None] * 3
    reconfigure(driver, allocations_per_user=2)
    assert callers[3].allocate().code == 486
    assert all(caller.refresh().code is None for caller in callers[:3])
    reconfigure(driver, allocations_per_user=4)
    assert callers[3].allocate().code is None
    reconfigure(driver, allocations_total=4)
    assert driver.caller("bob").allocate().code == 508
    driver.close()


def test_a_static_user_who_is_removed_by_a_reload_is_gone() -> None:
    """TR-12: his allocations end and his password is refused; nobody else notices."""
    driver = ServerDriver()
    alice, bob = driver.caller(), driver.caller("bob")
    assert alice.allocate().code is None
    assert bob.allocate().code is None
    assert reconfigure(driver, credentials({"bob": USERS["bob"]})) == 1
    assert [(one.username, one.reason.value) for one in driver.ended] == [("alice", "revoked")]
    assert alice.refresh().code == 401
    assert alice.allocate().code == 401
    assert bob.refresh().code is None
    driver.close()


def test_a_secret_that_is_removed_by_a_reload_ends_nothing() -> None:
    """TA-11: both secrets work side by side; the old one's credentials begin nothing more, and lose nothing."""
    driver = ServerDriver(secrets=[OLD])
    old = guest(driver, "carol", OLD)
    assert old.allocate().code is None
    reconfigure(driver, credentials({}, [NEW, OLD]))
    assert guest(driver, "dave", OLD).allocate().code is None
    assert guest(driver, "dave", NEW).allocate().code is None
    assert reconfigure(driver, credentials({}, [NEW])) == 0
    assert guest(driver, "erin", OLD).allocate().code == 401
    assert old.refresh().code is None
    assert old.permit(PEER).code is None
    assert len(driver.engine.allocations) == 3
    driver.close()


def test_strict_expiry_that_is_switched_on_ends_what_has_expired() -> None:
    """TA-9: and what expires later, then; switched off again, it ends nothing more."""
    driver = ServerDriver(secrets=[OLD])
    short, long = guest(driver, "a", ttl=100), guest(driver, "b", ttl=400)
    assert short.allocate().code is None
    assert long.allocate().code is None
    driver.advance(200)
    assert len(driver.engine.allocations) == 2
    assert reconfigure(driver, credentials({}, [OLD]), strict_expiry=True) == 1
    reconfigure(driver, credentials({}, [OLD]), strict_expiry=False)
    driver.advance(250)
    assert len(driver.engine.allocations) == 1
    driver.close()


def test_between_any_two_reloads_everybody_is_judged_by_the_later_one() -> None:
    """OP-12: ten thousand reloads, scaled; who is in both configurations never notices, who is in one of them does."""
    driver = ServerDriver()
    alice = driver.caller()
    assert alice.allocate().code is None
    stores = [credentials({"alice": "secret"}), credentials({"alice": "secret", "bob": "hunter2"})]
    bob = driver.caller("bob", "hunter2")
    for number in range(scaled(10_000)):
        reconfigure(driver, stores[number % 2], allocations_per_user=1 + number % 2)
        assert alice.refresh().code is None
        if number % 10 < 2:
            driver.advance(1)  # for the throttle, since a name that nobody has is a guess
            assert bob.allocate().code == (None if number % 2 else 401)
            if number % 2:
                assert bob.release().code is None
    driver.close()


# Revocation


@pytest.mark.parametrize("kid", [True, False])
@pytest.mark.parametrize("by", ["username", "user", "kid"])
def test_a_revoked_credential_ends_now_and_is_refused_until_it_expires(by: str, kid: bool) -> None:
    """TR-12: by user name, user or secret; the second that the revocation takes is long."""
    driver = ServerDriver(secrets=[OLD, NEW])
    carol = guest(driver, "carol", kid=kid)
    dave = guest(driver, "dave", NEW)
    assert carol.allocate().code is None
    assert dave.allocate().code is None
    arguments = {"username": {"name": carol.username}, "user": {"name": "carol"}, "kid": {"kid": "k1"}}[by]
    assert revoke(driver, **arguments) == 1
    assert carol.refresh().code == 401
    assert driver.refusals[-1].reason == "revoked"
    assert carol.allocate().code == 401
    again = driver.caller(carol.username, carol.password)
    assert again.allocate().code == 401
    assert dave.refresh().code is None
    # One credential is forgotten with its end; a user may have others of any length, and a secret signs new ones.
    driver.advance(600 - 1)
    assert dave.refresh().code is None
    driver.advance(100 * 86_400)
    later = guest(driver, "carol", kid=kid).allocate().code
    assert later == (None if by == "username" else 401)
    driver.close()


def test_a_revoked_user_does_not_come_back_with_a_credential_that_lives_for_long() -> None:
    """TR-12: other programs issue what they like, and `expiry_leeway` makes it live longer still."""
    driver = ServerDriver(secrets=[OLD], leeway=3600)
    issued = guest(driver, "carol", ttl=7 * 86_400)
    assert revoke(driver, "carol") == 0
    for days in (0, 1, 6):
        driver.advance(days * 86_400 + 60)
        assert driver.caller(issued.username, issued.password).allocate().code == 401
        assert driver.refusals[-1].reason == "revoked"
    driver.close()


def test_a_revoked_credential_is_refused_to_the_end_of_the_leeway() -> None:
    """TR-12: its last second included."""
    driver = ServerDriver(secrets=[OLD], leeway=3600)
    issued = guest(driver, "carol", ttl=60)
    revoke(driver, issued.username)
    driver.advance(60 + 3600)
    assert driver.caller(issued.username, issued.password).allocate().code == 401
    assert driver.refusals[-1].reason == "revoked"
    driver.close()


@pytest.mark.parametrize("allocated", [True, False])
def test_a_revoked_credential_does_not_come_back_with_a_leeway_that_is_raised(allocated: bool) -> None:
    """TR-12: a reload may give it another hour after its end was noted."""
    driver = ServerDriver(secrets=[OLD])
    issued = guest(driver, "carol", ttl=60)
    if allocated:
        assert issued.allocate().code is None
    assert revoke(driver, issued.username) == allocated
    driver.advance(60 + 10)
    reconfigure(driver, credentials({}, [OLD], leeway=MAX_LEEWAY))
    assert driver.caller(issued.username, issued.password).allocate().code == 401
    assert driver.refusals[-1].reason == "revoked"
    driver.advance(MAX_LEEWAY - 10)  # its last second, now
    assert driver.caller(issued.username, issued.password).allocate().code == 401
    assert driver.refusals[-1].reason == "revoked"
    driver.close()


def test_one_of_several_credentials_of_a_user_may_be_revoked() -> None:
    """TR-12: a user name is one credential."""
    driver = ServerDriver(secrets=[OLD])
    lost, kept = guest(driver, "carol", ttl=600), guest(driver, "carol", ttl=601)
    assert lost.allocate().code is None
    assert kept.allocate().code is None
    assert revoke(driver, lost.username) == 1
    assert lost.allocate().code == 401
    assert kept.refresh().code is None
    driver.close()


def test_a_static_user_is_revoked_for_as_long_as_the_server_runs() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    assert revoke(driver, "alice") == 1
    driver.advance(10 * 86_400)
    assert driver.caller().allocate().code == 401
    assert driver.caller("bob").allocate().code is None
    driver.close()


def test_the_list_of_the_configuration_counts_as_long_as_it_stands() -> None:
    """TR-12: the reload ends what is listed, and whoever is taken out of the list may come again."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    assert reconfigure(driver, revoked=frozenset({Revocation("alice")})) == 1
    assert alice.allocate().code == 401
    assert reconfigure(driver) == 0
    assert alice.allocate().code is None
    driver.close()


def test_an_allocation_that_is_being_made_is_revoked_too() -> None:
    driver = ServerDriver()
    driver.plane.answer = lambda _: None
    alice = driver.caller()
    assert alice.send(alice.build(Method.ALLOCATE, UDP_RELAY)) is None
    revoke(driver, "alice")
    driver.plane.held.clear()  # the plane has been told to release what it may have bound
    driver.assert_nothing_is_left()


def test_revoking_somebody_does_not_tell_a_guesser_his_password() -> None:
    """The answer to a right and to a wrong password is the same."""
    driver = ServerDriver()
    revoke(driver, "alice")
    right, wrong = driver.caller(), driver.caller(password="guess")
    replies = [caller.allocate() for caller in (right, wrong)]
    assert [reply.code for reply in replies] == [401, 401]
    assert len(replies[0].message.raw) == len(replies[1].message.raw)
    driver.close()


# Drain


def test_a_server_that_drains_begins_nothing_and_ends_nothing() -> None:
    """OP-1: 508 to new allocations, everything else as before, and a lost answer is still repeated."""
    driver = ServerDriver()
    alice = driver.caller()
    request = alice.build(Method.ALLOCATE, UDP_RELAY)
    first = alice.send(request)
    driver.engine.drain()
    again = alice.send(request)
    assert first is not None
    assert again is not None
    assert first.message.raw == again.message.raw
    refused = driver.caller("bob").allocate()
    assert refused.code == 508
    assert not refused.has(AttributeType.ALTERNATE_SERVER)
    assert driver.refusals[-1].reason == "draining"
    assert alice.bind(0x4000, PEER).code is None
    for _ in range(5):
        driver.advance(300)
        assert alice.refresh().code is None
    assert alice.release().code is None
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("transport", Transport)
def test_a_server_that_drains_names_another_of_the_clients_family(transport: Transport) -> None:
    """OP-1: 508 with ALTERNATE-SERVER over every transport, signed, since whoever redirects must be known."""
    driver = ServerDriver()
    driver.engine.drain(frozenset({Alternate(ALTERNATE, "b.example.org")}))
    reply = driver.caller(path=path_from(transport=transport)).allocate()
    assert reply.code == 508
    assert parse_address(reply[AttributeType.ALTERNATE_SERVER]) == ALTERNATE
    assert parse_text(reply[AttributeType.ALTERNATE_DOMAIN]) == "b.example.org"
    assert reply.message.integrity_offset is not None
    other_family = driver.caller(path=path_from("2001:db8::1", transport=transport)).allocate()
    assert other_family.code == 508
    assert not other_family.has(AttributeType.ALTERNATE_SERVER)
    assert not other_family.has(AttributeType.ALTERNATE_DOMAIN)
    driver.close()


def test_an_alternate_server_without_a_name_is_named_by_its_address() -> None:
    """OP-1."""
    driver = ServerDriver()
    driver.engine.drain(frozenset({Alternate(ALTERNATE)}))
    reply = driver.caller().allocate()
    assert reply.has(AttributeType.ALTERNATE_SERVER)
    assert not reply.has(AttributeType.ALTERNATE_DOMAIN)
    driver.close()


def test_the_clock_of_revocations_is_the_calendar() -> None:
    """OP-7: a calendar that is set ahead forgives what it has let expire, no more."""
    driver = ServerDriver(secrets=[OLD])
    issued = guest(driver, "carol", ttl=60)
    revoke(driver, issued.username)
    driver.clock.step_wall(61)
    assert issued.allocate().code == 401
    assert driver.refusals[-1].reason == "expired"
    driver.clock.step_wall(-61)
    assert driver.caller(issued.username, issued.password).allocate().code == 401
    assert driver.refusals[-1].reason == "revoked"
    driver.close()
