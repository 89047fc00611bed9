"""What aiortc's users rely on beyond names; `test_programs` has the rest."""

from __future__ import annotations

import asyncio
import datetime
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from icelane.compat.aiortc import (
    DEFAULT_ICE_SERVERS,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCOutboundRtpStreamStats,
    RTCPeerConnection,
    rtcpeerconnection,
)
from icelane.compat.aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from icelane.compat.aiortc.rtcrtpreceiver import RemoteStreamTrack
from icelane.compat.aiortc.sdp import SessionDescription
from icelane.errors import NotSupportedError
from tests.aio.peers import until

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def asks_nobody() -> Iterator[list[RTCIceServer]]:
    """The default servers, and none of them in force."""
    known = list(DEFAULT_ICE_SERVERS)
    DEFAULT_ICE_SERVERS.clear()
    yield known
    DEFAULT_ICE_SERVERS[:] = known


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    one, other = RTCPeerConnection(), RTCPeerConnection()
    try:
        async with asyncio.timeout(PATIENCE):
            yield one, other
    finally:
        await one.close()
        await other.close()


async def negotiate(caller: RTCPeerConnection, callee: RTCPeerConnection) -> None:
    await caller.setLocalDescription()
    assert caller.localDescription is not None
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription()
    assert callee.localDescription is not None
    await caller.setRemoteDescription(callee.localDescription)


async def channel_of(pc: RTCPeerConnection) -> RTCDataChannel:
    announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
    pc.on("datachannel", announced.set_result)
    return await announced


def test_no_servers_means_the_default_ones_and_an_empty_list_none(asks_nobody: list[RTCIceServer]) -> None:
    server = RTCIceServer(urls=["turn:turn.example.org"], username="u", credential="c")
    assert servers_of(None) == []
    DEFAULT_ICE_SERVERS.append(server)
    assert servers_of(None) == servers_of(RTCConfiguration()) == [["turn:turn.example.org"]]
    assert servers_of(RTCConfiguration(iceServers=[])) == []
    assert RTCIceGatherer.getDefaultIceServers() == [server]
    assert [str(one.urls).partition(":")[0] for one in asks_nobody] == ["stun"]


def servers_of(configuration: RTCConfiguration | None) -> list[object]:
    return [one.urls for one in RTCPeerConnection(configuration)._configuration.iceServers or ()]


def test_policies_are_enumerations_and_their_words_do_too() -> None:
    configuration = RTCConfiguration(
        iceServers=[], iceTransportPolicy=RTCIceTransportPolicy.RELAY, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
    )
    native = RTCPeerConnection(configuration)._configuration
    assert (native.iceTransportPolicy, native.bundlePolicy) == ("relay", "max-bundle")
    assert RTCPeerConnection(RTCConfiguration([], "relay"))._configuration.relay_only  # type: ignore[arg-type]


def test_candidates_that_come_before_the_description_wait_for_it() -> None:
    async def main() -> None:
        async with pair() as (one, other):
            channel = one.createDataChannel("chat")
            await one.setLocalDescription()
            assert one.localDescription is not None
            session = SessionDescription.parse(one.localDescription.sdp)
            candidates, session.media[0].ice_candidates = session.media[0].ice_candidates, []
            for candidate in candidates:
                candidate.sdpMid = session.media[0].rtp.muxId
                await other.addIceCandidate(candidate)
            await other.addIceCandidate(None)
            offer = type(one.localDescription)(sdp=str(session), type="offer")
            await other.setRemoteDescription(offer)
            await other.setLocalDescription()
            assert other.localDescription is not None
            await one.setRemoteDescription(other.localDescription)
            await until(lambda: channel.readyState == "open")

    asyncio.run(main())


def test_early_candidates_are_bounded_and_wrong_ones_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtcpeerconnection, "MAX_EARLY_CANDIDATES", 2)

    async def main() -> None:
        async with pair() as (one, other):
            one.createDataChannel("chat")
            await one.setLocalDescription()
            assert one.localDescription is not None
            wrong = RTCIceCandidate(1, "f", "192.0.2.1", 5000, 1, "udp", "host", sdpMid="no such section")
            for _ in range(5):
                await other.addIceCandidate(wrong)
            assert len(other._early_candidates) == 2
            await other.setRemoteDescription(one.localDescription)
            await other.addIceCandidate(wrong)
            assert other.signalingState == "have-remote-offer"

    asyncio.run(main())


def test_a_server_that_does_not_answer_does_not_hold_the_description_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtcpeerconnection, "GATHERING_TIMEOUT", 0.05)

    async def main() -> None:
        with silent_server() as port:
            pc = RTCPeerConnection(RTCConfiguration([RTCIceServer(f"stun:127.0.0.1:{port}")]))
            pc.createDataChannel("chat")
            await asyncio.wait_for(pc.setLocalDescription(), 2)
            assert pc.localDescription is not None
            assert "a=candidate" in pc.localDescription.sdp
            await pc.close()

    asyncio.run(main())


@contextmanager
def silent_server() -> Iterator[int]:
    """A UDP port that answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def test_messages_wait_for_who_listens_and_slow_handlers_hold_the_peer_back() -> None:
    async def main() -> None:
        async with pair() as (one, other):
            channel = one.createDataChannel("chat")
            announced = asyncio.ensure_future(channel_of(other))
            await negotiate(one, other)
            remote = await announced
            await until(lambda: channel.readyState == "open")
            channel.send("early")
            await asyncio.sleep(0.1)
            go_on, heard = asyncio.Event(), list[object]()

            @remote.on("message")
            async def slow(message: object) -> None:
                await go_on.wait()
                heard.append(message)

            await asyncio.sleep(0.05)
            assert remote._native._unfinished == 1  # what the peer's window counts
            go_on.set()
            await until(lambda: heard == ["early"])

    asyncio.run(main())


def test_the_peers_tracks_are_told_once_and_can_be_skipped_and_stopped() -> None:
    async def main() -> None:
        async with pair() as (one, other):
            tracks = list[MediaStreamTrack]()
            other.on("track", tracks.append)
            one.addTrack(AudioStreamTrack())
            await negotiate(one, other)
            await negotiate(one, other)
            (track,) = tracks
            assert isinstance(track, RemoteStreamTrack)
            await track.recv()
            await asyncio.sleep(0.2)
            queue = track._queue  # where pipecat looks
            assert queue.qsize() > 0
            while not queue.empty():
                queue.get_nowait()
                queue.task_done()
            with pytest.raises(asyncio.QueueEmpty):
                queue.get_nowait()
            await track.recv()
            ended = list[str]()
            track.on("ended", lambda: ended.append("ended"))
            await other.close()
            assert ended == ["ended"]
            with pytest.raises(MediaStreamError):
                await track.recv()

    asyncio.run(main())


def test_what_is_below_is_there() -> None:
    async def main() -> None:
        async with pair() as (one, other):
            one.addTrack(AudioStreamTrack())
            await negotiate(one, other)
            await one.connection.connected(PATIENCE)
            assert "DTLS" in str(one.connection.security_report())
            transport = one.getSenders()[0].transport
            assert transport.state == "connected"
            assert transport.getLocalParameters().fingerprints[0].algorithm == "sha-256"
            assert transport.transport.role == "controlling"
            gatherer = transport.transport.iceGatherer
            assert gatherer.state == "completed"
            assert gatherer.getLocalCandidates()[0].component == 1
            assert transport.transport.getRemoteCandidates()[0].protocol == "udp"
            assert one.sctp is None

    asyncio.run(main())


def test_parts_are_not_made_by_programs() -> None:
    async def main() -> None:
        with pytest.raises(NotSupportedError, match="setLocalDescription"):
            await RTCIceGatherer().gather()

    asyncio.run(main())
    with pytest.raises(NotSupportedError, match="createDataChannel"):
        RTCDataChannel(None, None)  # type: ignore[arg-type]


def test_who_was_heard_is_told_with_the_time_of_day() -> None:
    async def main() -> None:
        async with pair() as (one, other):
            tracks = list[MediaStreamTrack]()
            other.on("track", tracks.append)
            track = AudioStreamTrack()
            sender = one.addTrack(track)
            await negotiate(one, other)
            await tracks[0].recv()
            (source,) = other.getReceivers()[0].getSynchronizationSources()
            assert abs((datetime.datetime.now(datetime.UTC) - source.timestamp).total_seconds()) < 10
            await until(lambda: one.connectionState == "connected")
            for report in (await one.getStats(), await sender.getStats()):
                (sent,) = [s for s in report.values() if isinstance(s, RTCOutboundRtpStreamStats)]
                assert (sent.ssrc, sent.trackId) == (source.source, track.id)

    asyncio.run(main())
