"""One machine of a running lab, and how programs run on it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from icelane.testing.lab.capture import Capture, capturing
from icelane.testing.lab.description import HttpProxy
from icelane.testing.lab.error import LabError
from icelane.testing.link_program import TunLink
from icelane.testing.namespace import inside

RUN_TIMEOUT: Final = 60.0

# In a mount namespace of its own, where /etc/hosts and /etc/resolv.conf are ours: names are looked up there, and no
# server is asked. The files are in memory that goes with the namespace; /tmp is what it was before the program starts.
# Their file system is called by the mark of the lab, which every process that is born there can be known by.
_ENTER: Final = (
    'mount -t tmpfs "$3" /tmp && printf %s "$1" >/tmp/hosts && printf %s "$2" >/tmp/resolv.conf && '
    "mount --bind /tmp/hosts /etc/hosts && mount --bind /tmp/resolv.conf /etc/resolv.conf && umount -l /tmp && "
    'shift 3 && exec setpriv --pdeathsig KILL -- "$@"'
)
_RESOLVER: Final = "nameserver 127.0.0.1\n"  # where nobody answers, and that at once


@dataclass(kw_only=True, eq=False)
class Machine:
    """A host or a gateway. It knows the others that it could reach by their names."""

    name: str
    descriptor: int | None = field(repr=False)
    """Of its network namespace; None when the lab has ended, since the number is then another file's."""
    device: str
    """The interface towards the rest: "ethernet" of a host, "wan" of a gateway, "lan" of the internet's router."""
    ipv4: str | None
    ipv6: str | None
    lan_ipv4: str | None = None
    """What members of its network know a gateway by."""
    lan_ipv6: str | None = None
    mark: str = field(repr=False)
    """What the processes of this lab are known by."""
    proxy: HttpProxy | None = field(default=None, repr=False)
    """The HTTP proxy that this host has to use, which is on its gateway."""
    proxy_host: str | None = None
    hosts_file: str = field(default="", repr=False)
    link: TunLink | None = field(default=None, repr=False)
    """Its line to the rest, if the description says what that does to packets; counters come when the lab has ended."""

    @property
    def namespace(self) -> int:
        """Its network namespace, as a descriptor. Raises LabError when the lab has ended."""
        if self.descriptor is None:
            raise LabError(f"the lab of {self.name} has ended, and nothing runs there any more")
        return self.descriptor

    @property
    def proxy_url(self) -> str | None:
        """What a person would set as `https_proxy` here, with user and password; None where there is no proxy."""
        if self.proxy is None or self.proxy_host is None:
            return None
        said = [quote(part or "", safe="") for part in (self.proxy.user, self.proxy.password)]
        user = "" if self.proxy.user is None else f"{said[0]}:{said[1]}@"
        return f"http://{user}{self.proxy_host}:{self.proxy.port}"

    def command(self, *command: str) -> list[str]:
        """`command`, so that it runs on this machine: for `subprocess` and for asyncio.

        It has the id of the process that is started. It is killed when the thread that starts it ends, and when the
        lab does, which is when its children are, in whatever network they are by then. Raises LabError when the lab has
        ended.
        """
        enter = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.namespace}", "unshare", "--mount"]
        return [*enter, "sh", "-c", _ENTER, "sh", self.hosts_file, _RESOLVER, self.mark, *command]

    def run(self, *command: str, timeout: float = RUN_TIMEOUT) -> subprocess.CompletedProcess[str]:
        """Run a program here to its end and return what it said and its exit code.

        Raises FileNotFoundError when there is no such program, subprocess.TimeoutExpired, LabError when the lab has
        ended.
        """
        finished = subprocess.run(
            self.command(*command),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if finished.returncode == 127 and "No such file" in finished.stderr:
            raise FileNotFoundError(f"there is no program {command[0]}: {finished.stderr.strip()}")
        return finished

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """In this block, which must not await, sockets and processes that this thread makes are on this machine.

        A socket stays there afterwards; names are those of the machine around. Raises LabError when the lab has ended.
        """
        return inside(self.namespace)

    def capture(self, device: str | None = None) -> contextlib.AbstractContextManager[Capture]:
        """Every packet on an interface, by default the one towards the rest, from now to the end of the block."""
        return capturing(device or self.device, self.namespace)
