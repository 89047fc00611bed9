"""wrtc as a peer: libwebrtc, with the W3C's names and event objects."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import webrtc

from tests.interop.peers.programs.service import serve
from tests.interop.peers.programs.w3c import Json, Peer


class WrtcPeer(Peer):
    def _connect(self, servers: list[Json], policy: str) -> Any:
        return webrtc.RTCPeerConnection(
            webrtc.RTCConfiguration(
                ice_servers=[webrtc.RTCIceServer(**server) for server in servers], ice_transport_policy=policy
            )
        )

    def _create_channel(self, label: str, options: Json) -> Any:
        return self.connection.createDataChannel(label, webrtc.RTCDataChannelInit(**_snake_case(options)))

    def _description(self, description: Json) -> Any:
        return webrtc.RTCSessionDescriptionInit(**description)

    def _candidate(self, candidate: Json) -> Any:
        return webrtc.RTCIceCandidateInit(**_snake_case(candidate))

    def _of(self, event: Any, name: str) -> Any:
        return getattr(event, name)

    async def _gathered(self) -> None:
        changed = asyncio.Event()
        self.connection.on("icegatheringstatechange")(lambda _: changed.set())
        while self.connection.iceGatheringState != "complete":
            changed.clear()
            await changed.wait()

    async def _close(self) -> None:
        self.connection.close()


def _snake_case(given: Json) -> Json:
    """Its dictionaries are built by names in snake case: `sdpMLineIndex` is `sdp_m_line_index`."""
    return {re.sub("(?=[A-Z])", "_", name).lower(): value for name, value in given.items()}


if __name__ == "__main__":
    serve(WrtcPeer)
