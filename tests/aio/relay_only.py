"""Two peers and a TURN server on three machines of a network of our own; prints every packet that one peer sends.

    unshare --net python -m tests.aio.relay_only left udp

The left peer is relay-only, and its packets are those that leave its machine, captured from before anything else runs
there. The right peer offers all it has, and would love to be reached directly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.event_target import Event
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from icelane.testing.lab import Host, Lab, Machine, build
from tests import certificates
from tests.aio.peers import until
from tests.aio.proxies import fake_proxy
from tests.broken.registry import all_breaks

NAMES: Final = ("server", "left", "right")
HOSTS: Final = {name: f"198.18.0.{number}" for number, name in enumerate(NAMES, 2)}
SIXES: Final = {name: f"2001:2::{number}" for number, name in enumerate(NAMES, 2)}
PORTS: Final = {"udp": 3478, "tcp": 3478, "tls": 5349}
PROXY_PORT: Final = 3128  # of an HTTP proxy on the server's machine
USER: Final = "alice"
PASSWORD: Final = "wonderland-and-back"


class Kept(logging.Handler):
    """Every record at info and above."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class Program:
    """A program on another machine, which reads and writes lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, machine: Machine, *arguments: str, module: str = "tests.aio.relay_only") -> Program:
        """Start it there."""
        command = machine.command(sys.executable, "-m", module)
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, *arguments, stdin=pipe, stdout=pipe, limit=1 << 20))

    async def ask(self, question: object) -> Any:
        """Say something and hear the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 30))

    async def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def lines() -> Any:
    """What comes on standard input."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


def answer(said: object) -> None:
    """Say a line."""
    print(json.dumps(said), flush=True)


async def serve(folder: Path) -> None:
    """The server's machine."""
    host = HOSTS["server"]
    turn = {
        "realm": "example.org",
        "listen": [f"{transport}://{host}:{port}" for transport, port in PORTS.items()],
        "relay_addresses": [host],
        "peers": {"allow": ["198.18.0.0/15"]},
        "users": {USER: PASSWORD},
    }
    tls = certificates.write_pair(folder, certificates.authority().issue_cert(certificates.NAME))
    certificates.authority_file(folder)
    proxy = fake_proxy(hosts={certificates.NAME: host}, host=host, port=PROXY_PORT)
    async with TurnServer(parse_config({"turn": turn, "tls": tls.section()})), proxy:
        async for _ in lines():
            answer("ready")


async def follow(folder: Path) -> None:
    """The right machine: answers offers, and sends back what comes on a channel."""
    server = RTCIceServer(urls=f"turn:{HOSTS['server']}", username=USER, credential=PASSWORD)
    async with RTCPeerConnection(RTCConfiguration(iceServers=[server])) as pc:
        pc.on("datachannel", lambda channel: channel.on("message", channel.send))
        async for offer in lines():
            await pc.setRemoteDescription(offer)
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            answer(pc.localDescription.toJSON())
    del folder


async def lead(transport: str, lab: Lab, folder: Path) -> dict[str, Any]:
    """The left machine: a call, an ICE restart, an end; what was sent and told."""
    server = await Program.start(lab["server"], "server", str(folder))
    await server.ask("are you there?")
    right = await Program.start(lab["right"], "right", str(folder))
    kept = Kept()
    logging.getLogger().addHandler(kept)
    logging.getLogger("icelane").setLevel(logging.INFO)
    told: list[str] = []
    errors: list[Event] = []
    async with RTCPeerConnection(relay_only(transport, folder)) as pc:
        pc.on("icecandidate", lambda found: told.append(found.candidate) if found is not None else None)
        pc.onicecandidateerror = errors.append
        channel = pc.createDataChannel("echo")
        await exchange(pc, right)
        await channel.opened()
        for _ in range(20):
            channel.send(bytes(5000))
            assert await asyncio.wait_for(channel.receive(), 10) == bytes(5000)
        await until(lambda: pc.security_report().selected_pair)
        await pc.addIceCandidate(RTCIceCandidate(f"candidate:77 1 udp 1 {HOSTS['right']} 7777 typ host", "0"))
        pc.restartIce()
        await exchange(pc, right)
        channel.send("after the restart")
        assert await asyncio.wait_for(channel.receive(), 10) == "after the restart"
        await asyncio.sleep(2.0)
        told += [description.sdp for description in (pc.localDescription,) if description is not None]
        told += [repr(dict(one)) for one in (await pc.getStats()).values() if one["type"] != "remote-candidate"]
        told += [repr([error.address, error.port, error.errorText]) for error in errors]
        told += [str(pc.security_report()), json.dumps(pc.security_report().as_json()), *kept.said]
        ports = [base.port for base in pc._driver.bases]
    await right.end()
    await server.end()
    return {"told": told, "ports": ports}


async def exchange(pc: RTCPeerConnection, right: Program) -> None:
    """Offer and answer, with everything that could be gathered."""
    await pc.setLocalDescription()
    await pc.gathering_complete()
    assert pc.localDescription is not None
    said = await right.ask(pc.localDescription.toJSON())
    assert f" {HOSTS['right']} " in said["sdp"]
    await pc.setRemoteDescription(said)
    await pc.connected(15)


def relay_only(transport: str, folder: Path) -> RTCConfiguration:
    """What the left is told. A name for TLS is looked up in a table of our own, so that no query leaves.

    With "proxy" it is TLS through the proxy, and nobody here knows the name.
    """
    is_proxied = transport == "proxy"
    is_secure = transport == "tls" or is_proxied
    host = certificates.NAME if is_secure else HOSTS["server"]
    url = f"{'turns' if is_secure else 'turn'}:{host}:{PORTS['tls' if is_secure else transport]}"
    url += f"?transport={'udp' if transport == 'udp' else 'tcp'}"
    look_up = socket.getaddrinfo

    def in_the_table(name: Any, *more: Any, **others: Any) -> Any:
        if name == certificates.NAME and is_proxied:
            raise socket.gaierror(socket.EAI_NONAME, "not known on this side of the proxy")
        return look_up(HOSTS["server"] if name == certificates.NAME else name, *more, **others)

    socket.getaddrinfo = in_the_table  # type: ignore[assignment]  # a process of its own, which does nothing else
    server = RTCIceServer(urls=url, username=USER, credential=PASSWORD)
    proxy = f"http://{HOSTS['server']}:{PROXY_PORT}" if is_proxied else None
    return RTCConfiguration(
        iceServers=[server], iceTransportPolicy="relay", authority=folder / "authority.pem", http_proxy=proxy
    )


def main(role: str, argument: str) -> None:
    """One machine; the left one makes the network, and prints one line of JSON."""
    if role != "left":
        asyncio.run({"server": serve, "right": follow}[role](Path(argument)))
        return
    if broken := os.environ.get("BREAK_NAME"):
        all_breaks()[broken].apply()
    with tempfile.TemporaryDirectory() as folder, build(*map(Host, NAMES)) as lab:
        with lab["left"].inside(), lab["left"].capture() as capture:
            found = asyncio.run(lead(argument, lab, Path(folder)))
        print(json.dumps(found | {"sent": sorted(capture.sent())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
