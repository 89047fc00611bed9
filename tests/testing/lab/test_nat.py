"""The NATs of the lab are what their names say, seen by plain sockets (RFC 4787)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from icelane.testing.lab import Host, Lab, Nat, Network, build
from tests.testing.lab.sockets import connect, datagrams, echo, echoing, need_lab, next_source, source_seen

need_lab()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with build(
        Host("server"),
        Host("stranger"),
        Network("home", Host("alice"), Host("anna"), nat=Nat.PORT_PRESERVING),
        Network("flat", Host("bob"), nat=Nat.PORT_PRESERVING),
        Network("hotel", Host("carol"), nat=Nat.SYMMETRIC),
        Network("carrier", Network("farm", Host("dora"), nat=Nat.PORT_PRESERVING), nat=Nat.PORT_PRESERVING),
        Network("dual", Host("fred"), nat=Nat.PORT_PRESERVING, ipv6=True),
    ) as built:
        yield built


@pytest.mark.parametrize(("name", "gateway"), [("alice", "home"), ("dora", "carrier")])
def test_a_port_preserving_nat_shows_every_destination_the_same_port(lab: Lab, name: str, gateway: str) -> None:
    with datagrams(lab[name]) as inner, datagrams(lab["server"]) as server, datagrams(lab["stranger"]) as stranger:
        mapped = lab[gateway].ipv4, inner.getsockname()[1]
        assert [source_seen(inner, outer) for outer in (server, stranger)] == [mapped, mapped]


def test_a_symmetric_nat_shows_every_destination_another_port(lab: Lab) -> None:
    with (
        datagrams(lab["carol"]) as inner,
        datagrams(lab["server"]) as server,
        datagrams(lab["server"]) as other_port,
        datagrams(lab["stranger"]) as stranger,
    ):
        seen = [source_seen(inner, outer) for outer in (server, other_port, stranger)]
        assert {source[0] for source in seen if source is not None} == {lab["hotel"].ipv4}
        assert len({source[1] for source in seen if source is not None} | {inner.getsockname()[1]}) == 4
        assert source_seen(inner, server) == seen[0]


def test_two_hosts_with_the_same_port_get_different_ones(lab: Lab) -> None:
    with (
        datagrams(lab["alice"], 7000) as alice,
        datagrams(lab["anna"], 7000) as anna,
        datagrams(lab["server"]) as server,
    ):
        seen = {source_seen(inner, server) for inner in (alice, anna)}
    assert len(seen) == 2
    assert (lab["home"].ipv4, 7000) in seen


@pytest.mark.parametrize("name", ["alice", "carol", "dora"])
def test_answers_are_let_in_and_nobody_else(lab: Lab, name: str) -> None:
    """Address- and port-dependent filtering."""
    with (
        datagrams(lab[name]) as inner,
        datagrams(lab["server"]) as server,
        datagrams(lab["server"]) as other_port,
        datagrams(lab["stranger"]) as stranger,
    ):
        mapped = source_seen(inner, server)
        assert mapped is not None
        for outer, passes in ((stranger, False), (other_port, False), (server, True)):
            outer.sendto(b"answer", mapped)
            assert (next_source(inner) is not None) is passes


@pytest.mark.parametrize(("left", "right"), [("alice", "bob"), ("alice", "dora"), ("dora", "bob")])
def test_two_port_preserving_nats_are_punched_although_the_first_packet_comes_too_early(
    lab: Lab, left: str, right: str
) -> None:
    with datagrams(lab[left]) as inner, datagrams(lab[right]) as other, datagrams(lab["server"]) as server:
        mapped, other_mapped = source_seen(inner, server), source_seen(other, server)
        assert mapped is not None
        assert other_mapped is not None
        inner.sendto(b"too early", other_mapped)
        assert next_source(other) is None
        other.sendto(b"now", mapped)
        assert next_source(inner) == other_mapped
        inner.sendto(b"and back", other_mapped)
        assert next_source(other) == mapped


def test_a_symmetric_nat_is_not_punched(lab: Lab) -> None:
    with datagrams(lab["carol"]) as inner, datagrams(lab["bob"]) as other, datagrams(lab["server"]) as server:
        mapped, other_mapped = source_seen(inner, server), source_seen(other, server)
        assert mapped is not None
        assert other_mapped is not None
        for _ in range(2):
            inner.sendto(b"hello", other_mapped)
            other.sendto(b"hello", mapped)
        assert next_source(inner) is next_source(other) is None


def test_a_connection_is_let_out_and_none_is_let_in(lab: Lab) -> None:
    home = lab["home"].ipv4
    assert home is not None
    assert lab["server"].ipv4 is not None
    with echoing(lab["server"], 80) as came, echoing(lab["alice"], 80):
        assert echo(lab["alice"], lab["server"].ipv4, 80)
        assert came[0][0] == home
        assert connect(lab["server"], home, 80) is None


def test_ipv6_is_not_translated_and_lets_nobody_in(lab: Lab) -> None:
    fred = lab["fred"].ipv6
    with datagrams(lab["fred"], host=fred) as inner, datagrams(lab["server"], host=lab["server"].ipv6) as server:
        server.sendto(b"hello", inner.getsockname())
        assert next_source(inner) is None
        assert source_seen(inner, server) == (fred, inner.getsockname()[1])
        server.sendto(b"hello", inner.getsockname())
        assert next_source(inner) is not None
