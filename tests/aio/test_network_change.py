from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine

import pytest

from icelane.aio import network_change, system
from icelane.aio.network_change import FINDING_TIME, LOOK_INTERVAL, MAX_FINDING_TIME, SUSPECT_TIME, Look, NetworkChange
from icelane.aio.network_watch import NetworkListener
from icelane.ice.event import IceState


class FakeBases:
    """A driver whose network a test changes: `looks` are what the next looks find."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.path_after_look: bool | None = None
        self.has_path = True
        self.ice_state = IceState.CONNECTED
        self.state_when_doubted: IceState | None = None
        self.did: list[str] = []

    def look_at_interfaces(self) -> Look:
        self.did.append("look")
        if self.path_after_look is not None:
            self.has_path = self.path_after_look
        return self.looks.pop(0) if self.looks else Look(False, True)

    def doubt(self) -> None:
        self.did.append("doubt")
        if self.state_when_doubted is not None:
            self.ice_state = self.state_when_doubted

    def restart_ice(self) -> None:
        self.did.append("restart")


class Fixture:
    """A change of network with everything faked but its own decisions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.namespace = 1
        self.wants_restart = True
        self.listeners: list[NetworkListener] = []
        self.bases = FakeBases()

        def watch(listener: NetworkListener) -> Callable[[], None]:
            self.listeners.append(listener)
            return lambda: self.listeners.remove(listener)

        monkeypatch.setattr(network_change, "watch_network", watch)
        monkeypatch.setattr(network_change, "network_namespace", lambda: self.namespace)
        monkeypatch.setattr(system, "_read_clock", lambda: self.now)

    def run(self, scenario: Callable[[NetworkChange], Coroutine[None, None, None] | None]) -> None:
        async def body() -> None:
            change = NetworkChange(self.bases, lambda: self.wants_restart)
            change.start()
            change.start()
            assert self.listeners == [change]
            if (rest := scenario(change)) is not None:
                await rest
            change.stop()
            change.stop()
            assert self.listeners == []

        asyncio.run(body())

    def take(self) -> list[str]:
        did, self.bases.did = self.bases.did, []
        return did


async def passing() -> None:
    """What was to be done after no time is done."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def fixture(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    return Fixture(monkeypatch)


def test_nothing_is_done_about_changes_that_are_none_of_ours(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        change.handle_network_change()
        assert fixture.take() == ["look"]

    fixture.run(scenario)


def test_a_new_address_beside_a_path_that_works_restarts_nothing(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt"]

    fixture.run(scenario)


def test_ice_restarts_when_the_address_of_the_path_is_gone_and_another_is_there(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.looks, fixture.bases.path_after_look = [Look(True, True)], False
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "restart"]
        change.handle_network_change()
        assert fixture.take() == ["look"], "once"

    fixture.run(scenario)


def test_a_restart_waits_for_an_address_that_leads_out(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.looks, fixture.bases.path_after_look = [Look(True, False), Look(False, False)], False
        change.handle_network_change()
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "look"]
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "restart"]

    fixture.run(scenario)


def test_who_does_not_ask_for_it_gets_no_restart(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.wants_restart = False
        fixture.bases.looks, fixture.bases.path_after_look = [Look(True, True)], False
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt"]

    fixture.run(scenario)


@pytest.mark.parametrize("state", [IceState.DISCONNECTED, IceState.FAILED])
def test_a_new_address_is_a_chance_for_a_path_that_was_dead_already(fixture: Fixture, state: IceState) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.ice_state, fixture.bases.has_path = state, False
        change.handle_network_change()
        assert fixture.take() == ["look"]
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "restart"]

    fixture.run(scenario)


def test_a_path_that_dies_soon_after_a_change_died_of_it(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        fixture.take()
        fixture.now += SUSPECT_TIME - 0.1
        fixture.bases.ice_state, fixture.bases.has_path = IceState.DISCONNECTED, False
        change.handle_ice_state()
        change.handle_ice_state()
        await asyncio.sleep(0)
        assert fixture.take() == ["look", "restart"]

    fixture.run(scenario)


def test_a_path_that_dies_while_there_is_no_address_waits_for_one(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        fixture.bases.looks = [Look(True, False), Look(False, False)]
        change.handle_network_change()
        fixture.bases.ice_state, fixture.bases.has_path = IceState.DISCONNECTED, False
        change.handle_ice_state()
        await asyncio.sleep(0)
        assert fixture.take() == ["look", "doubt", "look"]
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "restart"]

    fixture.run(scenario)


@pytest.mark.parametrize("state", [IceState.NEW, IceState.CHECKING])
def test_a_change_while_paths_are_checked_leads_to_another_restart_when_none_is_found(
    fixture: Fixture, state: IceState
) -> None:
    async def scenario(change: NetworkChange) -> None:
        fixture.bases.ice_state, fixture.bases.has_path = state, False
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt"]
        fixture.now += 10 * SUSPECT_TIME
        fixture.bases.ice_state = IceState.FAILED
        change.handle_ice_state()
        change.handle_ice_state()
        await asyncio.sleep(0)
        assert fixture.take() == ["look", "restart"]

    fixture.run(scenario)


def test_checks_that_lead_to_nothing_after_a_change_are_given_up(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        change._finding_time = 0.0
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CHECKING, False
        fixture.bases.looks = [Look(True, True), Look(True, True)]
        change.handle_network_change()
        change.handle_network_change()
        assert fixture.take() == ["look", "doubt", "look", "doubt"]
        await passing()
        assert fixture.take() == ["look", "restart"], "once"
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        await passing()
        assert fixture.take() == ["look", "doubt", "look", "restart"], "and once for the next change"

    fixture.run(scenario)


def test_before_there_is_anything_to_check_nothing_is_given_up(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        change._finding_time = 0.0
        fixture.bases.ice_state, fixture.bases.has_path = IceState.NEW, False
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        await passing()
        assert fixture.take() == ["look", "doubt"], "the peer may take a minute to answer the call"
        fixture.bases.ice_state = IceState.CHECKING
        change.handle_ice_state()
        await passing()
        assert fixture.take() == ["look", "restart"]

    fixture.run(scenario)


def test_checks_that_lead_to_a_path_in_time_are_not_given_up(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(change: NetworkChange) -> None:
        change._finding_time = 0.0
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CHECKING, False
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CONNECTED, True
        change.handle_ice_state()
        await passing()
        assert fixture.take() == ["look", "doubt"]

    fixture.run(scenario)


def test_checks_have_more_time_after_each_restart_until_a_path_is_found(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        times = []
        for _ in range(7):
            fixture.bases.ice_state, fixture.bases.has_path = IceState.CHECKING, False
            fixture.bases.looks = [Look(True, True)]
            change.handle_network_change()
            assert change._finding is not None
            times.append(change._finding_time)
            change._finding.cancel()
            change._give_up_finding()
            assert fixture.take() == ["look", "doubt", "look", "restart"]
        assert times == [FINDING_TIME, 2.0, 4.0, 8.0, MAX_FINDING_TIME, MAX_FINDING_TIME, MAX_FINDING_TIME]
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CONNECTED, True
        change.handle_ice_state()
        assert change._finding_time == FINDING_TIME

    fixture.run(scenario)


def test_a_restart_that_waits_for_an_address_is_not_needed_once_there_is_a_path(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        change._finding_time = 0.0
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CHECKING, False
        fixture.bases.looks = [Look(True, False), Look(False, False)]
        change.handle_network_change()
        await passing()
        assert fixture.take() == ["look", "doubt", "look"]
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CONNECTED, True
        change.handle_ice_state()
        change.handle_network_change()
        assert fixture.take() == ["look"]

    fixture.run(scenario)


def test_a_change_while_paths_are_checked_is_forgotten_when_one_is_found(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CHECKING, False
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        fixture.bases.ice_state, fixture.bases.has_path = IceState.CONNECTED, True
        change.handle_ice_state()
        fixture.now += 10 * SUSPECT_TIME
        fixture.bases.ice_state, fixture.bases.has_path = IceState.FAILED, False
        change.handle_ice_state()
        await asyncio.sleep(0)
        assert fixture.take() == ["look", "doubt"]

    fixture.run(scenario)


def test_a_path_that_dies_for_another_reason_is_the_programs_business(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.looks = [Look(True, True)]
        change.handle_network_change()
        fixture.take()
        fixture.now += SUSPECT_TIME + 0.1
        fixture.bases.ice_state = IceState.FAILED
        change.handle_ice_state()
        assert fixture.take() == []

    fixture.run(scenario)


def test_after_sleep_everything_is_asked_for_at_once(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        change.handle_wake()
        assert fixture.take() == ["doubt", "look"]
        fixture.now += 1.0
        fixture.bases.ice_state, fixture.bases.has_path = IceState.DISCONNECTED, False
        change.handle_ice_state()
        await asyncio.sleep(0)
        assert fixture.take() == ["look", "restart"]

    fixture.run(scenario)


def test_consent_that_ran_out_during_sleep_restarts_once(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.bases.state_when_doubted = IceState.FAILED
        change.handle_wake()
        assert fixture.take() == ["doubt", "look", "restart"]

    fixture.run(scenario)


def test_in_another_network_namespace_nothing_is_taken_for_gone(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        fixture.namespace = 2
        change.handle_network_change()
        assert fixture.take() == []

    fixture.run(scenario)


def test_a_send_that_fails_for_want_of_its_address_makes_us_look_now_and_then(fixture: Fixture) -> None:
    async def scenario(change: NetworkChange) -> None:
        for _ in range(50):
            change.handle_failed_send(OSError(errno.EADDRNOTAVAIL, "gone"))
            await asyncio.sleep(0)
        assert fixture.take() == ["look"]
        change.handle_failed_send(OSError(errno.EPERM, "a firewall"))
        fixture.now += LOOK_INTERVAL
        change.handle_failed_send(OSError(errno.EMSGSIZE, "too long"))
        await asyncio.sleep(0)
        assert fixture.take() == []
        change.handle_failed_send(OSError(errno.ENETDOWN, "down"))
        await asyncio.sleep(0)
        assert fixture.take() == ["look"]

    fixture.run(scenario)


def test_after_the_end_nothing_is_done(fixture: Fixture) -> None:
    def scenario(change: NetworkChange) -> None:
        change.stop()
        change.handle_network_change()
        change.handle_wake()
        assert fixture.take() == []

    fixture.run(scenario)
