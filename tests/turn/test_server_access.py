"""Lists of who may use the relay, through the engine."""

from __future__ import annotations

import pytest

from icelane.stun.message import Method
from icelane.turn.access_list import AccessEntries, AccessLists, parse_access_entry
from icelane.turn.allocation import EndReason
from icelane.turn.credentials import Secret, mint
from tests.turn.server_driver import UDP_RELAY, ServerDriver, lifetime, path_from

pytestmark = pytest.mark.twin

SECRET = Secret("k1", "the secret is long enough")


def deny(*texts: str) -> AccessEntries:
    return AccessEntries(deny=tuple(parse_access_entry(text) for text in texts))


def test_whom_a_list_keeps_out_gets_403_once_it_is_known_who_he_is() -> None:
    """SG-4, CR-8: by address and by user; a stranger is challenged as ever, and learns nothing about the lists."""
    lists = AccessLists()
    driver = ServerDriver(access=lists)
    caller = driver.caller()
    lists.replace(deny(caller.path.remote.host))
    assert caller.request(Method.ALLOCATE, UDP_RELAY).code == 403
    assert not driver.engine.allocations
    lists.replace(deny(f"identity:{caller.username}"))
    assert caller.request(Method.ALLOCATE, UDP_RELAY).code == 403
    lists.replace(deny("identity:somebody-else"))
    assert caller.request(Method.ALLOCATE, UDP_RELAY).code is None


def test_a_changed_list_ends_what_is_allocated() -> None:
    """SG-4, TR-12: at once, and nobody else's."""
    lists = AccessLists()
    driver = ServerDriver(access=lists, secrets=[SECRET])
    kept = driver.caller()
    assert kept.request(Method.ALLOCATE, UDP_RELAY).code is None
    minted = mint(SECRET, "team/mallory", 600, driver.clock.unix_time(driver.clock.now))
    ended = driver.caller(minted.username, minted.password, path=path_from(port=7000))
    assert ended.request(Method.ALLOCATE, UDP_RELAY).code is None
    lists.replace(deny("identity:team/mallory"))
    assert driver.engine.enforce_access() == 1
    driver.drain()
    assert [event.reason for event in driver.ended] == [EndReason.REVOKED]
    assert len(driver.engine.allocations) == 1
    assert ended.request(Method.ALLOCATE, UDP_RELAY).code == 403
    assert kept.request(Method.REFRESH, lifetime(60)).code is None
