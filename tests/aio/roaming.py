"""A transfer between two machines of a network of our own, in the middle of which the sender's network changes.

    python -m tests.aio.roaming --megabytes 100 --change address

Prints one line of JSON: what arrived, whether its hash is right, and the longest time without data. The changes are
`address` (the addresses go, and another one comes), `cable` (it is out for two seconds), `down` (the interface is down
for a second) and `none`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.system import monotonic
from icelane.testing.lab import Host, Lab, Machine, build
from tests.aio.relay_only import lines
from tests.server.namespaces import ip

MOVED_TO: Final = "198.18.0.77"
ROUTER: Final = "198.18.0.1"
PORT: Final = "p2"  # of the router, where the left machine is plugged in
CHUNK: Final = 16_384
MEGABYTE: Final = 1 << 20
CHANGES: Final = ("none", "address", "cable", "down")
PATIENCE: Final = 300.0


@dataclass(frozen=True)
class Outcome:
    """What is printed. `without_data` is in seconds, `paths` counts how often ICE has selected one."""

    change: str
    size: int
    is_whole: bool
    seconds: float
    without_data: float
    paths: int
    path: str


class Right:
    """The other machine: a program that reads and writes lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, machine: Machine) -> Right:
        command = machine.command(sys.executable, "-m", "tests.aio.roaming")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, "--receive", stdin=pipe, stdout=pipe, limit=1 << 20)
        return cls(process)

    def say(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def receive() -> None:
    """The right machine: answers offers, and says at the end what has come."""

    def say(what: object) -> None:
        print(json.dumps(what), flush=True)

    async with RTCPeerConnection() as pc:
        digest, size, longest = hashlib.sha256(), 0, 0.0

        @pc.on("datachannel")
        async def take(channel: RTCDataChannel) -> None:
            nonlocal size, longest
            heard = monotonic()
            async for message in channel:
                longest, heard = max(longest, monotonic() - heard), monotonic()
                if isinstance(message, str):
                    say({"size": size, "sha256": digest.hexdigest(), "longest": longest})
                else:
                    digest.update(message)
                    size += len(message)

        async for offer in lines():
            await pc.setRemoteDescription(offer)
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            say(pc.localDescription.toJSON())


async def send(right: Right, lab: Lab, megabytes: int, change: str) -> Outcome:
    """The left machine: calls, sends, and has its network changed when half is sent."""
    total = megabytes * MEGABYTE
    report: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    configuration = RTCConfiguration(restart_on_network_change=True)
    async with asyncio.timeout(PATIENCE), RTCPeerConnection(configuration) as pc:
        paths = 0

        def selected() -> None:
            nonlocal paths
            paths += 1

        async def negotiate() -> None:
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            right.say(pc.localDescription.toJSON())

        async def hear() -> None:
            while True:
                said = await right.hear()
                if "sha256" in said:
                    report.set_result(said)
                    return
                await pc.setRemoteDescription(said)

        pc.on("negotiationneeded", negotiate)
        hearing = asyncio.ensure_future(hear())
        channel = pc.createDataChannel("transfer")
        await channel.opened()
        assert pc.sctp is not None
        pc.sctp.transport.iceTransport.on("selectedcandidatepairchange", selected)
        digest, begun, changing = hashlib.sha256(), monotonic(), None
        for number in range(total // CHUNK):
            chunk = number.to_bytes(4, "big") * (CHUNK // 4)
            digest.update(chunk)
            channel.send(chunk)
            await channel.drain()
            if changing is None and number * CHUNK * 2 >= total:
                changing = asyncio.ensure_future(asyncio.to_thread(alter, lab, change))
        channel.send("that was all")
        said = await report
        if changing is not None:
            await changing
        await hearing
        path = pc.security_report().as_json()["selectedPair"]
        return Outcome(
            change=change,
            size=said["size"],
            is_whole=said["size"] == total and said["sha256"] == digest.hexdigest(),
            seconds=round(monotonic() - begun, 3),
            without_data=round(said["longest"], 3),
            paths=paths,
            path=str(path),
        )


def alter(lab: Lab, change: str) -> None:
    """Change the network of the left machine; runs in a thread of its own."""
    left = lab["left"]
    if change == "address":
        with left.inside():
            ip("address", "flush", "dev", left.device)
            time.sleep(0.3)
            ip("address", "add", f"{MOVED_TO}/24", "dev", left.device)
            ip("route", "add", "default", "via", ROUTER)
    elif change == "down":
        with left.inside():
            ip("link", "set", left.device, "down")
            time.sleep(1.0)
            ip("link", "set", left.device, "up")
            ip("route", "add", "default", "via", ROUTER)
    elif change == "cable":
        with lab["internet"].inside():
            ip("link", "set", PORT, "down")
            time.sleep(2.0)
            ip("link", "set", PORT, "up")


async def call(lab: Lab, megabytes: int, change: str) -> Outcome:
    """Both machines and the change."""
    right = await Right.start(lab["right"])
    try:
        return await send(right, lab, megabytes, change)
    finally:
        await right.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--change", choices=CHANGES, default="address")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        asyncio.run(receive())
        return
    with build(Host("left"), Host("right")) as lab, lab["left"].inside():
        print(json.dumps(asdict(asyncio.run(call(lab, arguments.megabytes, arguments.change)))))


if __name__ == "__main__":
    main()
