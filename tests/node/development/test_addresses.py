"""On which addresses a development node listens."""

from __future__ import annotations

import pytest

from icelane.errors import ConfigurationError
from icelane.node.development.addresses import (
    MAX_HOSTS,
    NotPrivateError,
    chosen_hosts,
    is_private,
    left_out,
    networks_of,
)
from icelane.server.machine import Machine

LAPTOP = Machine(
    addresses=("127.0.0.1", "::1", "172.17.0.1", "192.168.1.20", "fd00::20", "2a00:1450::20", "169.254.3.4"),
    preferred=("192.168.1.20", "2a00:1450::20"),
    networks=("127.0.0.1/8", "::1/128", "172.17.0.1/16", "192.168.1.20/24", "fd00::20/64", "2a00:1450::20/64"),
)


def test_everything_private_is_listened_on_and_what_leads_out_comes_first() -> None:
    assert chosen_hosts(LAPTOP) == ("192.168.1.20", "172.17.0.1", "fd00::20", "127.0.0.1", "::1")


def test_public_addresses_are_left_out_and_said() -> None:
    assert left_out(LAPTOP) == ("2a00:1450::20",)


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8", "2a00:1450::20", "100.64.0.7", "172.32.0.1", "169.254.3.4", "fe80::1", "224.0.0.1", "0.0.0.0", "::"],
)
def test_an_address_that_others_may_reach_is_refused(host: str) -> None:
    with pytest.raises(NotPrivateError):
        chosen_hosts(LAPTOP, [host])


@pytest.mark.parametrize("host", ["10.1.2.3", "172.31.255.255", "192.168.0.1", "fc00::1", "127.0.0.9", "::1"])
def test_a_private_address_is_taken(host: str) -> None:
    assert is_private(host)
    assert chosen_hosts(LAPTOP, [host]) == (host,)


def test_an_address_of_ipv6_may_stand_in_brackets() -> None:
    assert chosen_hosts(LAPTOP, ["[fd00::20]"]) == ("fd00::20",)


def test_what_is_no_address_is_said_to_be_none() -> None:
    with pytest.raises(ConfigurationError, match=r"laptop\.local is no IP address"):
        chosen_hosts(LAPTOP, ["laptop.local"])


def test_a_machine_with_many_bridges_listens_on_some() -> None:
    bridges = tuple(f"172.18.{number}.1" for number in range(50))
    hosts = chosen_hosts(Machine(addresses=bridges, preferred=("172.18.9.1",)))
    assert len(hosts) == MAX_HOSTS
    assert hosts[0] == "172.18.9.1"


def test_the_relay_reaches_the_networks_that_the_node_is_in_and_no_loopback() -> None:
    hosts = chosen_hosts(LAPTOP)
    assert networks_of(LAPTOP, hosts) == ("172.17.0.0/16", "192.168.1.0/24", "fd00::/64")
