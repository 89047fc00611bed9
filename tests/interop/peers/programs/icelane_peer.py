"""Our own peer connection, as a program like the others, so that it can be on another machine."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from typing import Any

from tests.interop.peers.programs.icelane_media import Media
from tests.interop.peers.programs.service import serve
from tests.interop.peers.programs.w3c import End, Json, Peer


class IcelanePeer(Media, Peer):
    def __init__(self) -> None:
        super().__init__()
        self._icelane: Any = importlib.import_module("icelane")
        self._receiving: set[asyncio.Task[None]] = set()

    def _connect(self, servers: list[Json], policy: str) -> Any:
        return self._icelane.RTCPeerConnection(
            self._icelane.RTCConfiguration(
                iceServers=[self._icelane.RTCIceServer(**server) for server in servers],
                iceTransportPolicy=policy,
                authority=os.environ.get("SSL_CERT_FILE"),  # the others read it by themselves
                **json.loads(os.environ.get("ICELANE_PEER_SETTINGS", "{}")),
            )
        )

    def _description(self, description: Json) -> Any:
        return self._icelane.RTCSessionDescription(**description)

    def _candidate(self, candidate: Json) -> Any:
        return self._icelane.RTCIceCandidate(**candidate)

    async def _gathered(self) -> None:
        await self.connection.gathering_complete()

    def _receive(self, channel: Any, end: End) -> None:
        async def receive() -> None:
            async for message in channel:
                end.arrived(message)

        task = asyncio.create_task(receive())
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)

    async def _send(self, channel: Any, end: End, message: bytes) -> None:
        channel.send(message)
        await channel.drain()


if __name__ == "__main__":
    serve(IcelanePeer)
