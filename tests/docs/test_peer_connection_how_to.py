"""The programs of docs/howto/peer-connection.md, run as they stand there, between two peers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from icelane import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection
from tests.docs.test_documentation import blocks

TIMEOUT = 30.0  # seconds; a call takes a fraction of one

Message = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """What the page defines."""
    scope: dict[str, Any] = {}
    for code in blocks("docs/howto/peer-connection.md", "python"):
        exec(code, scope)
    return scope


class Wire:
    """Signaling between two peers in one program, in order."""

    def __init__(self) -> None:
        self.queues: tuple[asyncio.Queue[Message], asyncio.Queue[Message]] = asyncio.Queue(), asyncio.Queue()

    def sender(self, end: int) -> Callable[[Message], Awaitable[None]]:
        return self.queues[1 - end].put

    async def deliver(self, end: int, received: Callable[[Message], Awaitable[None]]) -> None:
        while True:
            await received(await self.queues[end].get())


def loopback() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(interfaces=["lo"]))


async def first_channel(pc: RTCPeerConnection) -> RTCDataChannel:
    """The channel that the peer announces."""
    announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
    pc.on("datachannel", announced.set_result)
    return await announced


@pytest.mark.parametrize("both_call", [False, True], ids=["one calls", "both call at once"])
def test_perfect_negotiation_connects_whoever_calls(
    written: dict[str, Any], both_call: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        wire = Wire()
        async with asyncio.timeout(TIMEOUT), loopback() as polite, loopback() as impolite:
            peers = (polite, impolite)
            for pc in peers:
                written["tell_what_happens"](pc)
            carriers = [
                asyncio.ensure_future(
                    wire.deliver(end, written["negotiate"](pc, wire.sender(end), polite=pc is polite))
                )
                for end, pc in enumerate(peers)
            ]
            callers = peers if both_call else (polite,)
            channels = [pc.createDataChannel(f"of {end}") for end, pc in enumerate(callers)]
            for channel in channels:
                await channel.opened()
            polite.restartIce()
            await asyncio.sleep(0.2)
            await written["tell_every_path"](polite)
            for pc in peers:
                assert (pc.signalingState, pc.connectionState) == ("stable", "connected")
                assert pc.handler_errors == 0
            for carrier in carriers:
                assert not carrier.done() or carrier.exception() is None
                carrier.cancel()

    asyncio.run(run())
    said = capsys.readouterr().out
    assert "connection: connected" in said
    assert "succeeded: host" in said
    assert "DTLSv1.2" in said


def test_what_is_sent_with_draining_arrives(written: dict[str, Any]) -> None:
    async def run() -> None:
        wire = Wire()
        chunks = [bytes([number]) * 16_384 for number in range(100)]
        async with asyncio.timeout(TIMEOUT), loopback() as sender, loopback() as receiver:
            carriers = [
                asyncio.ensure_future(wire.deliver(end, written["negotiate"](pc, wire.sender(end), polite=end == 0)))
                for end, pc in enumerate((sender, receiver))
            ]
            arriving = asyncio.ensure_future(first_channel(receiver))
            channel = sender.createDataChannel("bulk")
            await channel.opened()
            sending = asyncio.ensure_future(written["send_all"](channel, chunks))
            assert [await (await arriving).receive() for _ in chunks] == chunks
            await sending
            for carrier in carriers:
                carrier.cancel()

    asyncio.run(run())


def test_a_server_that_refuses_is_named(written: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        server = RTCIceServer(urls="turn:127.0.0.1:9?transport=tcp", username="alice", credential="wonderland")
        async with RTCPeerConnection(RTCConfiguration(interfaces=["lo"], iceServers=[server])) as pc:
            written["tell_what_happens"](pc)
            pc.createDataChannel("any")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            await asyncio.sleep(0)

    asyncio.run(run())
    said = capsys.readouterr().out
    assert "turn:127.0.0.1:9?transport=tcp: 701 cannot connect" in said
    assert "gathering: complete" in said


def test_the_configurations_of_the_page_can_be_used(written: dict[str, Any], tmp_path: Path) -> None:
    assert [uri.scheme for _, uri in written["configuration"].check()] == ["turn", "turns"]
    for name in ("narrowed", "in_a_cloud"):
        assert written[name].check() == []
    leaf = trustme.CA().issue_cert("peer.example")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(str(certificate))
    leaf.private_key_pem.write_to_path(str(key))
    configuration = written["known_again"](certificate, key)

    async def fingerprint() -> str:
        async with RTCPeerConnection(configuration) as pc:
            return pc.security_report().local_fingerprint

    assert asyncio.run(fingerprint()) == asyncio.run(fingerprint())
