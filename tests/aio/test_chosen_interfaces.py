from __future__ import annotations

import json
import socket

import pytest

from icelane.aio import chosen_interfaces as chosen
from icelane.aio import interfaces
from icelane.aio.chosen_interfaces import (
    carriers_of,
    chosen_devices,
    chosen_hosts,
    chosen_interfaces,
    warn_of_unbound,
    warn_of_unknown_addresses,
)
from icelane.aio.configuration import RTCConfiguration
from icelane.aio.device import Device
from icelane.aio.interfaces import Interface
from icelane.aio.kernel import IS_LINUX
from tests.server.namespaces import run_module

NARROWED = RTCConfiguration(interfaces=["eth0", "eth1", "tun0"])
ETH0, ETH1 = Interface("eth0", "192.0.2.7"), Interface("eth1", "192.0.2.8")


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The devices of this machine; a test takes them away."""
    known = {"eth0": 2, "eth1": 3, "dummy0": 4}

    def number(name: str) -> int:
        if name not in known:
            raise OSError(19, "No such device")
        return known[name]

    monkeypatch.setattr(socket, "if_nametoindex", number)
    monkeypatch.setattr(interfaces, "leads_out", lambda name: name != "dummy0")
    return known


def test_a_device_is_chosen_by_its_name_and_by_its_address() -> None:
    devices = {ETH0.host: Device("eth0", 2), ETH1.host: Device("eth1", 3)}
    assert chosen_devices(NARROWED, [ETH0, ETH1]) == devices
    assert chosen_devices(RTCConfiguration(addresses=["192.0.2.0/24"]), [ETH0, ETH1]) == devices
    assert chosen_devices(RTCConfiguration(addresses=lambda _: True), [ETH0]) == {ETH0.host: Device("eth0", 2)}
    alias = Interface("eth0:1", "192.0.2.9")
    assert chosen_devices(NARROWED, [ETH0, alias])[alias.host] == Device("eth0", 2)


def test_where_nothing_is_chosen_no_socket_is_bound_to_a_device() -> None:
    for configuration in (RTCConfiguration(), RTCConfiguration(addresses=[])):
        assert chosen_devices(configuration, [ETH0, ETH1]) == {}
        assert chosen_hosts(configuration, [ETH0]) is None


def test_loopback_a_dummy_and_an_address_of_two_devices_are_left_to_the_routes(numbers: dict[str, int]) -> None:
    assert chosen_devices(RTCConfiguration(interfaces=["lo"]), [Interface("lo", "127.0.0.1")]) == {}
    assert chosen_devices(RTCConfiguration(interfaces=["lo"]), [Interface("lo", "::1")]) == {}
    assert chosen_devices(NARROWED, [Interface("dummy0", "192.0.2.7")]) == {}
    assert chosen_devices(NARROWED, [ETH0, Interface("eth1", ETH0.host)]) == {}
    del numbers["eth0"]
    assert chosen_devices(NARROWED, [ETH0, ETH1]) == {ETH1.host: Device("eth1", 3)}


def test_a_named_interface_that_is_not_bound_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    named = RTCConfiguration(interfaces=["eth0", "dummy0", "lo", "nope"])
    found = [ETH0, Interface("eth0:1", "192.0.2.9"), Interface("dummy0", "192.0.2.10"), Interface("lo", "127.0.0.1")]
    warn_of_unbound(named, found, chosen_devices(named, found))
    told = [record.getMessage() for record in caplog.records]
    if IS_LINUX:
        assert told == [
            "no socket can be bound to dummy0 at 192.0.2.10: routes decide how it leaves",
            "no address to be reached at on the interface nope, which the configuration names",
        ]
    caplog.clear()
    warn_of_unbound(RTCConfiguration(addresses=["192.0.2.0/24"]), found, {})
    assert not caplog.records


def test_a_public_address_for_none_of_ours_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_unknown_addresses(RTCConfiguration(external_addresses={"127.0.0.1": "192.0.2.5", "9.9.9.9": "192.0.2.6"}))
    assert [record.getMessage() for record in caplog.records] == [
        "external_addresses has a public address for 9.9.9.9, which this machine does not have"
    ]
    warn_of_unknown_addresses(RTCConfiguration(external_addresses="192.0.2.5"))
    warn_of_unknown_addresses(RTCConfiguration())
    assert len(caplog.records) == 1


def test_connections_with_servers_leave_from_there_and_by_the_same_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "usable_interfaces", lambda **_: [ETH1])
    hosts = chosen_hosts(NARROWED)
    assert hosts is not None
    assert (hosts.hosts, hosts.devices) == ((ETH1.host,), {ETH1.host: Device("eth1", 3)})
    assert chosen_interfaces(NARROWED) == carriers_of(ETH1.host) == [ETH1]


def test_two_on_one_machine_meet_though_each_is_bound_to_a_device() -> None:
    """What is sent to an address of the device's own counts as come in there, over both families, UDP and TCP."""
    udp_four, udp_six, tcp_four, tcp_six = json.loads(run_module("tests.aio.same_device"))
    assert udp_four.count("198.18.0.2:") == tcp_four.count("198.18.0.2:") == 2
    assert udp_six.count("[2001:2::2]:") == tcp_six.count("[2001:2::2]:") == 2
    assert [path.startswith("tcp") for path in (udp_four, udp_six, tcp_four, tcp_six)] == [False, False, True, True]
