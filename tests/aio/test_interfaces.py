from __future__ import annotations

from types import SimpleNamespace

import ifaddr
import pytest

from icelane.aio.interfaces import MAX_HOSTS, Interface, gone_addresses, is_loopback, usable_interfaces


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses of this machine, by the names of its interfaces; a test changes them."""
    found: dict[str, list[str]] = {"lo": ["127.0.0.1", "::1"]}

    def adapters() -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                name=name,
                nice_name=name,
                ips=[SimpleNamespace(ip=(host, 0, 0) if ":" in host else host) for host in hosts],
            )
            for name, hosts in found.items()
        ]

    monkeypatch.setattr("icelane.aio.interfaces.ifaddr.get_adapters", adapters)
    monkeypatch.setattr("icelane.aio.interfaces.has_link", lambda name: name != "unplugged0")
    return found


def test_loopback_is_used_where_there_is_nothing_else(machine: dict[str, list[str]]) -> None:
    assert {interface.host for interface in usable_interfaces()} == {"127.0.0.1", "::1"}
    machine["eth0"] = ["192.0.2.7"]
    assert usable_interfaces() == [Interface("eth0", "192.0.2.7")]
    assert "127.0.0.1" in {interface.host for interface in usable_interfaces(include_loopback=True)}


def test_addresses_that_no_candidate_can_have_are_left_out(machine: dict[str, list[str]]) -> None:
    machine["eth0"] = ["192.0.2.7", "169.254.3.4", "fe80::1", "fec0::1", "::ffff:192.0.2.7", "2001:DB8::7", "0.0.0.0"]
    assert {interface.host for interface in usable_interfaces()} == {"192.0.2.7", "2001:db8::7"}


def test_only_the_named_interfaces_are_used(machine: dict[str, list[str]]) -> None:
    machine |= {"eth0": ["192.0.2.7"], "wlan0": ["192.0.2.8"]}
    assert usable_interfaces(names=["wlan0"]) == [Interface("wlan0", "192.0.2.8")]
    assert {interface.name for interface in usable_interfaces(names=["lo"])} == {"lo"}
    assert usable_interfaces(names=["eth9"]) == []


def test_an_interface_is_named_with_its_labelled_addresses_and_a_label_with_its_own(
    machine: dict[str, list[str]],
) -> None:
    machine |= {"eth1": ["192.0.2.7"], "eth1:1": ["192.0.2.8"], "eth10": ["192.0.2.9"]}
    assert {one.host for one in usable_interfaces(names=["eth1"])} == {"192.0.2.7", "192.0.2.8"}
    assert {one.host for one in usable_interfaces(names=["eth1:1"])} == {"192.0.2.8"}


def test_the_families_take_turns_and_there_is_a_bound(machine: dict[str, list[str]]) -> None:
    machine["eth0"] = [f"192.0.2.{number}" for number in range(1, 40)] + ["2001:db8::1", "2001:db8::2"]
    hosts = [interface.host for interface in usable_interfaces()]
    assert hosts[:4] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
    assert len(hosts) == MAX_HOSTS


def test_addresses_that_are_not_accepted_do_not_count(machine: dict[str, list[str]]) -> None:
    machine["eth0"] = ["192.0.2.7", "192.0.2.8"]
    assert usable_interfaces(accepts=lambda host: host == "192.0.2.8") == [Interface("eth0", "192.0.2.8")]
    only_loopback = usable_interfaces(accepts=lambda host: host in ("127.0.0.1", "::1"))
    assert {interface.host for interface in only_loopback} == {"127.0.0.1", "::1"}, "there is nothing else then"


def test_an_interface_without_a_link_is_left_out(machine: dict[str, list[str]]) -> None:
    machine |= {"eth0": ["192.0.2.7"], "unplugged0": ["192.0.2.8"]}
    assert usable_interfaces() == [Interface("eth0", "192.0.2.7")]


def test_an_address_is_ours_while_a_socket_can_be_bound_there() -> None:
    assert gone_addresses(["127.0.0.1", "192.0.2.7", "2001:db8::7"]) == {"192.0.2.7", "2001:db8::7"}
    assert is_loopback("127.0.0.7")
    assert not is_loopback("192.0.2.7")


def test_all_adapters_are_looked_at_once_however_many_addresses_are_asked_about(
    machine: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine |= {"eth0": ["192.0.2.7"], "unplugged0": ["192.0.2.8", "192.0.2.9"], "eth1": ["192.0.2.9"]}
    looks, look = 0, ifaddr.get_adapters

    def counted() -> object:
        nonlocal looks
        looks += 1
        return look()

    monkeypatch.setattr("icelane.aio.interfaces.ifaddr.get_adapters", counted)
    assert gone_addresses([f"192.0.2.{number}" for number in range(7, 30)]) == {
        "192.0.2.8", *(f"192.0.2.{number}" for number in range(10, 30))
    }  # fmt: skip
    assert gone_addresses(()) == set()
    assert looks == 1
