from __future__ import annotations

import asyncio
import json
import socket

import pytest

from icelane.aio import network_watch, system
from icelane.aio.interfaces import Interface
from icelane.aio.network_watch import watch_network
from tests.aio.peers import until
from tests.loops import Run
from tests.server.namespaces import run_module


class Heard:
    """A listener that counts."""

    def __init__(self) -> None:
        self.changes = self.wakes = 0

    def handle_network_change(self) -> None:
        self.changes += 1

    def handle_wake(self) -> None:
        self.wakes += 1


class FakeNetlink:
    """Netlink as a pair of sockets, so that a test says what the kernel would."""

    def __init__(self) -> None:
        self._near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._near.setblocking(False)
        self.sender = 0
        self.overflowed = False

    def fileno(self) -> int:
        return self._near.fileno()

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        data = self._near.recv(size)
        if self.overflowed:
            raise OSError(105, "No buffer space available")
        return data, (self.sender, 1)

    def close(self) -> None:
        self._near.close()
        self.far.close()


@pytest.fixture
def netlink(monkeypatch: pytest.MonkeyPatch) -> FakeNetlink:
    fake = FakeNetlink()
    monkeypatch.setattr(network_watch, "_open_netlink", lambda: fake)
    monkeypatch.setattr(network_watch, "SETTLE_TIME", 0.05)
    monkeypatch.setattr(network_watch, "MAX_SETTLE_TIME", 0.2)
    return fake


def test_a_real_network_tells_of_links_and_addresses_and_a_burst_is_told_as_one() -> None:
    found = json.loads(run_module("tests.aio.changing_network"))
    assert found["no cable"][0] >= 1
    assert found["no cable"][1] is False
    assert found["cable"][0] >= 1
    assert found["cable"][1] is True
    assert found["addresses"][0] >= 1
    assert found["addresses"][1] == ["198.18.0.7", "2001:2::7"]
    assert 1 <= found["a burst"] <= 5
    assert found["pulled"][0] >= 1
    assert found["pulled"][1:] == [False, False, []], "an address stays, and is of no use"
    assert found["gone"][0] >= 1
    assert found["gone"][1] is False
    assert found["not listening"] == 0


def test_one_watch_serves_all_and_goes_with_the_last(run: Run, netlink: FakeNetlink) -> None:
    async def scenario() -> None:
        one, other = Heard(), Heard()
        stop_one, stop_other = watch_network(one), watch_network(other)
        assert len(network_watch._watches) == 1
        netlink.far.send(b"x")
        await until(lambda: other.changes)
        assert (one.changes, other.changes) == (1, 1)
        stop_one()
        stop_one()
        netlink.far.send(b"x")
        await until(lambda: other.changes == 2)
        assert one.changes == 1
        stop_other()
        assert not network_watch._watches
        assert netlink.fileno() == -1

    run(scenario())


def test_changes_that_do_not_end_are_told_all_the_same(run: Run, netlink: FakeNetlink) -> None:
    async def scenario() -> None:
        heard = Heard()
        stop = watch_network(heard)
        async with asyncio.timeout(5):
            while not heard.changes:
                netlink.far.send(b"x")
                await asyncio.sleep(0.01)
        stop()

    run(scenario())


def test_lost_messages_are_a_change_and_those_of_other_programs_are_none(run: Run, netlink: FakeNetlink) -> None:
    async def scenario() -> None:
        heard = Heard()
        stop = watch_network(heard)
        netlink.sender = 4711
        netlink.far.send(b"x")
        await asyncio.sleep(0.15)
        assert heard.changes == 0
        netlink.overflowed = True
        netlink.far.send(b"x")
        await until(lambda: heard.changes)
        stop()

    run(scenario())


def test_where_nobody_tells_the_addresses_are_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = [Interface("eth0", "192.0.2.7")]
    monkeypatch.setattr(network_watch, "_open_netlink", lambda: None)
    monkeypatch.setattr(network_watch, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(network_watch, "usable_interfaces", lambda **_: list(machine))

    async def scenario() -> None:
        heard = Heard()
        stop = watch_network(heard)
        await asyncio.sleep(0.05)
        assert heard.changes == 0
        machine.append(Interface("eth0", "192.0.2.8"))
        await until(lambda: heard.changes)
        await asyncio.sleep(0.05)
        assert heard.changes == 1
        stop()
        machine.clear()
        await asyncio.sleep(0.05)
        assert heard.changes == 1

    run(scenario())


def test_a_machine_without_netlink_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert network_watch._open_netlink() is None
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    assert network_watch._open_netlink() is None


def test_sleep_is_noticed_by_the_clock_that_runs_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_watch, "TICK", 0.02)
    awake, slept = system._read_clock, 0.0
    monkeypatch.setattr(system, "_read_clock", lambda: awake() + slept)

    async def scenario() -> None:
        nonlocal slept
        slept = 0.0
        heard = Heard()
        stop = watch_network(heard)
        await asyncio.sleep(0.1)
        assert heard.wakes == 0
        slept = 3600.0
        await until(lambda: heard.wakes)
        await asyncio.sleep(0.1)
        assert heard.wakes == 1
        assert heard.changes == 0
        stop()

    run(scenario())
