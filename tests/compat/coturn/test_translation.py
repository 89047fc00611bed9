"""What becomes of each line of a turnserver.conf."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.compat.coturn import (
    Fate,
    Surroundings,
    Translation,
    TurnserverError,
    parse_turnserver,
    toml,
    translate,
)
from icelane.compat.coturn.options import OPTIONS, Kind, Shape
from icelane.server.config import Config, parse_config
from icelane.server.config.sources import settings as known_settings
from icelane.server.machine import Machine

OWN = ("10.0.0.5", "2001:db8::5")
HERE = Surroundings(addresses=OWN, folder=Path("/etc"))
SECRET = "0123456789abcdef0123456789abcdef"
VALUES: dict[Shape, list[str | None]] = {
    Shape.SWITCH: [None, "1", "no", "off"],
    Shape.NUMBER: ["0", "1", "4000"],
    Shape.TEXT: [],
}
TEXTS = {
    "listening-ip": ["192.0.2.1", "2001:db8::7"],
    "aux-server": ["192.0.2.1:99", "[::1]:99"],
    "relay-ip": ["10.0.0.5", "10.0.0.6"],
    "external-ip": ["203.0.113.7", "203.0.113.7/10.0.0.5", "2001:db8::9/2001:db8::5"],
    "user": ["alice:wonderland", "bob:0xbc807ee29df3c9ffa736523fb2c4e8ee"],
    "static-auth-secret": [SECRET],
    "allowed-peer-ip": ["10.0.3.7", "10.0.0.0-10.0.1.255", "::ffff:10.0.0.1"],
    "denied-peer-ip": ["10.0.0.0-10.255.255.255", "10.0.3.7", "2001:db8::-2001:db8::ff"],
    "log-min-level": ["debug", "error"],
    "prometheus-address": ["127.0.0.1"],
    "realm": ["example.org"],
}


def read(*lines: str, surroundings: Surroundings = HERE) -> Translation:
    """What becomes of these lines."""
    return translate(parse_turnserver("\n".join(lines)), surroundings)


def values(*lines: str) -> dict[str, object]:
    """The settings that these lines become."""
    return {setting.key: setting.value for setting in read(*lines).settings}


def fates(*lines: str) -> dict[str, Fate]:
    """What becomes of each option."""
    return {remark.option: remark.fate for remark in read(*lines).remarks}


def config_of(*lines: str) -> Config:
    """The lines as the server reads them."""
    machine = Machine(addresses=("127.0.0.1", "::1", *OWN), preferred=OWN)
    return parse_config(tomllib.loads(toml(read(*lines), "turnserver.conf")), machine=machine)


def problems(*lines: str) -> list[str]:
    """What is wrong with these lines."""
    with pytest.raises(TurnserverError) as caught:
        read(*lines)
    return [str(problem) for problem in caught.value.problems]


def test_listeners_are_what_coturn_would_listen_on() -> None:
    assert "turn.listen" not in values("realm=example.org"), "both have the same default"
    assert values("listening-ip=192.0.2.1", "listening-port=80")["turn.listen"] == [
        "udp://192.0.2.1:80",
        "tcp://192.0.2.1:80",
    ]
    secure = values("cert=c.pem", "pkey=k.pem", "tls-listening-port=443", "no-udp", "no-tcp")
    assert secure["turn.listen"] == ["tls://0.0.0.0:443", "tls://[::]:443"]
    assert (secure["tls.certificate"], secure["tls.key"]) == ("/etc/c.pem", "/etc/k.pem")
    assert values("aux-server=192.0.2.1:99", "no-tcp", "no-tls")["turn.listen"] == [
        "udp://0.0.0.0:3478",
        "udp://[::]:3478",
        "udp://192.0.2.1:99",
    ]


def test_a_machine_without_ipv6_listens_without_it() -> None:
    alone = Surroundings(addresses=("10.0.0.5",), folder=Path("/etc"))
    (setting,) = read("listening-port=99", surroundings=alone).settings
    assert setting.value == ["udp://0.0.0.0:99", "tcp://0.0.0.0:99"]


def test_a_key_with_a_password_means_no_tls_and_says_how_to_mend_it() -> None:
    lines = ("cert=c.pem", "pkey=k.pem", "pkey-pwd=abc")
    assert values(*lines) == {}
    assert fates(*lines) == dict.fromkeys(("cert", "pkey", "pkey-pwd"), Fate.WITHOUT)
    assert "openssl pkey" in next(remark.text for remark in read(*lines).remarks if remark.option == "pkey-pwd")


def test_public_addresses_stand_for_private_ones() -> None:
    named = values("external-ip=203.0.113.7/10.0.0.5")
    assert named["turn.external_addresses"] == {"10.0.0.5": "203.0.113.7"}
    assert named["turn.relay_addresses"] == list(OWN), "the other family is still relayed on"
    assert values("external-ip=203.0.113.7")["turn.external_addresses"] == {"10.0.0.5": "203.0.113.7"}
    assert values("relay-ip=10.0.0.9", "external-ip=203.0.113.7")["turn.external_addresses"] == {
        "10.0.0.9": "203.0.113.7"
    }
    assert config_of("external-ip=203.0.113.7/10.0.0.5", "user=a:b").turn.external_by_relay


def test_without_relay_ip_coturn_relays_on_what_it_listens_on() -> None:
    assert values("listening-ip=10.0.0.6")["turn.relay_addresses"] == ["10.0.0.6"]
    assert "turn.relay_addresses" not in values("listening-ip=0.0.0.0")


def test_what_is_allowed_is_cut_out_of_what_is_denied() -> None:
    """There an allowed address is allowed though it is denied too; here it would be denied."""
    found = values("denied-peer-ip=10.0.0.0-10.255.255.255", "allowed-peer-ip=10.0.3.7", "allowed-peer-ip=10.0.0.0")
    assert found["turn.peers.deny"] == ["10.0.0.1-10.0.3.6", "10.0.3.8-10.255.255.255"]
    assert found["turn.peers.allow"] == ["10.0.3.7", "10.0.0.0"]
    assert "turn.peers.deny" not in values("denied-peer-ip=10.0.3.7", "allowed-peer-ip=10.0.0.0-10.0.255.255")


def test_bandwidth_that_counted_each_direction_is_doubled() -> None:
    found = values("max-bps=1000", "bps-capacity=9000", "user-quota=7", "total-quota=70")
    assert found["turn.quota.bytes_per_second_per_allocation"] == 2000
    assert found["turn.quota.bytes_per_second_total"] == 18000
    assert (found["turn.quota.allocations_per_user"], found["turn.quota.allocations_total"]) == (7, 70)
    assert fates("user-quota=0") == {"user-quota": Fate.WITHOUT}


def test_users_and_secrets_are_kept_as_they_are() -> None:
    found = values("user=alice:won=der #land", "user=bob:x", f"static-auth-secret={SECRET}")
    assert found["turn.users"] == {"alice": "won=der #land", "bob": "x"}
    assert found["turn.secrets"] == {"coturn1": SECRET}
    assert values(f'static-auth-secret="{SECRET}"', f"static-auth-secret={SECRET[::-1]}")["turn.secrets"] == {
        "coturn1": SECRET,
        "coturn2": SECRET[::-1],
    }


def test_users_that_did_not_count_do_not_begin_to() -> None:
    lines = ("use-auth-secret", f"static-auth-secret={SECRET}", "user=alice:wonderland")
    assert "turn.users" not in values(*lines)
    assert fates(*lines)["user"] is Fate.NEEDLESS


def test_a_key_in_place_of_a_password_is_named_and_not_taken_for_one() -> None:
    lines = ("user=ninefingers:0xbc807ee29df3c9ffa736523fb2c4e8ee",)
    assert (values(*lines), fates(*lines)) == ({}, {"user": Fate.WITHOUT})
    assert not read(*lines).lets_anybody_in


def test_the_discovery_of_nats_needs_two_addresses_and_somebody_who_asks() -> None:
    two = ("listening-ip=192.0.2.1", "listening-ip=192.0.2.2")
    found = values(*two, "alt-listening-port=3500")
    assert (found["stun.behavior_addresses"], found["stun.behavior_ports"]) == (
        ["192.0.2.1", "192.0.2.2"],
        [3478, 3500],
    )
    assert values(*two, "rfc5780")["stun.behavior_ports"] == [3478, 3479]
    assert "stun.behavior_addresses" not in values(*two)
    assert fates("rfc5780") == {"rfc5780": Fate.WITHOUT}


def test_figures_are_on_loopback_unless_the_file_says_where() -> None:
    assert values("prometheus", "prometheus-port=9700")["metrics.listen"] == "127.0.0.1:9700"
    assert values("prometheus", "prometheus-address=::1")["metrics.listen"] == "[::1]:9641"
    assert fates("prometheus-port=9700") == {"prometheus-port": Fate.NEEDLESS}


def test_of_an_option_that_stands_there_twice_the_last_one_counts() -> None:
    found = read("realm=one.example", "realm=two.example")
    assert [setting.value for setting in found.settings] == ["two.example"]
    assert "line 2" in found.remarks[0].text


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "f", "OFF"])
def test_a_switch_that_is_turned_off_is_off(word: str) -> None:
    assert values(f"no-udp={word}", "cli=off") == {}
    assert set(fates(f"no-udp={word}", "mobility=no").values()) == {Fate.NEEDLESS}


def test_every_line_that_is_wrong_is_named() -> None:
    found = problems(
        "listening-port=70000",
        "relay-ip=eth0",
        "user=alice",
        "no-udp=maybe",
        "external-ip=turn.example.org",
        "denied-peer-ip=10.0.0.9-10.0.0.1",
        "min-port",
    )
    assert [text.split(":")[0] for text in found] == [f"line {number}" for number in range(1, 8)]


def test_no_problem_holds_a_value() -> None:
    """CR-6: errors go to logs and screens, and the value may be a password."""
    assert "geheim" not in "".join(problems("user=geheim", "listening-port=geheim", "allowed-peer-ip=geheim"))
    assert "geheim" not in "".join(problems("no-tls=geheim", "aux-server=geheim", "log-min-level=geheim"))


def test_a_server_that_nobody_could_reach_is_an_error() -> None:
    assert problems("no-udp", "no-tcp") == [
        "line 1: no-udp: with this nobody is listened to: of UDP, TCP and TLS leave one",
        "line 2: no-tcp: with this nobody is listened to: of UDP, TCP and TLS leave one",
    ]


def test_every_option_that_is_mapped_names_a_setting_that_exists() -> None:
    keys = {".".join(path) for path, _ in known_settings()}
    mapped = {option.text for option in OPTIONS.values() if option.kind is Kind.MAPPED}
    assert mapped <= keys


def test_every_name_in_an_explanation_exists() -> None:
    """Words such as turn.plane in a text are names of settings."""
    keys = {".".join(path) for path, _ in known_settings()} | {"turn.quota", "turn.peers"}
    for option in OPTIONS.values():
        for word in option.text.replace(",", " ").replace(":", " ").replace(";", " ").split():
            section, dot, _ = word.strip("[]").partition(".")
            if dot and section in {"turn", "stun", "tls", "server", "metrics", "admin", "log"}:
                assert word.strip("[]") in keys, word


def lines_of(name: str) -> list[str]:
    """What an option may look like."""
    values: list[str | None] = [*TEXTS.get(name, []), *VALUES[OPTIONS[name].shape]] or ["x"]
    return [name if value is None else f"{name}={value}" for value in values]


LINES = st.sampled_from(sorted(OPTIONS)).flatmap(lambda name: st.sampled_from(lines_of(name)))


@given(st.lists(LINES, max_size=30))
def test_every_line_has_an_answer_whatever_stands_beside_it(lines: list[str]) -> None:
    try:
        found = read(*lines)
    except TurnserverError:
        return
    assert [remark.line for remark in found.remarks] == list(range(1, len(lines) + 1))
    document = tomllib.loads(toml(found, "x"))
    assert set(document) <= {"turn", "stun", "tls", "metrics", "log"}
