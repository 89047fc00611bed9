"""Networks as they are, on one Linux machine: hosts, NATs, firewalls, proxies and bad lines, for programs of any kind.

    from icelane.testing.lab import Firewall, Host, Nat, Network, Way, build

    with build(
        Host("server", names=("turn.example.org",)),
        Network("home", Host("alice"), nat=Nat.PORT_PRESERVING, up=Way(delay=0.02, loss=0.01)),
        Network("carrier", Network("flat", Host("bob"), nat=Nat.PORT_PRESERVING), nat=Nat.SYMMETRIC),
        Network("office", Host("carol"), firewall=Firewall.UDP_BLOCKED),
    ) as lab:
        server = subprocess.Popen(lab["server"].command("turnserver", "-c", "turnserver.conf"))
        with lab["alice"].capture() as capture:
            print(lab["alice"].run("ping", "-c", "1", "turn.example.org").stdout)
        print(capture.packets())

It needs root and a few Debian packages, which `missing()` names. Every machine is a network namespace without a name,
which is gone with the last process that has to do with it; nothing of the machine around is changed. Which addresses
there are: `icelane.testing.lab.addresses`.
"""

from __future__ import annotations

from icelane.testing.lab.building import Lab, build
from icelane.testing.lab.capture import Capture, Packet
from icelane.testing.lab.description import Firewall, Host, HttpProxy, Nat, Network
from icelane.testing.lab.error import LabError
from icelane.testing.lab.machine import Machine
from icelane.testing.lab.requirements import missing
from icelane.testing.link_program import Way

__all__ = [
    "Capture",
    "Firewall",
    "Host",
    "HttpProxy",
    "Lab",
    "LabError",
    "Machine",
    "Nat",
    "Network",
    "Packet",
    "Way",
    "build",
    "missing",
]
