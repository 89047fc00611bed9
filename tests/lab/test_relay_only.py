"""IC-8 behind the kernel's own NATs: relay-only connects every pair of networks, and sends to the TURN server only.

Captured are the interface of each host and its loopback device, where a name server would be asked, from before
gathering until the connections are closed. Each side is also told where the other really is, by candidates of every
kind, among them a name that mDNS would be asked for. The calls run in rounds in which a host takes part in one call at
most, so that what it sends is of that call.

Allowed are the server's addresses at the ports that its URLs name, ICMP to it (when something of it comes after the
close, the kernel says that nobody is there), and the HTTP proxy of a network that has one. Nothing else, no DNS and no
multicast: the server's name is in /etc/hosts. How IPv6 finds the gateway is the kernel's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Final, get_args

import pytest

from icelane.testing.lab import Lab
from icelane.testing.lab.capture import Capture, Packet
from tests.lab.chosen import every_cell, wanted
from tests.lab.networks import Cell, Kind, Side
from tests.lab.stage import Lures, Outcome, Policy, Stage, diagonal, members, stage
from tests.testing.lab.sockets import need_lab

POLICIES: Final = [policy for policy in get_args(Policy) if policy != "all"]

WAYS: Final = [("udp", 3478), ("tcp", 3478), ("tcp", 5349), ("tcp", 443), ("icmp", 0), ("icmpv6", 0)]

# Where nobody listens: what is sent there is sent because of a lure.
# Below those that a system takes for itself: a NAT maps to one of these now and then.
LURE_PORT: Final = 21001
REFLEXIVE_LURE_PORT: Final = 21002
TCP_LURE_PORT: Final = 21003
LURE_NAME: Final = "6a1f4c1e-0000-4000-8000-000000000000.local"

MDNS: Final = ("udp", "224.0.0.251", 5353)
DNS: Final = ("udp", "127.0.0.1", 53)

# RFC 4861: neighbours, routers, solicited nodes; RFC 3810: who wants to hear the latter.
NEIGHBOURS: Final = [IPv6Network(range_) for range_ in ("fe80::/10", "ff02::2", "ff02::16", "ff02::1:ff00:0/104")]

Rows = Counter[Packet]
Receivers = set[tuple[str, str, int]]
"""Protocol, address, port."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A call, and to whom each side's host has sent anything meanwhile."""

    outcome: Outcome
    sent: Mapping[Side, Receivers]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """All calls of one policy."""

    policy: Policy
    calls: Mapping[Cell, Watched]
    by_server: Receivers
    """To whom the server has sent anything meanwhile."""
    control: Watched
    """A call that may use every path, between open hosts, in the same lab and with the same lures."""
    asked: Receivers
    """To whom a host sends to look up a name that is not in its /etc/hosts."""
    lab: Lab


def addresses(lab: Lab, side: Side, kind: Kind) -> list[str]:
    """Where a side is: its host's addresses, and by which its gateways are known outside."""
    gateways = [name for name in lab if name.startswith(f"{side.value}-net-{kind.slug}")]
    machines = [lab[name] for name in (side.host(kind), *gateways)]
    return [address for machine in machines for address in (machine.ipv4, machine.ipv6) if address is not None]


def lures_to(lab: Lab, side: Side, kind: Kind) -> list[str]:
    """Candidates that a side could have told if it hid nothing; on ports where nobody listens."""
    lines = [f"candidate:1 1 udp 2122260223 {LURE_NAME} {LURE_PORT} typ host"]
    for address in addresses(lab, side, kind):
        lines += [
            f"candidate:2 1 udp 2122260222 {address} {LURE_PORT} typ host",
            f"candidate:3 1 udp 1686052607 {address} {REFLEXIVE_LURE_PORT} typ srflx raddr 0.0.0.0 rport 9",
            f"candidate:4 1 tcp 1518280447 {address} {TCP_LURE_PORT} typ host tcptype passive",
        ]
    return lines


def lures(lab: Lab, cell: Cell) -> Lures:
    """To the offerer those that lead to the answerer, and the other way round."""
    offerer, answerer = cell
    return lures_to(lab, Side.ANSWERER, answerer), lures_to(lab, Side.OFFERER, offerer)


def rounds(cells: list[Cell]) -> Iterator[list[Cell]]:
    """All of them, and no host twice in a round."""
    assert len(set(cells)) == len(cells)
    for _, abreast in itertools.groupby(sorted(cells, key=diagonal), key=diagonal):
        yield list(abreast)


@contextlib.contextmanager
def capturing(lab: Lab, hosts: set[str]) -> Iterator[Mapping[str, list[Capture]]]:
    """Capture on the interface and on the loopback device of each."""
    with contextlib.ExitStack() as stack:
        devices = (None, "lo")
        yield {host: [stack.enter_context(lab[host].capture(device)) for device in devices] for host in hosts}


def rows_of(captures: list[Capture]) -> Rows:
    """What has left until now."""
    found = Rows()
    for capture in captures:
        found.update({row: count for row, count in capture.packets().items() if row.is_outgoing})
    return found


def receivers(rows: Rows) -> Receivers:
    """To whom it went, without what IPv6 does to find the gateway."""
    return {
        (row.protocol, row.destination, row.destination_port)
        for row in rows
        if row.protocol != "icmpv6" or not any(IPv6Address(row.destination) in range_ for range_ in NEIGHBOURS)
    }


async def watch(found: Stage, cells: list[Cell], policy: Policy) -> Mapping[Cell, Watched]:
    """Call once for each cell, and see what the hosts send."""
    watched = {}
    names = {cell: {side: side.host(kind) for side, kind in zip(Side, cell, strict=True)} for cell in cells}
    with capturing(found.lab, {name for of_cell in names.values() for name in of_cell.values()}) as captures:
        for abreast in rounds(cells):
            before = {name: rows_of(of_host) for name, of_host in captures.items()}
            outcomes = await asyncio.gather(*(found.call(*cell, policy, lures(found.lab, cell)) for cell in abreast))
            for cell, outcome in zip(abreast, outcomes, strict=True):
                sent = {side: receivers(rows_of(captures[name]) - before[name]) for side, name in names[cell].items()}
                watched[cell] = Watched(outcome=outcome, sent=sent)
    return watched


def look_up(lab: Lab) -> Receivers:
    """Ask for a name that nobody has."""
    host = Side.OFFERER.host(Kind.OPEN)
    with capturing(lab, {host}) as captures:
        lab[host].run("getent", "hosts", "nowhere.example.org")
        return receivers(rows_of(captures[host]))


@pytest.fixture(scope="module", params=POLICIES)
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Watch:
    need_lab(*members())
    policy: Policy = request.param
    cells = wanted(request)

    async def run(folder: Path) -> Watch:
        async with stage(folder) as found:
            with capturing(found.lab, {"server"}) as captures:
                calls = await watch(found, cells, policy)
                by_server = receivers(rows_of(captures["server"]))
            control = await watch(found, [(Kind.OPEN, Kind.OPEN)], "all")
            return Watch(
                policy=policy,
                calls=calls,
                by_server=by_server,
                control=control[Kind.OPEN, Kind.OPEN],
                asked=look_up(found.lab),
                lab=found.lab,
            )

    return asyncio.run(run(tmp_path_factory.mktemp("relay-only")))


@every_cell
def test_every_pair_is_connected_through_the_relay(watched: Watch, cell: Cell) -> None:
    outcome = watched.calls[cell].outcome
    assert outcome.error == ""
    assert [(end["local"], end["remote"]) for end in outcome.ends] == [("relay", "relay")] * 2


@every_cell
def test_both_hosts_send_to_the_turn_server_only(watched: Watch, cell: Cell) -> None:
    """IC-8: from gathering to the close, though each knows where the other is."""
    lab = watched.lab
    server = {(protocol, address, port) for address in addresses_of_server(lab) for protocol, port in WAYS}
    for side, kind in zip(Side, cell, strict=True):
        host = lab[side.host(kind)]
        proxy = set() if host.proxy is None else {("tcp", str(host.proxy_host), host.proxy.port)}
        sent = watched.calls[cell].sent[side]
        assert sent - server - proxy == set()
        assert sent & (proxy or server)  # the capture has seen the way there


def test_only_with_relay_strict_does_the_server_ask_for_nobody_but_itself(watched: Watch) -> None:
    """IC-8: with plain `relay` the relay knocks at the doors of the peer that it is told."""
    lured = {row for row in watched.by_server if row[2] in (LURE_PORT, REFLEXIVE_LURE_PORT, TCP_LURE_PORT)}
    others = {row for row in watched.by_server if row[1] not in addresses_of_server(watched.lab)}
    assert others
    assert bool(lured) == (watched.policy == "relay")


def test_where_every_path_may_be_used_the_same_capture_shows_the_other_side_and_multicast(watched: Watch) -> None:
    """So the lures are taken, and what would go there is seen."""
    assert watched.control.outcome.error == ""
    for side, other in ((Side.OFFERER, Side.ANSWERER), (Side.ANSWERER, Side.OFFERER)):
        sent = watched.control.sent[side]
        assert MDNS in sent
        assert sent & {("udp", address, LURE_PORT) for address in addresses(watched.lab, other, Kind.OPEN)}


def test_whoever_asks_a_name_server_is_seen(watched: Watch) -> None:
    assert DNS in watched.asked


def addresses_of_server(lab: Lab) -> set[str]:
    server = lab["server"]
    return {address for address in (server.ipv4, server.ipv6) if address is not None}
