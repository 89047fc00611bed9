"""A description that makes no sense is refused in words, and the others get addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from icelane.testing.lab import Firewall, Host, HttpProxy, Nat, Network, Way, build
from icelane.testing.lab.addresses import survey
from icelane.testing.lab.description import MAX_MEMBERS, MAX_NETWORKS, Member, check


def internet(*members: Member) -> Network:
    return Network("internet", *members)


def office(*, port: int = 3128, connect_ports: tuple[int, ...] = (443,), user: str | None = None) -> Network:
    proxy = HttpProxy(port=port, connect_ports=connect_ports, user=user)
    return Network("office", firewall=Firewall.ONLY_PROXY, proxy=proxy)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([Host("Alice")], "'Alice' is no name for a host"),
        ([Host("a b")], "no name for a host"),
        ([Host("alice", names=("-x",))], "'-x' is no name"),
        ([Host("alice"), Network("home", Host("alice"))], "two called 'alice'"),
        ([Host("alice"), Host("bob", names=("alice",))], "two called 'alice'"),
        ([Host("internet")], "two called 'internet'"),
        ([Network("none", ipv4=False, ipv6=False)], "none has neither IPv4 nor IPv6"),
        ([Network("six", ipv4=False, ipv6=True, nat=Nat.SYMMETRIC)], "six has a NAT and no IPv4"),
        ([Network("home", Network("room"), nat=Nat.SYMMETRIC)], "room has ipv6 and the network around it, home"),
        ([Network("office", firewall=Firewall.ONLY_TLS, proxy=HttpProxy())], "office has a proxy and another"),
        ([office(port=70_000)], "the proxy of office has a port 70000; ports are numbers from 1 to 65535"),
        ([office(port=0)], "the proxy of office has a port 0;"),
        ([office(connect_ports=(443, -1))], "the proxy of office has a port -1;"),
        ([office(user="a:b")], "the proxy of office has a user with a colon"),
        ([office(connect_ports=())], "the proxy of office has no connect_ports"),
        ([Host("alice", down=Way(delay=1))], "alice has a line with down and without up"),
        ([Network("big", *(Host(f"h{number}") for number in range(MAX_MEMBERS + 1)))], "big has more than"),
        ([Network(f"n{number}") for number in range(MAX_NETWORKS + 1)], "are more than"),
    ],
)
def test_what_cannot_be_built_is_refused(members: list[Member], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check(internet(*members))


NONE_OF_THESE: list[tuple[Any, str]] = [
    ("a", "'a' is neither"),
    (Network("home", cast(Any, "alice")), "'alice' is neither"),
    (Network("home", Host("alice"), nat=cast(Any, "symmetric")), "nat of home is a Nat, not 'symmetric'"),
    (Network("home", Host("alice"), firewall=cast(Any, "udp")), "firewall of home is a Firewall, not 'udp'"),
    (Host("alice", names=cast(Any, "xyz")), "names of alice is a tuple of strings, not 'xyz'"),
    (Host("alice", up=cast(Any, 0.1)), "up of alice is a Way, not 0.1"),
    (Host(cast(Any, 5)), "the name of a Host is a string, not 5"),
]


@pytest.mark.parametrize(("member", "words"), NONE_OF_THESE)
def test_what_is_no_description_is_refused(member: Member, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        check(internet(member))


def test_a_seed_is_a_number() -> None:
    with pytest.raises(TypeError, match="seed is a number, not 'x'"), build(Host("alice"), seed=cast(Any, "x")):
        pass


def test_a_network_has_ipv6_unless_it_has_a_nat() -> None:
    assert Network("campus").ipv6
    assert not Network("home", nat=Nat.SYMMETRIC).ipv6
    assert Network("home", nat=Nat.SYMMETRIC, ipv6=True).ipv6


def test_a_network_like_another_one_is_made_by_replacing() -> None:
    home = Network("home", Host("alice"), Network("room", Host("bob")), nat=Nat.SYMMETRIC, ipv6=True, up=Way(delay=1))
    second = replace(home, name="second", nat=Nat.PORT_PRESERVING)
    assert (second.name, second.nat) == ("second", Nat.PORT_PRESERVING)
    assert (second.members, second.ipv6, second.up) == (home.members, True, Way(delay=1))
    assert replace(home) == home
    assert replace(home, members=(Host("carol"),)).members == (Host("carol"),)


def test_every_kind_of_network_has_addresses_of_its_own_kind() -> None:
    description = internet(
        Host("server"),
        Network("campus", Host("alice")),
        Network("home", Host("bob"), Network("room", Host("carol"), ipv6=False), nat=Nat.PORT_PRESERVING),
        Network("carrier", Network("flat", Host("dora"), nat=Nat.SYMMETRIC), nat=Nat.SYMMETRIC),
        Network("six", Host("fred"), ipv4=False),
    )
    check(description)
    found = {site.member.name: (site.ipv4, site.ipv6) for site in survey(description)}
    assert found == {
        "server": ("198.18.0.2", "2001:2::2"),
        "campus": ("198.18.0.3", "2001:2::3"),
        "alice": ("198.18.1.2", "2001:2:0:1::2"),
        "home": ("198.18.0.4", "2001:2::4"),
        "bob": ("192.168.2.2", None),
        "room": ("192.168.2.3", None),
        "carol": ("192.168.3.2", None),
        "carrier": ("198.18.0.5", "2001:2::5"),
        "flat": ("100.64.4.2", None),
        "dora": ("192.168.5.2", None),
        "six": ("198.18.0.6", "2001:2::6"),
        "fred": (None, "2001:2:0:6::2"),
    }


def test_the_password_of_a_proxy_is_not_in_what_is_printed() -> None:
    assert "secret" not in repr(
        Network("bank", firewall=Firewall.ONLY_PROXY, proxy=HttpProxy(user="a", password="secret"))
    )
