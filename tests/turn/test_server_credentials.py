"""Ephemeral credentials, rotation, guessing and strange names through the engine."""

from __future__ import annotations

import pytest

from icelane.stun.attributes import (
    AttributeType,
    PasswordAlgorithm,
)
from icelane.stun.message import Method
from icelane.testing.clock import VirtualClock
from icelane.turn.allocation import EndReason
from icelane.turn.credentials import Minted, Secret, mint
from icelane.turn.throttle import ATTACKED_FAILURES, SOURCE_FAILURES, USER_FAILURES
from tests.turn.server_driver import (
    PEER,
    UDP_RELAY,
    USERS,
    Attribute,
    Caller,
    ServerDriver,
    credentials,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

OLD = Secret("old", "the old secret is long enough")
NEW = Secret("new", "the new secret is long enough")
SHA256 = PasswordAlgorithm.SHA256
# What str.isdigit and int() take for a number too.
FULL_WIDTH = "1800000600:u".translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})


def guest(driver: ServerDriver, minted: Minted, **where: object) -> Caller:
    """A client with an ephemeral credential."""
    return driver.caller(minted.username, minted.password, **where)  # type: ignore[arg-type]  # `path` or `algorithm`


def minted_for(driver: ServerDriver, user: str = "carol", ttl: float = 600, secret: Secret = OLD) -> Minted:
    return mint(secret, user, ttl, driver.clock.unix_time(driver.clock.now))


# TA-8 to TA-11: ephemeral credentials


@pytest.mark.parametrize(
    "name",
    ["+1800000600:u", "-1:u", " 1800000600:u", "1_800_000_600:u", FULL_WIDTH, "18e8:u", ":u", "u", "",
     "1800000600", f"{10**18}:u", "9" * 400 + ":u", "1800000600:", "0x7fffffff:u", "1800000600.0:u", "1800000600\t:u"],
)  # fmt: skip
def test_a_name_whose_expiry_is_not_plain_digits_is_401(name: str) -> None:
    """TA-8: int() takes signs, spaces, underscores and digits of every script. The password is the right one."""
    driver = ServerDriver(secrets=[OLD])
    caller = driver.caller(name, OLD.password(name))
    reply = caller.request(Method.ALLOCATE, UDP_RELAY)
    assert reply.code == 401
    assert reply.has(AttributeType.NONCE)
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("name", ["1800000600:u", "1800000600:old:u", "1800000600:nobodys-kid:u", "999999999999:u:v:w"])
def test_the_forms_that_issuers_use_are_let_in(name: str) -> None:
    """TA-8."""
    driver = ServerDriver(secrets=[OLD])
    assert driver.caller(name, OLD.password(name)).allocate().code is None


def test_an_expired_credential_begins_nothing() -> None:
    """TA-9: by one second."""
    driver = ServerDriver(secrets=[OLD])
    carol = guest(driver, minted_for(driver, ttl=600))
    driver.advance(600)
    assert carol.allocate().code is None
    assert carol.release().code is None
    driver.advance(1)
    reply = carol.allocate()
    assert reply.code == 401
    assert driver.refusals[-1].reason == "expired"
    driver.assert_nothing_is_left()


def test_by_default_what_was_begun_in_time_goes_on() -> None:
    """TA-9: expiry is looked at by Allocate only."""
    driver = ServerDriver(secrets=[OLD])
    carol = guest(driver, minted_for(driver, ttl=60))
    carol.allocate()
    for _ in range(5):
        driver.advance(500)
        assert carol.refresh().code is None
        assert carol.permit(PEER).code is None
        assert carol.bind(0x4000, PEER).code is None
    assert carol.release().code is None
    assert carol.allocate().code == 401
    driver.assert_nothing_is_left()


def test_strict_expiry_ends_the_allocation_with_the_credential() -> None:
    """TA-9: strict mode; without any traffic, at once."""
    driver = ServerDriver(secrets=[OLD], config=settings(strict_expiry=True))
    carol = guest(driver, minted_for(driver, ttl=60))
    assert carol.allocate().code is None
    carol.bind(0x4000, PEER)
    driver.advance(59)
    assert carol.refresh().code is None
    driver.advance(2)
    assert [event.reason for event in driver.ended] == [EndReason.CREDENTIAL_EXPIRED]
    driver.assert_nothing_is_left()
    assert carol.refresh().code == 401


def test_strict_expiry_holds_when_the_calendar_is_set_ahead() -> None:
    """TA-9: the next Refresh ends it, however far away its timer was."""
    driver = ServerDriver(secrets=[OLD], config=settings(strict_expiry=True))
    carol = guest(driver, minted_for(driver, ttl=3600))
    carol.allocate(lifetime(3600))
    driver.clock.step_wall(3601)
    carol.challenge()
    assert carol.refresh().code == 401
    assert [event.reason for event in driver.ended] == [EndReason.CREDENTIAL_EXPIRED]
    driver.assert_nothing_is_left()


def test_strict_expiry_waits_when_the_calendar_is_set_back() -> None:
    """TA-9, OP-7: the timer of the credential looks at the calendar again before it ends anything."""
    driver = ServerDriver(secrets=[OLD], config=settings(strict_expiry=True))
    carol = guest(driver, minted_for(driver, ttl=60))
    carol.allocate(lifetime(600))
    driver.clock.step_wall(-30)
    driver.advance(89)
    assert driver.allocation(carol) is not None
    driver.advance(2)
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("strict", [False, True])
def test_static_users_do_not_expire(strict: bool) -> None:
    """TA-9."""
    driver = ServerDriver(secrets=[OLD], config=settings(strict_expiry=strict))
    alice = driver.caller()
    alice.allocate(lifetime(3600))
    driver.advance(3599)
    assert alice.refresh().code is None


@pytest.mark.parametrize(("behind", "code"), [(30, None), (-30, None), (300, 401), (-300, None)])
def test_an_issuer_whose_clock_is_a_little_behind_is_forgiven(behind: float, code: int | None) -> None:
    """TA-10: with a leeway of 30 s; 5 minutes are not, and the refusal says why."""
    issuer = VirtualClock()
    issuer.step_wall(-behind)
    driver = ServerDriver(secrets=[OLD], leeway=30)
    # The shortest credential, so that the leeway is all that is left of it.
    minted = mint(OLD, "carol", 1, issuer.unix_time(issuer.now))
    assert guest(driver, minted).allocate().code == code
    assert [refusal.reason for refusal in driver.refusals if refusal.username] == (["expired"] if code else [])


def test_while_secrets_are_rotated_both_are_good() -> None:
    """TA-11: and the event tells which one was used, for the day when the old one goes."""
    driver = ServerDriver(secrets=[NEW, OLD])
    for secret in (OLD, NEW):
        for name in (f"1800000600:{secret.kid}:carol", "1800000600:carol"):
            carol = driver.caller(name, secret.password(name))
            assert carol.allocate().code is None
            allocation = driver.allocation(carol)
            assert allocation is not None
            assert allocation.kid == secret.kid
    driver.close()


@pytest.mark.parametrize("algorithm", [None, SHA256])
def test_a_dropped_secret_begins_nothing_and_ends_nothing(algorithm: PasswordAlgorithm | None) -> None:
    """TA-11: its credentials are refused at the next Allocate; live allocations are untouched."""
    driver = ServerDriver(secrets=[NEW, OLD])
    old = guest(driver, minted_for(driver, secret=OLD), algorithm=algorithm)
    new = guest(driver, minted_for(driver, secret=NEW), algorithm=algorithm)
    assert old.allocate().code is None
    driver.engine.set_credentials(credentials({}, [NEW]))
    for _ in range(3):
        driver.advance(400)
        assert old.refresh().code is None
        assert old.permit(PEER).code is None
    latecomer = guest(driver, minted_for(driver, secret=OLD), algorithm=algorithm)
    assert latecomer.allocate().code == 401
    assert new.allocate().code == 401  # expired meanwhile
    assert guest(driver, minted_for(driver, secret=NEW), algorithm=algorithm).allocate().code is None
    assert old.release().code is None
    assert old.allocate().code == 401
    driver.close()


def test_a_static_user_who_is_taken_out_gets_no_further() -> None:
    """TR-12: set_credentials and revoke together."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    driver.engine.set_credentials(credentials({"bob": "hunter2"}))
    assert alice.refresh().code is None
    assert driver.engine.revoke(lambda allocation: allocation.user_key == "alice") == 1
    driver.drain()
    assert alice.refresh().code == 401
    assert alice.allocate().code == 401
    assert driver.caller("bob").allocate().code is None
    driver.close()


def test_switching_anonymity_by_a_reload_asks_everybody_for_a_fresh_nonce() -> None:
    """TA-7: a nonce that announced what is not offered any more is not taken."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    driver.engine.set_credentials(credentials(USERS, [OLD]))
    assert alice.refresh().code == 438
    alice.challenge()
    assert alice.refresh().code is None


# TA-12: guessing


def guess(driver: ServerDriver, path_host: str, count: int, user: str = "alice", *, ports: int = 1) -> int:
    """How many of `count` wrong passwords were answered."""
    answered = 0
    for number in range(count):
        guesser = driver.caller(user, f"guess{number}", path=path_from(path_host, 20000 + number % ports))
        answered += guesser.send(guesser.build(Method.ALLOCATE, UDP_RELAY)) is not None
    return answered


Outcome = int | None


def guess_once(driver: ServerDriver, host: str, user: str, *, hashed: bool = False) -> Outcome:
    """The code of the answer to one wrong password; None for silence."""
    guesser = driver.caller(user, "guess", path=path_from(host, 20000))
    guesser.hashed_name = hashed
    reply = guesser.send(guesser.build(Method.ALLOCATE, UDP_RELAY))
    return reply.code if reply is not None else None


@pytest.mark.parametrize("ports", [1, 1000])
@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8:bad::1"])
def test_a_guesser_is_ignored_after_a_few_wrong_passwords(host: str, ports: int) -> None:
    """TA-12: 1,000 per second from one address, over one port or a thousand; the owner gets in from elsewhere."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    assert guess(driver, host, 1000, ports=ports) == SOURCE_FAILURES
    assert driver.caller().allocate().code is None
    assert {refusal.reason for refusal in driver.refusals[-100:]} == {"throttled", "no-credentials"}
    # The right password from the guesser's address is not looked at either: guessing must not pay.
    late = driver.caller(path=path_from(host, 30000))
    assert late.send(late.build(Method.ALLOCATE, UDP_RELAY)) is None
    driver.advance(SOURCE_FAILURES)
    assert driver.caller(path=path_from(host, 30001)).allocate().code is None
    driver.close()


def test_many_guessers_lock_nobody_out() -> None:
    """TA-12: per user."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    answered = [guess(driver, f"203.0.113.{number}", 30) for number in range(40)]
    assert sum(answered) <= 2 * USER_FAILURES + 40 * ATTACKED_FAILURES
    assert answered[-1] == ATTACKED_FAILURES
    assert driver.caller().allocate().code is None
    assert driver.caller("bob", path=path_from("203.0.113.1", 1)).send(b"") is None
    driver.close()


def test_a_forged_source_counts_against_nobody() -> None:
    """TA-12: without a nonce of that source a wrong password says nothing about it."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    forger = driver.caller("alice", "wrong")
    data = forger.build(Method.ALLOCATE, UDP_RELAY)
    for port in range(1000):
        assert driver.send(data, path_from("192.0.2.99", 20000 + port)) is not None
    assert driver.caller(path=path_from("192.0.2.99", 40000)).allocate().code is None


def test_a_guesser_beside_an_allocation_does_not_stop_its_refreshes() -> None:
    """TA-12: whoever is in already is asked no more questions, even behind the guesser's address."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    alice = driver.caller(path=path_from("203.0.113.1", 40000))
    alice.allocate()
    guess(driver, "203.0.113.1", 1000)
    assert alice.refresh().code is None


@pytest.mark.parametrize("hashed", [False, True], ids=["name", "hash"])
@pytest.mark.parametrize("sources", [1, 40])
def test_guessing_does_not_tell_which_names_exist(hashed: bool, sources: int) -> None:
    """TA-12: of known and of unknown names the same requests are answered, from one address or many."""

    def answered(user: str) -> list[Outcome]:
        driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
        answers = [guess_once(driver, f"203.0.113.{number % sources}", user, hashed=hashed) for number in range(400)]
        driver.assert_nothing_is_left()
        return answers

    expected = answered("alice")
    assert expected.count(None) == 400 - expected.count(401)
    assert 0 < expected.count(401) <= USER_FAILURES + SOURCE_FAILURES + sources * ATTACKED_FAILURES
    assert answered("nobody") == expected


def test_a_name_that_is_sent_now_in_clear_and_now_hashed_is_counted_once() -> None:
    """TA-12: names that nobody has are as one with their hash as those are that somebody has."""

    def answered(user: str) -> list[Outcome]:
        driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
        return [guess_once(driver, f"203.0.113.{number % 40}", user, hashed=number % 3 == 0) for number in range(400)]

    assert answered("nobody") == answered("alice")


@pytest.mark.parametrize("name", ["1800000600:u", "u:1800000600", "nobody", "1000000000:u"])
def test_a_source_that_guessed_too_often_is_told_nothing_about_any_name(name: str) -> None:
    """TA-12: known, malformed, unknown, expired; before the name is looked up."""
    driver = ServerDriver(secrets=[OLD], config=settings(unauthenticated_replies_per_second=0))
    guess(driver, "203.0.113.1", SOURCE_FAILURES)
    assert guess_once(driver, "203.0.113.1", name) is None
    assert driver.refusals[-1].reason == "throttled"
    assert guess_once(driver, "203.0.113.2", name) == 401


def test_making_names_up_is_slowed_as_making_passwords_up_is() -> None:
    """TA-12: unknown and malformed names count against the source, an expired one does not."""
    driver = ServerDriver(secrets=[OLD], config=settings(unauthenticated_replies_per_second=0))
    for _ in range(100):
        assert guess_once(driver, "203.0.113.1", "1000000000:u") == 401
    names = [f"nobody{number}" if number % 2 else f"{number}x:u" for number in range(100)]
    assert sum(guess_once(driver, "203.0.113.1", name) == 401 for name in names) == SOURCE_FAILURES
    assert driver.caller().allocate().code is None
    driver.close()


# TA-15: names are nothing but bytes


@pytest.mark.parametrize(
    "name",
    ["%s%n%x", "a\r\nb", "\x1b[31mred", "*", "a b c", "{}", "x" * 500, "'; DROP TABLE users; --", "\u202eevil",
     "a:b|c"],
)  # fmt: skip
def test_a_strange_name_is_a_name(name: str) -> None:
    """TA-15: the event holds it as it came, once; it is no one else's key."""
    driver = ServerDriver(users={name: "secret", "alice": "secret"}, config=settings(allocations_per_user=1))
    stranger = driver.caller(name, "secret")
    extras: list[Attribute] = [(AttributeType.SOFTWARE, name.encode()), (0x802F, name.encode())]
    assert stranger.allocate(*extras).code is None
    assert driver.caller().allocate().code is None
    assert stranger.permit(PEER).code is None
    wrong = driver.caller(name, "wrong")
    assert wrong.allocate(*extras).code == 401
    assert [refusal.username for refusal in driver.refusals if refusal.username] == [name]
    strange_realm = driver.caller(name, "secret")
    strange_realm.realm = name
    assert strange_realm.allocate().code == 401
    assert {event.username for event in driver.ended} == set()
    driver.close()
    assert {event.username for event in driver.ended} == {name, "alice"}
