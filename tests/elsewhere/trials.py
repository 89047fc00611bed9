"""What is tried elsewhere. Imported where the process looks like one on another system already."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Final

import icelane
from icelane import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
    connect_turn,
)
from icelane.core.net import Transport
from icelane.errors import TurnError
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from icelane.turn.client_request import AllocateOptions

# Machine code or nothing; whoever imports one does without it.
WITHOUT_PYTHON_FORM: Final = {
    "icelane.core.tracking",
    "icelane.crypto.libcrypto",
    "icelane.dtls.libssl",
    "icelane.server.batched.core",
    "icelane.srtp.libcrypto",
}
# What stands on them.
ABOVE_THEM: Final = {
    "icelane.dtls.native",
    "icelane.server.batched.plane",
    "icelane.server.batched.reader",
    "icelane.srtp.native",
}

# Needs fcntl and is refused as a whole where it cannot run; on Windows it cannot even be imported.
UNIX_ONLY: Final = "icelane.server.workers."

PATIENCE: Final = 20.0
LARGE: Final = bytes(range(256)) * 800  # in many packets, which Linux would take in one call


def import_everything() -> int:
    """Import every module of the library; returns how many there are. Raises ImportError."""
    assert icelane.__compiled__ is False
    names = {found.name for found in pkgutil.walk_packages(icelane.__path__, "icelane.")}
    imported = names - WITHOUT_PYTHON_FORM - ABOVE_THEM
    if sys.platform == "win32":
        imported = {name for name in imported if not name.startswith(UNIX_ONLY)}
    for name in sorted(imported):
        importlib.import_module(name)
    return len(imported)


async def call() -> None:
    """Two peers on loopback, over UDP and over TCP."""
    assert await _carry(RTCConfiguration(interfaces=["lo"])) == "host to host"
    # Beside UDP nobody would choose it.
    both = RTCConfiguration(interfaces=["lo"], ice_tcp="both")
    assert (await _carry(both, told=lambda line: " udp " not in line)).endswith(" over TCP")


async def relay() -> None:
    """The same two by way of our server, which is asked over UDP and over TCP."""
    settings = {
        "realm": "example.org",
        "listen": ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"],
        "relay_addresses": ["127.0.0.1"],
        "dangerously_allow_loopback_peers": True,
        "users": {"alice": "wonderland"},
    }
    async with TurnServer(parse_config({"turn": settings})) as server:
        assert server.plane.name == "pure"
        for listener in server.listening:
            transport = "udp" if listener.transport is Transport.UDP else "tcp"
            url = f"turn:127.0.0.1:{listener.port}?transport={transport}"
            servers = [RTCIceServer(urls=url, username="alice", credential="wonderland")]
            assert await _carry(RTCConfiguration(iceServers=servers, iceTransportPolicy="relay")) == "relay to relay"
            # RFC 8656 section 7.2: so answers a server that cannot set the DF bit.
            assert await _refusal(url, AllocateOptions(dont_fragment=True)) == 420


async def _refusal(url: str, options: AllocateOptions) -> int | None:
    """With which code the server refuses an allocation, None for one that it grants."""
    try:
        async with await connect_turn(url, username="alice", password="wonderland", options=options):
            return None
    except TurnError as error:
        return error.code


async def _carry(configuration: RTCConfiguration, told: Callable[[str], bool] = lambda _: True) -> str:
    """Send messages there and back; returns which way they took. `told` says which lines the other end is told."""

    async def describe(pc: RTCPeerConnection, other: RTCPeerConnection) -> None:
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        lines = filter(told, pc.localDescription.sdp.splitlines(keepends=True))
        await other.setRemoteDescription(RTCSessionDescription("".join(lines), pc.localDescription.type))

    async with (
        asyncio.timeout(PATIENCE),
        RTCPeerConnection(configuration) as alice,
        RTCPeerConnection(configuration) as bob,
    ):

        @bob.on("datachannel")
        async def echo(channel: RTCDataChannel) -> None:
            async for message in channel:
                channel.send(message)

        channel = alice.createDataChannel("chat")
        await describe(alice, bob)
        await describe(bob, alice)
        await channel.opened()
        for message in ("hello", LARGE):
            channel.send(message)
            assert await channel.receive() == message
        report = alice.security_report()
        over = " over TCP" if (report.selected_pair or "").startswith("tcp ") else ""
        return f"{report.local_candidate_type} to {report.remote_candidate_type}{over}"
