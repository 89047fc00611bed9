"""aiortc as a peer. It gathers before setLocalDescription returns, so its candidates stand in its descriptions."""
# ruff: noqa: N802

from __future__ import annotations

from typing import Any

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from tests.interop.peers.programs.service import serve
from tests.interop.peers.programs.w3c import Json, Peer


class AiortcPeer(Peer):
    def _connect(self, servers: list[Json], policy: str) -> Any:
        return RTCPeerConnection(
            RTCConfiguration(
                iceServers=[RTCIceServer(**server) for server in servers],
                iceTransportPolicy=RTCIceTransportPolicy(policy),
            )
        )

    def _description(self, description: Json) -> Any:
        return RTCSessionDescription(**description)

    async def addCandidate(self, candidate: Json | None) -> None:
        if not candidate or not candidate["candidate"]:
            await self.connection.addIceCandidate(None)
            return
        parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
        parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
        await self.connection.addIceCandidate(parsed)

    async def nextLocalCandidate(self) -> Json | None:
        return None

    async def _gathered(self) -> None:
        return

    async def selectedPair(self) -> Json | None:
        """Its statistics tell nothing of candidates, so this looks inside."""
        pair = self.connection.sctp.transport.transport._connection._nominated.get(1)
        return pair and {
            "local": pair.local_candidate.type,
            "remote": pair.remote_candidate.type,
            "protocol": pair.local_candidate.transport,
            "relayProtocol": None,
            "localAddress": pair.local_candidate.host,
            "remoteAddress": pair.remote_candidate.host,
        }


if __name__ == "__main__":
    serve(AiortcPeer)
