"""Loss between two machines of a lab that can begin and end while they talk, which that of a lab's lines cannot."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from icelane.testing.lab import Machine

_ONLY_DTLS: Final = "@th,64,8 >= 20 @th,64,8 <= 63"  # by the first byte behind the header of UDP (RFC 7983)
_RULES: Final = """
    table inet loss {{
        counter arrived {{ }}
        counter lost {{ }}
        chain input {{
            type filter hook input priority filter
            iifname "{device}" meta l4proto udp {of_those} counter name arrived \\
                numgen random mod 100 < {percent} counter name lost drop
        }}
    }}
"""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What came to one machine while some of it was lost, in datagrams."""

    arrived: int
    lost: int


@contextlib.contextmanager
def losing(percent: int, *machines: Machine, only_dtls: bool = False) -> Iterator[None]:
    """In this block each datagram of UDP to one of the machines is lost with that chance, between 0 and 100 (%).

    With `only_dtls` the checks of ICE get through. Senders are not told. The draws are the kernel's, without a seed.
    """
    with contextlib.ExitStack() as stack:
        for machine in machines:
            # Datagrams that were sent as one (UDP_SEGMENT) travel singly, as on a real cable, and are lost singly.
            _run(machine, "ip", "link", "set", machine.device, "gso_max_segs", "1")
            rules = _RULES.format(device=machine.device, percent=percent, of_those=_ONLY_DTLS if only_dtls else "")
            _run(machine, "nft", "--file", "-", given=rules)
            stack.callback(_run, machine, "nft", "delete", "table", "inet", "loss")
        yield


def losses(machine: Machine) -> Losses:
    """What `losing` has done so far."""
    told = json.loads(_run(machine, "nft", "--json", "list", "counters", "table", "inet", "loss"))
    packets = {
        entry["counter"]["name"]: entry["counter"]["packets"] for entry in told["nftables"] if "counter" in entry
    }
    return Losses(arrived=packets["arrived"], lost=packets["lost"])


def _run(machine: Machine, *command: str, given: str = "") -> str:
    with machine.inside():
        return subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True).stdout
