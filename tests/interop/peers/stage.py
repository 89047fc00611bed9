"""Where the peers of a test module meet: the network, the relay in it, the peers, and the loop that drives them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from icelane.testing.lab import Host, Lab, build, missing
from icelane.testing.lab.description import Member
from tests import certificates
from tests.interop.conftest import miss, need_program
from tests.interop.peers.company import MAKE_PEERS, Company
from tests.interop.peers.remote import IceServer, RemotePeer
from tests.interop.relay_server import PASSWORD, USER, RelayServer, icelane_serve

T = TypeVar("T")

LEFT: Final[Member] = Host("left")
RIGHT: Final[Member] = Host("right")

TRANSPORTS = ("udp", "tcp", "tls")
"""How a client reaches the relay."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that a test needs. Browsers stay from one test to the next; peers do not."""

    lab: Lab
    relay: RelayServer
    _company: Company
    _runner: asyncio.Runner

    def run(self, scene: Coroutine[Any, Any, T]) -> T:
        """Run a test's coroutine in the loop in which the browsers are driven."""
        return self._runner.run(scene)

    @contextlib.asynccontextmanager
    async def peers(self, left: str, right: str) -> AsyncIterator[tuple[RemotePeer, RemotePeer]]:
        """A new peer of the kind `left` on one machine and one of the kind `right` on the other."""
        async with contextlib.AsyncExitStack() as stack:
            one = await self._company.open(left, self.lab["left"])
            stack.push_async_callback(one.close)
            other = await self._company.open(right, self.lab["right"])
            stack.push_async_callback(other.close)
            yield one, other

    @contextlib.asynccontextmanager
    async def started(self, left: str, right: str) -> AsyncIterator[tuple[RemotePeer, RemotePeer]]:
        """The same, with their connections made, which use no servers."""
        async with self.peers(left, right) as (one, other):
            await one.start()
            await other.start()
            yield one, other

    def relay_by(self, transport: str) -> IceServer:
        """The entry of `iceServers` that reaches our relay by one of TRANSPORTS."""
        if transport == "tls":
            url = f"turns:{certificates.NAME}:{self.relay.tls_port}?transport=tcp"
        else:
            url = f"turn:{self.relay.host}:{self.relay.port}?transport={transport}"
        return {"urls": [url], "username": USER, "credential": PASSWORD}


@contextlib.contextmanager
def stage(folder: Path, left: Member = LEFT, right: Member = RIGHT, *, tls_port: int | None = None) -> Iterator[Stage]:
    """Set it up, in an empty folder; skips what misses a program or root's rights, naming it.

    The peers are on the hosts "left" and "right", which may stand in networks. `tls_port` is the relay's, if not a free
    one will do.
    """
    need_program("certutil", "libnss3-tools")
    if (lacking := missing(left, right)) is not None:
        miss(f"the network of the peers {lacking}")
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(build(Host("relay", names=(certificates.NAME,)), left, right))
        relay_folder = folder / "relay"
        relay_folder.mkdir()
        host = lab["relay"].ipv4
        assert host is not None
        with lab["relay"].inside():
            relay = stack.enter_context(
                icelane_serve(relay_folder, host=host, tls_port=tls_port, peers=["198.18.0.0/24"])
            )
        runner = stack.enter_context(asyncio.Runner())
        company = Company(_need, certificates.authority_file(folder), folder)
        stack.callback(lambda: runner.run(company.close()))
        yield Stage(lab=lab, relay=relay, _company=company, _runner=runner)


def _need(name: str, brought_by: str) -> str:
    if brought_by != MAKE_PEERS:
        return need_program(name, brought_by)
    return shutil.which(name) or miss(f"the environment of other people's peers is not there: {MAKE_PEERS}")
