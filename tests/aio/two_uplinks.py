"""A machine with two uplinks calls another one and is told to use the second; prints what left by which.

    python -m tests.aio.two_uplinks interfaces
    python -m tests.aio.two_uplinks interfaces tcp
    python -m tests.aio.two_uplinks mux

The default route leads out by the first uplink, "ethernet". "eth1", the second, has a default route that is worse. The
peer offers UDP and TCP over both families, and there are a STUN server and a TURN server over UDP, TCP and TLS.
`interfaces` names the second, `addresses` its networks, `mux` binds a UdpMux to its addresses too, and `routes` says
nothing. With `tcp` the two hear of each other's TCP candidates alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from icelane import UdpMux
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from icelane.testing.lab import Host, Lab, Machine, Nat, Network, build
from tests import certificates
from tests.aio.relay_only import Program, answer, lines
from tests.broken.registry import all_breaks

MODULE: Final = "tests.aio.two_uplinks"
FIRST: Final = "ethernet"
SECOND: Final = "eth1"
USER: Final = "alice"
PASSWORD: Final = "wonderland-and-back"
PORTS: Final = {"udp": 3478, "tcp": 3479, "tls": 5349}


async def serve(folder: Path, four: str, six: str) -> None:
    """The machine of the servers."""
    turn = {
        "realm": "example.org",
        "listen": [f"{transport}://{at}:{port}" for transport, port in PORTS.items() for at in (four, f"[{six}]")],
        "relay_addresses": [four, six],
        "peers": {"allow": ["198.18.0.0/15", "2001:2::/48"]},
        "users": {USER: PASSWORD},
    }
    tls = certificates.write_pair(folder, certificates.authority().issue_cert(certificates.NAME))
    certificates.authority_file(folder)
    async with TurnServer(parse_config({"turn": turn, "tls": tls.section()})):
        async for _ in lines():
            answer("ready")


async def follow() -> None:
    """Who is called: answers offers, and sends back what comes on a channel."""
    async for offer in lines():
        pc = RTCPeerConnection(RTCConfiguration(ice_tcp="both"))
        pc.on("datachannel", lambda channel: channel.on("message", channel.send))
        await pc.setRemoteDescription(offer)
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        answer(pc.localDescription.toJSON())


async def lead(folder: Path, chosen: dict[str, Any], server: dict[str, str]) -> None:
    """Who calls: makes an offer, hears the answer, and says what was gathered when data has come back."""
    hosts = {"udp": (server["four"], f"[{server['six']}]"), "tcp": (server["four"],), "tls": (certificates.NAME,)}
    turn = [
        f"{'turns' if transport == 'tls' else 'turn'}:{host}:{PORTS[transport]}"
        f"?transport={'udp' if transport == 'udp' else 'tcp'}"
        for transport in PORTS
        for host in hosts[transport]
    ]
    servers = [
        RTCIceServer(urls=f"stun:{server['four']}:{PORTS['udp']}"),
        RTCIceServer(urls=turn, username=USER, credential=PASSWORD),
    ]
    bound = chosen.pop("hosts", None)
    mux = await UdpMux.open(hosts=bound) if bound else None
    configuration = RTCConfiguration(
        iceServers=servers, authority=folder / "authority.pem", ice_tcp="both", udp_mux=mux, **chosen
    )
    heard = lines()
    await anext(heard)
    async with mux or nullcontext(), RTCPeerConnection(configuration) as pc:
        channel = pc.createDataChannel("echo")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        answer(pc.localDescription.toJSON())
        await pc.setRemoteDescription(await anext(heard))
        await asyncio.wait_for(channel.opened(), 15)
        channel.send("hello")
        assert await asyncio.wait_for(channel.receive(), 10) == "hello"
        await asyncio.sleep(1.0)  # the checks of worse pairs go on a while
        found = (await pc.getStats()).of_type("local-candidate")
        answer({
            "candidates": sorted([one.candidateType, one.get("relayProtocol") or one.protocol] for one in found),
            "selected": str(pc.security_report().selected_pair),
        })  # fmt: skip


def plug_in(left: Machine, second: Machine, four: str, six: str) -> None:
    """Give the machine its second uplink; routes to anywhere lead by the first one."""
    place = f"/proc/{os.getpid()}/fd/{left.namespace}"
    assert second.lan_ipv4 is not None
    assert second.lan_ipv6 is not None
    for machine, line in (
        (second, f"link add p9 type veth peer name {SECOND} netns {place}"),
        (second, "link set p9 master lan up"),
        (left, f"link set {SECOND} up"),
        (left, f"address add {four}/24 dev {SECOND}"),
        (left, f"address add {six}/64 dev {SECOND} nodad"),
        (left, f"route add default via {second.lan_ipv4} dev {SECOND} metric 5000"),
        (left, f"-6 route add ::/0 via {second.lan_ipv6} dev {SECOND} metric 5000"),
    ):
        with machine.inside():
            if os.spawnvp(os.P_WAIT, "ip", ["ip", *line.split()]):
                raise RuntimeError(line)


def without_udp(description: dict[str, str]) -> dict[str, str]:
    """The description, but for candidates over UDP, relayed ones among them."""
    told = description["sdp"].splitlines(keepends=True)
    return description | {"sdp": "".join(line for line in told if "candidate:" not in line or " tcp " in line)}


async def call(lab: Lab, folder: Path, chosen: dict[str, Any], only: str) -> dict[str, Any]:
    """One call, from the first socket to the end."""
    at = {"four": str(lab["server"].ipv4), "six": str(lab["server"].ipv6)}
    server = await Program.start(lab["server"], "server", str(folder), *at.values(), module=MODULE)
    await server.ask("are you there?")
    right = await Program.start(lab["right"], "right", module=MODULE)
    left = await Program.start(lab["left"], "left", str(folder), json.dumps(chosen), json.dumps(at), module=MODULE)
    heard = without_udp if only == "tcp" else dict
    found = await left.ask(heard(await right.ask(heard(await left.ask("")))))
    for program in (left, right, server):
        await program.end()
    assert isinstance(found, dict)
    return found


def main(chosen: str, only: str = "") -> None:
    """The network and the call; prints one line of JSON."""
    members = (
        Host("server", names=(certificates.NAME,)),
        Network("home", Host("left"), nat=Nat.PORT_PRESERVING, ipv6=True),
        Network("second", Host("neighbour"), nat=Nat.PORT_PRESERVING, ipv6=True),
        Host("right"),
    )
    with tempfile.TemporaryDirectory() as folder, build(*members) as lab:
        four, six = (f"{host}9" for host in (str(lab["neighbour"].ipv4), str(lab["neighbour"].ipv6)))
        plug_in(lab["left"], lab["second"], four, six)
        configuration = {
            "interfaces": {"interfaces": [SECOND]},
            "addresses": {"addresses": [f"{four}/32", f"{six}/128"]},
            "mux": {"interfaces": [SECOND], "hosts": [four, six]},
            "routes": {},
        }[chosen]
        with lab["left"].capture(FIRST) as first, lab["left"].capture(SECOND) as second:
            found = asyncio.run(call(lab, Path(folder), configuration, only))
            sent = {"first": sorted(first.sent()), "second": sorted(second.sent())}
        sources = {row.source for row in second.packets() if row.is_outgoing and row.protocol in ("udp", "tcp")}
        at = {name: [lab[name].ipv4, lab[name].ipv6] for name in ("server", "right")}
        print(json.dumps(found | sent | {"sources": sorted(sources), "ours": [four, six], "at": at}))


if __name__ == "__main__":
    if broken := os.environ.get("BREAK_NAME"):
        all_breaks()[broken].apply()
    role, *rest = sys.argv[1:]
    if role == "server":
        asyncio.run(serve(Path(rest[0]), *rest[1:]))
    elif role == "right":
        asyncio.run(follow())
    elif role == "left":
        asyncio.run(lead(Path(rest[0]), json.loads(rest[1]), json.loads(rest[2])))
    else:
        main(role, *rest)
