"""The networks of the matrix, a relay on the internet between them, and a peer in each: two of them call each other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from icelane.testing.lab import Host, Lab, build
from icelane.testing.lab.addresses import PUBLIC_IPV4, PUBLIC_IPV6
from icelane.testing.lab.description import Member
from tests import certificates
from tests.interop.peers.program import Program
from tests.interop.peers.remote import PeerError
from tests.interop.running import ICELANE, answers_binding, running
from tests.lab.expected import Leg, Route
from tests.lab.networks import Cell, Kind, Side, network

USER: Final = "alice"
PASSWORD: Final = "through-any-network"

CALL_TIMEOUT: Final = 20.0
"""Seconds for a call from the offer to the settled path. Those that succeed take less than two."""
ABREAST: Final = 8
"""Calls at a time: they wait for each other's packets, and for timers, more than for a processor."""

NICENESS: Final = -10

Policy = Literal["all", "relay", "relay-strict"]

Lures = tuple[Sequence[str], Sequence[str]]
"""Candidates of nobody that the offerer and the answerer are told, before those that the other side has."""

# What might be set where the tests run, and means nothing in the lab.
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call."""

    route: Route | None
    """None when it was not connected; then `error` says why."""
    setup: float
    """Seconds from the beginning of the offer until both ends of the channel were open."""
    error: str = ""
    ends: list[dict[str, Any]] = field(default_factory=list)
    """What each side says of the path: `local` and `remote` candidate types, `transport`."""


def members() -> list[Member]:
    """What the lab is built from."""
    return [
        Host("server", names=(certificates.NAME,)),
        *(network(kind, side) for side in Side for kind in Kind),
    ]


class Stage:
    """Runs calls, several at a time. A peer is started with the first call from its network."""

    def __init__(self, lab: Lab, folder: Path, abreast: int = ABREAST) -> None:
        self.lab = lab
        self._folder = folder
        self._authority = certificates.authority_file(folder)
        self._peers: dict[str, asyncio.Task[Program]] = {}
        self._numbers = itertools.count(1)
        self._abreast = asyncio.Semaphore(abreast)

    async def call(self, offerer: Kind, answerer: Kind, policy: Policy = "all", lures: Lures = ((), ())) -> Outcome:
        """One call, from nothing to nothing."""
        async with self._abreast:
            one, other = await asyncio.gather(self._peer(Side.OFFERER, offerer), self._peer(Side.ANSWERER, answerer))
            name = f"call {next(self._numbers)}"
            began = time.monotonic()
            try:
                async with asyncio.timeout(CALL_TIMEOUT):
                    return await _call(name, one, other, policy, lures)
            except (PeerError, TimeoutError, ExceptionGroup) as error:
                said = [await _said(peer, name) for peer in (one, other)]
                told = f"{error!r}; the offerer: {said[0]}; the answerer: {said[1]}"
                return Outcome(route=None, setup=time.monotonic() - began, error=told)
            finally:
                # Both at once: a server that does not answer is waited for.
                await asyncio.gather(
                    *(peer.call("end", {"call": name}) for peer in (one, other)), return_exceptions=True
                )

    async def warm_up(self, cells: Iterable[Cell]) -> None:
        """Start the peers of these cells and let each call once, so that no first time is measured."""
        warmed: set[str] = set()
        for offerer, answerer in cells:
            hosts = {Side.OFFERER.host(offerer), Side.ANSWERER.host(answerer)}
            if not hosts <= warmed:
                warmed |= hosts
                await self.call(offerer, answerer)

    async def calls(self, cells: Iterable[Cell], runs: int = 1) -> dict[Cell, list[Outcome]]:
        """Every cell so many times: one round after the other through all of them.

        Those at the same time are of one diagonal of the matrix: no peer is in two of them.
        """
        outcomes: dict[Cell, list[Outcome]] = {cell: [] for cell in cells}
        order = sorted(outcomes, key=diagonal)
        for _ in range(runs):
            found = await asyncio.gather(*(self.call(*cell) for cell in order))
            for cell, outcome in zip(order, found, strict=True):
                outcomes[cell].append(outcome)
        return outcomes

    async def close(self) -> None:
        """End the peers."""
        for starting in self._peers.values():
            peer = await starting
            await peer.close()

    async def _peer(self, side: Side, kind: Kind) -> Program:
        name = side.host(kind)
        if name not in self._peers:
            self._peers[name] = asyncio.create_task(self._start(name))
        return await self._peers[name]

    async def _start(self, name: str) -> Program:
        machine = self.lab[name]
        module = [*ICELANE[:1], "-m", "tests.lab.peer"]
        command = machine.command(*module, str(self._authority), certificates.NAME, USER, PASSWORD)
        environment = dict.fromkeys(_PROXY_VARIABLES, "")
        if machine.proxy_url is not None:
            environment["https_proxy"] = machine.proxy_url  # in small letters, which count more
        peer = await Program.run(command, self._folder / f"{name}.log", environment)
        await peer.call("ready", {})
        return peer


def diagonal(cell: Cell) -> int:
    """Which diagonal of the matrix a pair is on: as many as there are kinds, with each kind once on either side."""
    offerer, answerer = map(list(Kind).index, cell)
    return (answerer - offerer) % len(Kind)


async def _call(name: str, one: Program, other: Program, policy: Policy, lures: Lures) -> Outcome:
    began = time.monotonic()

    def ask(peer: Program, method: str, **given: object) -> Coroutine[Any, Any, Any]:
        return peer.call(method, {"call": name, **given})

    offer = await ask(one, "offer", policy=policy)
    answer = await ask(other, "answer", policy=policy, offer=offer)
    trickling = [asyncio.create_task(_trickle(ask, other, one, lures[0]))]
    try:
        await ask(one, "accept", answer=answer)
        trickling.append(asyncio.create_task(_trickle(ask, one, other, lures[1])))
        await asyncio.gather(ask(one, "opened"), ask(other, "opened"))
        setup = time.monotonic() - began
        if not await ask(one, "echo"):
            return Outcome(route=None, setup=setup, error="what came back is not what was sent")
        ends = await asyncio.gather(ask(one, "route"), ask(other, "route"))
    finally:
        for task in trickling:
            task.cancel()
        await asyncio.gather(*trickling, return_exceptions=True)
    legs = [Leg[end["transport"].upper()] for end in ends]
    is_relayed = any("relay" in (end["local"], end["remote"]) for end in ends)
    return Outcome(route=Route(is_relayed, *legs), setup=setup, ends=list(ends))


async def _trickle(
    ask: Callable[..., Coroutine[Any, Any, Any]], source: Program, target: Program, lures: Iterable[str]
) -> None:
    """Carry candidates, as signaling does; the lures first."""
    for line in lures:
        await ask(target, "add_candidate", candidate={"candidate": line, "sdpMid": "0"})
    candidate: object = ""
    while candidate is not None:
        candidate = await ask(source, "next_candidate")
        await ask(target, "add_candidate", candidate=candidate)


async def _said(peer: Program, name: str) -> object:
    try:
        async with asyncio.timeout(1):
            return await peer.call("states", {"call": name})
    except (PeerError, TimeoutError) as error:
        return repr(error)


@contextlib.asynccontextmanager
async def stage(folder: Path, abreast: int = ABREAST) -> AsyncIterator[Stage]:
    """Set it up, in an empty folder. Raises LabError where that cannot be."""
    with _ahead_of_others(), build(*members()) as lab:
        server = lab["server"]
        hosts = [host for host in (server.ipv4, server.ipv6) if host is not None]
        (folder / "icelane.toml").write_text(_configuration(folder, hosts))

        def is_ready() -> bool:
            with server.inside():
                return answers_binding(hosts[0], 3478)

        command = server.command(*ICELANE, "serve", "-c", str(folder / "icelane.toml"))
        with running(command, ready=is_ready, directory=folder):
            found = Stage(lab, folder, abreast)
            try:
                yield found
            finally:
                await found.close()


@contextlib.contextmanager
def _ahead_of_others() -> Iterator[None]:
    """Let this thread, and what it starts, have the processors before other programs.

    ICE waits for a better path for a second; where others keep the processors longer, the path says who won.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):  # of root in a namespace of users, who waits like everybody
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _configuration(folder: Path, hosts: list[str]) -> str:
    """A relay as on the internet, for both families, on the ports where networks let something out."""
    spelled = [f"[{host}]" if ":" in host else host for host in hosts]
    ports = (("udp", 3478), ("tcp", 3478), ("tls", 5349), ("tls", 443))
    return f"""\
[turn]
realm = "example.org"
hostname = "{certificates.NAME}"
listen = {json.dumps([f"{transport}://{host}:{port}" for host in spelled for transport, port in ports])}
relay_addresses = {json.dumps(hosts)}
users = {{ {USER} = "{PASSWORD}" }}
[turn.peers]
allow = {json.dumps([PUBLIC_IPV4, PUBLIC_IPV6])}  # what a lab takes for the internet
[turn.quota]
allocations_per_user = 10000  # everybody here is one user
{certificates.good(folder).toml()}"""
