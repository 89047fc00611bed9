"""The look-up of users whom the configuration does not know, through the engine."""

from __future__ import annotations

import pytest

from icelane.core.net import Transport
from icelane.errors import LocalProtocolError
from icelane.stun.attributes import PasswordAlgorithm
from icelane.stun.message import Method
from icelane.turn.credential_lookup import LOOKUP_TIMEOUT, MAX_LOOKUPS
from icelane.turn.credentials import Credential, Secret, key_credential, password_credential
from icelane.turn.routes import LookUpCredential, LookupId
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    REALM,
    UDP_RELAY,
    Caller,
    Reply,
    ServerDriver,
    checked,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

PASSWORD = "swordfish"
SECRET = Secret("k1", "q5Vn0nJ3rX8sZk2LwT7yBd4E")


def asking(**changes: object) -> ServerDriver:
    """A server that asks outside."""
    return ServerDriver(config=settings(credential_lookup=True, **changes))


def lookups(driver: ServerDriver) -> list[LookUpCredential]:
    return [command for command in driver.plane.commands if isinstance(command, LookUpCredential)]


def answer(driver: ServerDriver, credential: Credential | None, lookup_id: LookupId | None = None) -> list[Reply]:
    """Answer the last look-up; returns what the engine sent then."""
    before = len(driver.sent)
    driver.engine.provide_credential(lookup_id or lookups(driver)[-1].lookup_id, credential, driver.clock.now)
    driver.drain()
    return [checked(data) for _, data in driver.sent[before:]]


def known(name: str = "zoe", password: str = PASSWORD) -> Credential:
    return password_credential(name, REALM, password)


def ask(caller: Caller) -> bytes:
    """Send a signed Allocate, which is not answered at once; returns it."""
    request = caller.build(Method.ALLOCATE, UDP_RELAY)
    assert caller.send(request) is None
    return request


@pytest.mark.parametrize("algorithm", [None, PasswordAlgorithm.SHA256])
def test_a_user_whom_somebody_outside_knows_is_let_in(algorithm: PasswordAlgorithm | None) -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD, algorithm=algorithm)
    ask(zoe)
    (lookup,) = lookups(driver)
    assert (lookup.username, lookup.realm, lookup.client) == ("zoe", REALM, zoe.path)
    (reply,) = answer(driver, known())
    assert reply.code is None
    # From here on the allocation's own credential counts, and nobody is asked.
    assert zoe.permit(PEER).code is None
    assert zoe.bind(0x4000, OTHER_PEER).code is None
    driver.advance(400)
    assert zoe.refresh().code is None
    assert len(lookups(driver)) == 1
    assert zoe.release().code is None
    driver.close()


def test_a_key_does_instead_of_a_password() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    ask(zoe)
    (reply,) = answer(driver, key_credential("zoe", md5=zoe.key, sha256=None))
    assert reply.code is None
    driver.close()


def test_a_wrong_password_is_refused_after_the_look_up_as_before_it() -> None:
    driver = asking()
    for _ in range(30):
        caller = driver.caller("zoe", "guess")
        data = caller.build(Method.ALLOCATE, UDP_RELAY)
        if caller.send(data) is None and lookups(driver) and not driver.engine.idle:
            (reply,) = answer(driver, known())
            assert reply.code == 401
    assert [refusal.reason for refusal in driver.refusals if refusal.reason != "no-credentials"][:20] == [
        "wrong-password"
    ] * 20
    assert driver.refusals[-1].reason == "throttled"
    driver.close()


def test_a_name_that_nobody_knows_is_refused_and_making_names_up_is_slowed() -> None:
    """TA-12: a look-up costs somebody else something, too."""
    driver = asking()
    for number in range(40):
        caller = driver.caller(f"nobody{number}", "x")
        if caller.send(caller.build(Method.ALLOCATE, UDP_RELAY)) is None and not driver.engine.idle:
            (reply,) = answer(driver, None)
            assert reply.code == 401
    assert len(lookups(driver)) <= 21
    assert driver.refusals[-1].reason == "throttled"
    driver.close()


def test_nobody_is_asked_before_the_nonce_has_proved_the_source() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    zoe.challenge()
    elsewhere = path_from("198.51.100.9", 7)
    assert driver.send(zoe.build(Method.ALLOCATE, UDP_RELAY), elsewhere) is not None
    assert driver.refusals[-1].reason == "nonce-foreign"
    request = zoe.build(Method.ALLOCATE, UDP_RELAY)
    driver.advance(700)
    reply = zoe.send(request)
    assert reply is not None
    assert reply.code == 438
    assert not lookups(driver)
    driver.close()


def test_nobody_is_asked_about_users_of_the_configuration() -> None:
    driver = ServerDriver(config=settings(credential_lookup=True), secrets=[SECRET])
    assert driver.caller().allocate().code is None
    name = "1800000600:k1:carol"
    assert driver.caller(name, SECRET.password(name)).allocate().code is None
    old = "1000000000:k1:carol"
    assert driver.caller(old, SECRET.password(old)).allocate().code == 401
    assert not lookups(driver)
    driver.close()


def test_a_server_that_asks_nobody_refuses_at_once() -> None:
    driver = ServerDriver()
    assert driver.caller("zoe", PASSWORD).allocate().code == 401
    assert not lookups(driver)
    driver.close()


def test_a_server_that_asks_offers_no_anonymity() -> None:
    """TA-7: a hash cannot be asked about."""
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    zoe.hashed_name = True
    assert zoe.allocate().code == 401
    assert driver.refusals[-1].reason == "unknown-userhash"
    assert not lookups(driver)
    driver.close()


def test_a_retransmission_joins_the_request_that_waits() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    request = ask(zoe)
    for _ in range(3):
        assert zoe.send(request) is None
    assert len(lookups(driver)) == 1
    assert [reply.code for reply in answer(driver, known())] == [None]
    assert len(driver.engine.allocations) == 1
    driver.close()


def test_another_request_of_a_client_that_waits_is_refused() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    ask(zoe)
    reply = zoe.send(zoe.build(Method.ALLOCATE, UDP_RELAY))
    assert reply is not None
    assert reply.code == 500
    assert driver.refusals[-1].reason == "lookup-busy"
    assert len(lookups(driver)) == 1
    driver.close()


def test_only_so_many_wait_at_a_time() -> None:
    driver = asking()
    for number in range(MAX_LOOKUPS):
        ask(driver.caller(f"user{number}", PASSWORD))
    latecomer = driver.caller("late", PASSWORD)
    reply = latecomer.send(latecomer.build(Method.ALLOCATE, UDP_RELAY))
    assert reply is not None
    assert reply.code == 500
    assert len(lookups(driver)) == MAX_LOOKUPS
    assert answer(driver, known("user7"), lookups(driver)[7].lookup_id)[0].code is None
    ask(latecomer)
    driver.close()


def test_who_is_not_answered_for_within_a_second_gets_500_and_nothing_is_kept() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    request = ask(zoe)
    driver.advance(LOOKUP_TIMEOUT)
    path, data = driver.sent[-1]
    reply = checked(data)
    assert path == zoe.path
    assert reply.code == 500
    assert len(data) <= len(request)
    assert driver.refusals[-1].reason == "lookup-timeout"
    driver.assert_nothing_is_left()
    assert not answer(driver, known())
    driver.assert_nothing_is_left()


def test_a_look_up_that_fails_lets_nobody_in() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD)
    ask(zoe)
    driver.engine.handle_lookup_failed(lookups(driver)[0].lookup_id, driver.clock.now)
    driver.drain()
    assert checked(driver.sent[-1][1]).code == 500
    assert driver.refusals[-1].reason == "lookup-failed"
    driver.assert_nothing_is_left()
    # It may work the next time.
    ask(zoe)
    assert answer(driver, known())[0].code is None
    driver.close()


def test_closing_the_stream_cancels() -> None:
    driver = asking()
    zoe = driver.caller("zoe", PASSWORD, path=path_from(transport=Transport.TCP))
    ask(zoe)
    driver.disconnect(zoe.path)
    driver.assert_nothing_is_left()
    assert not answer(driver, known())
    driver.assert_nothing_is_left()


def test_the_answer_to_another_question_is_our_own_mistake() -> None:
    driver = asking()
    ask(driver.caller("zoe", PASSWORD))
    with pytest.raises(LocalProtocolError):
        answer(driver, known("yan"))
    driver.close()
