"""The configuration of a development node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from icelane.node.development.configuration import Ports, development_configuration, page_url, relay_hosts
from icelane.server.config import Config, PortRange
from icelane.server.ice_servers import advertised, turn_url
from icelane.server.machine import Machine
from icelane.testing.entropy import SeededEntropy

PORTS = Ports(web=8443, turn=3478, turns=5349, relay=PortRange(49160, 49199))
HOSTS = ("192.168.1.20", "fd00::20", "127.0.0.1", "::1")
LAPTOP = Machine(
    addresses=HOSTS,
    preferred=HOSTS[:2],
    networks=("192.168.1.20/24", "fd00::20/64", "127.0.0.1/8", "::1/128"),
)
LOOPBACK = ("127.0.0.1", "::1")


def configured(
    folder: Path,
    hosts: tuple[str, ...] = HOSTS,
    *,
    seed: int = 1,
    name: str | None = None,
    machine: Machine = LAPTOP,
) -> Config:
    """What a node on `hosts` goes by."""
    return development_configuration(
        machine=machine, hosts=hosts, ports=PORTS, folder=folder, entropy=SeededEntropy(seed), name=name
    )


def told(config: Config) -> list[str]:
    """The URLs that pages get."""
    return [turn_url(listener) for listener in advertised(config)]


def test_every_address_has_https_and_the_first_has_turn_over_udp_tcp_and_tls(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert {str(one) for one in config.server.listen} == {f"https://{host}" for host in (
        "192.168.1.20:8443", "[fd00::20]:8443", "127.0.0.1:8443", "[::1]:8443")}  # fmt: skip
    schemes = {str(one).partition(":")[0] for one in config.turn.listen if one.host == "192.168.1.20"}
    assert schemes == {"udp", "tcp", "tls"}
    assert not any(one.host == "fd00::20" for one in config.turn.listen)


def test_secrets_are_those_of_one_run(tmp_path: Path) -> None:
    first, second = configured(tmp_path), configured(tmp_path, seed=2)
    secrets = {config.turn.secrets[0].secret.get_secret_value() for config in (first, second)}
    assert len(secrets) == 2
    signing = {
        str(config.auth.jwt[0].secret.get_secret_value()) for config in (first, second) if config.auth.jwt[0].secret
    }
    assert len(signing | secrets) == 4


def test_the_relay_reaches_the_lan_and_no_loopback(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert config.turn.peers.allow == ("192.168.1.0/24", "fd00::/64")
    assert not config.turn.dangerously_allow_loopback_peers
    assert config.turn.relay_addresses == ("192.168.1.20", "fd00::20")
    assert len(config.turn.relay_ports.ports) == 40


def test_the_relay_reaches_no_network_of_containers_or_of_a_vpn(tmp_path: Path) -> None:
    """A guest of a page would reach what trusts whoever comes from there."""
    hosts = ("192.168.1.20", "172.17.0.1", "10.8.0.2", "127.0.0.1")
    machine = Machine(
        addresses=hosts,
        preferred=hosts[:1],
        networks=("192.168.1.20/24", "172.17.0.1/16", "10.8.0.2/24", "127.0.0.1/8"),
    )
    config = configured(tmp_path, hosts, machine=machine)
    assert config.turn.peers.allow == ("192.168.1.0/24",)


def test_a_machine_without_a_network_relays_on_loopback(tmp_path: Path) -> None:
    config = configured(tmp_path, LOOPBACK)
    assert config.turn.dangerously_allow_loopback_peers
    assert config.turn.relay_addresses == LOOPBACK
    assert relay_hosts(LOOPBACK) == LOOPBACK


def test_pages_get_turn_by_address_and_no_turns_without_a_name(tmp_path: Path) -> None:
    assert told(configured(tmp_path)) == [
        "turn:192.168.1.20:3478?transport=udp",
        "turn:192.168.1.20:3478?transport=tcp",
    ]


def test_with_a_name_turns_is_added_and_the_others_stay_addresses(tmp_path: Path) -> None:
    """Not every device of a network finds a name in .local, and none needs one for UDP."""
    urls = told(configured(tmp_path, name="laptop.local"))
    assert urls[:2] == ["turn:192.168.1.20:3478?transport=udp", "turn:192.168.1.20:3478?transport=tcp"]
    assert urls[2:] == ["turns:laptop.local:5349?transport=tcp", "turns:laptop.local:8443?transport=tcp"]


def test_browsers_are_not_told_to_keep_to_https(tmp_path: Path) -> None:
    assert float(configured(tmp_path).server.hsts) == 0.0


def test_pages_of_every_address_may_connect_and_no_others(tmp_path: Path) -> None:
    origins = configured(tmp_path, name="laptop.local").server.allowed_origins
    assert set(origins) == {
        "https://192.168.1.20:8443",
        "https://[fd00::20]:8443",
        "https://127.0.0.1:8443",
        "https://[::1]:8443",
        "https://localhost:8443",
        "https://laptop.local:8443",
    }


def test_ports_that_were_taken_are_known() -> None:
    moved = Ports(web=8444, turn=3478, turns=5350, relay=PortRange(49200, 49239)).moved()
    assert moved == {8443: 8444, 5349: 5350, 49160: 49200}
    assert PORTS.moved() == {}


@pytest.mark.parametrize(
    ("host", "url"), [("192.168.1.20", "https://192.168.1.20:8443/r/a"), ("::1", "https://[::1]:8443/r/a")]
)
def test_a_page_has_an_address_of_its_family(host: str, url: str) -> None:
    assert page_url(host, 8443, "/r/a") == url


def test_ports_are_free_ones() -> None:
    ports = Ports.free(["127.0.0.1"], ["127.0.0.1"], 20_000 + os.getpid() % 20_000)
    assert len({ports.web, ports.turn, ports.turns}) == 3
