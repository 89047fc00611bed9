"""A peer of the matrix: takes part in calls, many at a time, as its test tells it by lines of JSON.

    python -m tests.lab.peer AUTHORITY.pem NAME_OF_THE_SERVER USER PASSWORD

It is told the same on every machine, and nothing of the network that it is in. Where a person would set a proxy, that
stands in the environment.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from icelane import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate
from tests.broken.registry import all_breaks
from tests.interop.peers.programs.service import serve

MESSAGE: Final = 20_000  # bytes: a few packets each way
POLL: Final = 0.02

Json = dict[str, Any]


class Call:
    """One connection, and what came of it."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self.connection = connection
        self.candidates: asyncio.Queue[Json | None] = asyncio.Queue()
        self.channel: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        self.errors: list[str] = []
        connection.on("icecandidate", self._tell)
        connection.on("icecandidateerror", lambda event: self.errors.append(f"{event.url}: {event.errorText}"))

    def _tell(self, candidate: RTCIceCandidate | None) -> None:
        self.candidates.put_nowait(None if candidate is None else candidate.toJSON())


class Calls:
    """What the test asks for, by the names that it calls it by."""

    def __init__(self, authority: str, server: str, user: str, password: str) -> None:
        turn = [f"turn:{server}:3478?transport={transport}" for transport in ("udp", "tcp")]
        turn += [f"turns:{server}:{port}?transport=tcp" for port in (5349, 443)]
        self._servers = [
            RTCIceServer(urls=f"stun:{server}:3478"),
            RTCIceServer(urls=turn, username=user, credential=password),
        ]
        self._authority = Path(authority)
        self._calls: dict[str, Call] = {}

    async def ready(self) -> None:
        """Answered when the program has started."""

    async def offer(self, call: str, policy: str) -> Json:
        """Make the connection and its offer."""
        made = self._make(call, policy)
        made.channel.set_result(made.connection.createDataChannel("matrix"))
        return await self._described(made)

    async def answer(self, call: str, policy: str, offer: Json) -> Json:
        """Make the connection and answer; what comes on its channel is sent back."""
        made = self._make(call, policy)

        @made.connection.on("datachannel")
        def echo(channel: RTCDataChannel) -> None:
            channel.on("message", channel.send)
            made.channel.set_result(channel)

        await made.connection.setRemoteDescription(offer)
        return await self._described(made)

    async def accept(self, call: str, answer: Json) -> None:
        await self._calls[call].connection.setRemoteDescription(answer)

    async def next_candidate(self, call: str) -> Json | None:
        """The next that was found; None at the end."""
        return await self._calls[call].candidates.get()

    async def add_candidate(self, call: str, candidate: Json | None) -> None:
        await self._calls[call].connection.addIceCandidate(candidate)

    async def opened(self, call: str) -> None:
        """Wait until there is a channel and it is open."""
        await (await self._calls[call].channel).opened()

    async def echo(self, call: str) -> bool:
        """Whether data comes back as it was sent."""
        channel, data = await self._calls[call].channel, secrets.token_bytes(MESSAGE)
        channel.send(data)
        return await channel.receive() == data

    async def route(self, call: str) -> Json:
        """The ends of the path once it is settled: nominated by ICE."""
        connection = self._calls[call].connection
        while True:
            report = dict((await connection.getStats()).items())
            selected = [one["selectedCandidatePairId"] for one in report.values() if one["type"] == "transport"]
            pair = report.get(str(selected[0])) if selected else None
            if pair is not None and pair["nominated"]:
                local, remote = report[str(pair["localCandidateId"])], report[str(pair["remoteCandidateId"])]
                return {
                    "local": local["candidateType"],
                    "remote": remote["candidateType"],
                    "transport": local.get("relayProtocol") or local["protocol"],
                }
            await asyncio.sleep(POLL)

    async def states(self, call: str) -> list[str]:
        """What is to be told when nothing came of it."""
        made = self._calls[call]
        return [f"{made.connection.connectionState}, ICE {made.connection.iceConnectionState}", *made.errors]

    async def end(self, call: str) -> None:
        await self._calls.pop(call).connection.close()

    async def close(self) -> None:
        for call in list(self._calls):
            await self.end(call)

    def _make(self, call: str, policy: str) -> Call:
        configuration = RTCConfiguration(
            iceServers=self._servers,
            iceTransportPolicy=policy,
            authority=self._authority,
            http_proxy="environment",
            ice_tcp="both",
        )
        made = self._calls[call] = Call(RTCPeerConnection(configuration))
        return made

    async def _described(self, made: Call) -> Json:
        await made.connection.setLocalDescription()
        assert made.connection.localDescription is not None
        return dict(made.connection.localDescription.toJSON())


if __name__ == "__main__":
    if broken := os.environ.get("BREAK_NAME"):  # what `tests.broken` weakens in the process of its test
        all_breaks()[broken].apply()
    serve(lambda: Calls(*sys.argv[1:]))
