"""A link with delay, jitter, loss, a rate and a queue between two network namespaces, for real programs.

    with new_namespace() as left, new_namespace() as right:
        slow = Way(delay=0.025, loss=0.01)
        with tun_link(left, right, there=slow, back=slow, seed=7) as link:
            ...                            # programs in `left` reach 198.18.0.2, those in `right` 198.18.0.1
        print(link.counters.there.lost)

       left namespace                     one process                    right namespace
    198.18.0.1  2001:2::1          link_core.c, compiled at start        198.18.0.2  2001:2::2
      TUN "ethernet"  ------------->  loss, queue, delay  ------------->  TUN "ethernet"
                      <-------------  loss, queue, delay  <-------------

It needs root, the Debian packages iproute2 and gcc, and /dev/net/tun: `missing()` names what is not here. The kernel's
own network emulation is often absent, and neither seeded nor asked afterwards what it did.

Loss is seeded: the same packets in the same order meet the same luck. Delays are met within a millisecond, for which
the process asks for a real-time priority; `Counters` tell how late it was. The order of packets is kept.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from icelane.core.clock import Duration
from icelane.testing.namespace import inside

SOURCE: Final = Path(__file__).with_name("link_core.c")
DEVICE: Final = "ethernet"  # what peers take for a cable: some rank devices by their names

# Of the ranges for benchmarks, RFC 2544 and RFC 5180.
LEFT_HOST: Final = "198.18.0.1"
RIGHT_HOST: Final = "198.18.0.2"
LEFT_IPV6_HOST: Final = "2001:2::1"
RIGHT_IPV6_HOST: Final = "2001:2::2"

MAX_MTU: Final = 2048
END_TIMEOUT: Final = 5.0

_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA  # linux/if_tun.h
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000


@dataclass(frozen=True, kw_only=True)
class Way:
    """What happens to a packet in one direction.

    `loss` is a chance from 0 to 1. What is not lost passes a bottleneck of `rate` bits per second, if there is one,
    that queues up to `queue` seconds; then it takes `delay` and up to `jitter` more, behind the packet before it.

    Raises ValueError for what no line does: a number that is negative, infinite or none, no `rate` or `queue` at all.
    """

    delay: Duration = 0.0
    jitter: Duration = 0.0
    loss: float = 0.0
    rate: float | None = None
    queue: Duration = 0.1

    def __post_init__(self) -> None:
        for name, number in (("delay", self.delay), ("jitter", self.jitter)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is a time in seconds from 0 on, not {number}")
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss is a chance from 0 to 1, not {self.loss}")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate is in bits per second, more than 0, or None for no bound, not {self.rate}")
        if not 0 < self.queue < math.inf:
            raise ValueError(f"queue is a time in seconds, more than 0, not {self.queue}")

    def arguments(self) -> list[str]:
        """The five numbers of link_core.c."""
        return [f"{number:.9f}" for number in (self.delay, self.jitter, self.loss, self.rate or 0.0, self.queue)]


@dataclass(frozen=True, kw_only=True)
class End:
    """Where a link ends: the device that it makes in a network namespace, given as a descriptor.

    `setup` are lines for `ip -batch` that give the device its addresses and routes once it is up.
    """

    namespace: int
    device: str = DEVICE
    setup: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What one direction did, in packets; `bytes` and the lateness behind the delay, in seconds, are of the delivered.

    `overflowed` found the queue of the bottleneck full, `crowded` the link's own memory, `refused` no device any more.
    """

    arrived: int
    lost: int
    overflowed: int
    crowded: int
    delivered: int
    refused: int
    bytes: int
    mean_lateness: Duration
    most_lateness: Duration

    @property
    def loss_share(self) -> float:
        """The share of the packets that were lost by chance."""
        return self.lost / self.arrived if self.arrived else 0.0


@dataclass(frozen=True, kw_only=True)
class LinkCounters:
    """Both directions: from left to right, and back."""

    there: Counters
    back: Counters


class TunLink:
    """A running link; `counters` are there once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process: Final = process
        self._counters: LinkCounters | None = None

    @property
    def counters(self) -> LinkCounters:
        """Raises RuntimeError while the link runs."""
        if self._counters is None:
            raise RuntimeError("the link tells what it counted when it has ended")
        return self._counters

    def end(self) -> None:
        """Stop it and read the counters; again is harmless."""
        if self._counters is not None:
            return
        printed, _ = self.process.communicate(timeout=END_TIMEOUT)
        told = json.loads(printed)
        self._counters = LinkCounters(there=Counters(**told["there"]), back=Counters(**told["back"]))


def missing() -> str | None:
    """What this machine or user lacks for `tun_link`, None when it can run."""
    if not hasattr(os, "memfd_create"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    if not _TUN.exists():
        return f"needs {_TUN}"
    for program, package in (("ip", "iproute2"), ("cc", "gcc")):
        if shutil.which(program) is None:
            return f"needs the Debian package {package}"
    return None


@contextlib.contextmanager
def tun_link(
    left: int, right: int, *, there: Way, back: Way | None = None, seed: int = 1, mtu: int = 1500
) -> Iterator[TunLink]:
    """Join two network namespaces, given as descriptors; each has the other as its default route.

    `there` counts from left to right; `back` for the other direction is the same when it is not given. Raises
    FileNotFoundError without a C compiler, OSError without the rights.
    """
    ends = [
        End(
            namespace=namespace,
            setup=(
                f"address add {host}/24 dev {DEVICE}",
                f"address add {ipv6_host}/64 dev {DEVICE} nodad",
                f"route add default dev {DEVICE}",
                f"route add ::/0 dev {DEVICE}",
            ),
        )
        for namespace, host, ipv6_host in ((left, LEFT_HOST, LEFT_IPV6_HOST), (right, RIGHT_HOST, RIGHT_IPV6_HOST))
    ]
    with link_ends(*ends, there=there, back=back, seed=seed, mtu=mtu) as link:
        yield link


@contextlib.contextmanager
def link_ends(
    left: End, right: End, *, there: Way, back: Way | None = None, seed: int = 1, mtu: int = 1500
) -> Iterator[TunLink]:
    """The same with devices, addresses and routes of your own."""
    if mtu > MAX_MTU:
        raise ValueError(f"an MTU of {mtu} is more than {MAX_MTU}")
    program = _program()
    with contextlib.ExitStack() as stack:
        devices = [_device(left, mtu, stack), _device(right, mtu, stack)]
        arguments = [*map(str, devices), str(seed), *there.arguments(), *(back or there).arguments()]
        process = subprocess.Popen(
            [f"/proc/self/fd/{program}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[program, *devices],
        )
        link = TunLink(process)
        try:
            yield link
        finally:
            link.end()


def measure_ceiling(left: int, right: int, *, size: int = 1200, seconds: float = 0.5) -> float:
    """How many datagrams of `size` bytes a link without delay and loss carries in a second, from left to right."""
    with tun_link(left, right, there=Way()) as link:
        with inside(left):
            source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(right):
            target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with source, target:
            target.bind((RIGHT_HOST, 0))  # nobody reads: the link has done its work when the kernel has the packet
            address, data = target.getsockname(), bytes(size)
            began = time.monotonic()
            while (elapsed := time.monotonic() - began) < seconds:
                for _ in range(32):
                    source.sendto(data, address)
        link.end()
    return link.counters.there.delivered / elapsed


@cache
def _program() -> int:
    """The compiled program, in memory: however this process ends, no file of it is left."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("the link needs a C compiler: install the Debian package gcc")
    with tempfile.TemporaryDirectory(prefix="icelane-link-") as folder:
        compiled = Path(folder) / "link_core"
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *flags, str(SOURCE), "-o", str(compiled)], check=True)
        program = os.memfd_create("link_core", os.MFD_CLOEXEC)
        os.write(program, compiled.read_bytes())
    return program


def _device(end: End, mtu: int, stack: contextlib.ExitStack) -> int:
    """A TUN device, which goes with its descriptor."""
    import fcntl

    with inside(end.namespace):
        descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", end.device.encode(), _IFF_TUN | _IFF_NO_PI))
        lines = (
            "link set lo up",
            # Nothing that the kernel says by itself may take a draw of the seed: no router solicitations, no multicast.
            f"link set {end.device} addrgenmode none multicast off",
            f"link set {end.device} mtu {mtu} txqueuelen 10000 up",
            *end.setup,
        )
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    return descriptor
