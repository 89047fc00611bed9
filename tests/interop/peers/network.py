"""A network of our own for the peers: two machines and a relay's on one switch, and no way out.

    left    198.18.0.2   2001:2::2  --+
    relay   198.18.0.1   2001:2::1  --+-- switch, in the relay's namespace
    right   198.18.0.3   2001:2::3  --+

The addresses are of the ranges for benchmarks (RFC 2544, RFC 5180). The relay is the default route of the others, since
Chromium gathers nothing without one; it forwards nothing. The multicast of browsers stays on the switch.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from icelane.testing.namespace import inside, new_namespace
from tests import certificates

# In a mount namespace of its own, so that names are looked up in our file and no server is asked. It ends with us.
_ENTER = (
    'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && '
    'exec setpriv --pdeathsig KILL -- "$@"'
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One end of the network. It knows the names `localhost` and `certificates.NAME`, which is the relay's."""

    name: str
    host: str
    namespace: int
    folder: Path

    def command(self, *command: str) -> list[str]:
        """`command`, run on this machine. The process keeps its id, and is killed when the one that starts it ends."""
        enter = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.namespace}", "unshare", "--mount"]
        names = [str(self.folder / "hosts"), str(self.folder / "resolv.conf")]
        return [*enter, "sh", "-c", _ENTER, "sh", *names, *command]

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """In this block, which must not await, sockets and processes that this thread makes are on this machine."""
        return inside(self.namespace)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Three machines that reach each other and nobody else."""

    relay: Machine
    left: Machine
    right: Machine


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Make it; only root can. Nothing is left when the block and the processes started in it are over."""
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n198.18.0.1 {certificates.NAME}\n")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # where nobody answers, and that at once
    with contextlib.ExitStack() as stack:
        relay, left, right = (
            Machine(
                name=name,
                host=f"198.18.0.{number}",
                namespace=stack.enter_context(new_namespace()),
                folder=folder,
            )
            for number, name in enumerate(("relay", "left", "right"), 1)
        )
        with relay.inside():
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "switch", "type", "bridge")
            _give_addresses("switch", 1)
        for number, machine in enumerate((left, right), 2):
            _plug_in(machine, number, relay)
        yield Network(relay=relay, left=left, right=right)


def _plug_in(machine: Machine, number: int, relay: Machine) -> None:
    with relay.inside():
        device = f"/proc/{os.getpid()}/fd/{machine.namespace}"
        _ip("link", "add", machine.name, "type", "veth", "peer", "name", "ethernet", "netns", device)
        _ip("link", "set", machine.name, "master", "switch", "up")
    with machine.inside():
        _ip("link", "set", "lo", "up")
        _give_addresses("ethernet", number)
        _ip("route", "add", "default", "via", "198.18.0.1")
        _ip("-6", "route", "add", "default", "via", "2001:2::1")


def _give_addresses(device: str, number: int) -> None:
    _ip("address", "add", f"198.18.0.{number}/24", "dev", device)
    _ip("address", "add", f"2001:2::{number}/64", "dev", device, "nodad")
    _ip("link", "set", device, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
