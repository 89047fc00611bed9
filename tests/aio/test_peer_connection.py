"""RTCPeerConnection on loopback: what W3C WebRTC promises, and our extensions."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from icelane.aio.certificate import RTCCertificate
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.event_target import Event
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
from icelane.errors import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    LocalProtocolError,
    NotSupportedError,
    OperationError,
    SyntaxError_,
    TransportClosedError,
)
from tests.aio.peers import LOOPBACK, PATIENCE, Signaling, configured, connect, exchange, pair, until
from tests.loops import Run

CANDIDATE = "candidate:1 1 udp 2122260223 127.0.0.1 9 typ host"


def recorded(pc: RTCPeerConnection, *events: str) -> list[str]:
    """What happens from now on, as names of events and the state that each has led to."""
    happened: list[str] = []
    states = {
        "signalingstatechange": lambda: pc.signalingState,
        "icegatheringstatechange": lambda: pc.iceGatheringState,
        "iceconnectionstatechange": lambda: pc.iceConnectionState,
        "connectionstatechange": lambda: pc.connectionState,
    }

    def listener(event: str) -> Callable[..., None]:
        return lambda *_: happened.append(f"{event}: {states[event]()}" if event in states else event)

    for event in events or tuple(states):
        pc.on(event, listener(event))
    return happened


async def settled() -> None:
    """Let everything happen that is due."""
    for _ in range(10):
        await asyncio.sleep(0)


# States and events


def test_states_change_in_the_order_of_w3c_and_each_is_told_once(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            before = (alice.signalingState, alice.iceGatheringState, alice.iceConnectionState, alice.connectionState)
            assert before == ("stable", "new", "new", "new")
            happened = recorded(alice)
            alice.createDataChannel("chat")
            await connect(alice, bob)
            await until(lambda: alice.iceConnectionState == "completed")
            assert [one for one in happened if one.startswith("signaling")] == [
                "signalingstatechange: have-local-offer", "signalingstatechange: stable",
            ]  # fmt: skip
            assert [one for one in happened if one.startswith("icegathering")] == [
                "icegatheringstatechange: gathering", "icegatheringstatechange: complete",
            ]  # fmt: skip
            assert [one for one in happened if one.startswith("iceconnection")] == [
                "iceconnectionstatechange: checking", "iceconnectionstatechange: connected",
                "iceconnectionstatechange: completed",
            ]  # fmt: skip
            assert [one for one in happened if one.startswith("connection")] == [
                "connectionstatechange: connecting", "connectionstatechange: connected",
            ]  # fmt: skip
            await alice.close()
            assert happened[-3:].count("connectionstatechange: closed") == 1
            assert alice.signalingState == alice.iceConnectionState == alice.connectionState == "closed"

    run(main())


def test_attributes_get_the_event_object_and_candidates_end_with_none(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            bare: list[RTCIceCandidate | None] = []
            events: list[Event] = []
            alice.on("icecandidate", bare.append)
            alice.onicecandidate = events.append
            alice.createDataChannel("chat")
            await exchange(alice, bob)
            await settled()
            assert bare[-1] is None
            assert bare[:-1]
            assert [event.candidate for event in events] == bare
            for candidate in bare[:-1]:
                assert candidate is not None
                assert candidate.sdpMid == "0"
                assert candidate.sdpMLineIndex == 0
                assert candidate.candidate.endswith(f" ufrag {candidate.usernameFragment}")
                assert alice.localDescription is not None
                assert f"a=ice-ufrag:{candidate.usernameFragment}\r\n" in alice.localDescription.sdp

    run(main())


def test_negotiationneeded_comes_once_and_not_before_the_operations_are_done(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            asked: list[str] = []
            alice.on("negotiationneeded", lambda: asked.append(alice.signalingState))
            alice.createDataChannel("one")
            assert asked == []  # W3C section 4.7.3: a task, not a call
            alice.createDataChannel("two")
            await settled()
            assert asked == ["stable"]
            alice.createDataChannel("three")
            await settled()
            assert asked == ["stable"]
            await exchange(alice, bob)
            alice.createDataChannel("four")
            await settled()
            assert asked == ["stable"]  # there is a section already
            alice.restartIce()
            alice.restartIce()
            offer = asyncio.ensure_future(alice.createOffer())
            await asyncio.sleep(0)
            await offer
            await settled()
            assert asked == ["stable", "stable"]
            await exchange(alice, bob)
            await settled()
            assert asked == ["stable", "stable"]

    run(main())


def test_negotiationneeded_waits_until_the_chain_of_operations_is_empty(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            asked: list[int] = []
            done = 0

            async def offer() -> None:
                nonlocal done
                await alice.createOffer()
                done += 1

            alice.on("negotiationneeded", lambda: asked.append(done))
            async with alice._operation():  # what any of them does, for as long as we like
                alice.createDataChannel("chat")
                waiting = [asyncio.ensure_future(offer()) for _ in range(3)]
                await settled()
                assert asked == []
            await asyncio.gather(*waiting)
            await settled()
            assert asked == [3]

    run(main())


def test_what_changes_while_an_offer_is_out_is_asked_for_when_it_is_answered(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            asked: list[str] = []
            bob.createDataChannel("from bob")
            await exchange(bob, alice)
            await settled()
            alice.on("negotiationneeded", lambda: asked.append(alice.signalingState))
            await alice.setLocalDescription()
            alice.restartIce()
            await settled()
            assert asked == []
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            await bob.setLocalDescription()
            assert bob.localDescription is not None
            await alice.setRemoteDescription(bob.localDescription)
            await settled()
            assert asked == ["stable"]

    run(main())


# Perfect negotiation


@pytest.mark.parametrize("delay", [0.0, 0.01])
@pytest.mark.parametrize("who_begins", ["impolite", "polite", "both"])
def test_perfect_negotiation_connects_whoever_begins(run: Run, who_begins: str, delay: float) -> None:
    async def main() -> None:
        async with pair() as (impolite, polite), Signaling(impolite, polite, delay) as signaling:
            made = []
            if who_begins in ("impolite", "both"):
                made.append(impolite.createDataChannel("from the impolite"))
            if who_begins in ("polite", "both"):
                made.append(polite.createDataChannel("from the polite"))
            await asyncio.gather(*(channel.opened() for channel in made))
            await signaling.stable()
            for peer in (impolite, polite):
                assert peer.signalingState == "stable"
                assert peer.connectionState == "connected"
                assert not peer.handler_errors
            assert ("ignored" in signaling.log) is (who_begins == "both")

    run(main())


def test_perfect_negotiation_survives_glare_again_and_again(run: Run) -> None:
    async def main() -> None:
        async with pair() as (impolite, polite), Signaling(impolite, polite, 0.005) as signaling:
            ours, theirs = impolite.createDataChannel("ours"), polite.createDataChannel("theirs")
            await asyncio.gather(ours.opened(), theirs.opened())
            got: list[str] = []
            polite.on("datachannel", lambda channel: channel.on("message", got.append))
            for round_number in range(4):
                impolite.restartIce()
                polite.restartIce()
                await settled()
                await signaling.stable()
                channel = impolite.createDataChannel(f"channel {round_number}")
                await channel.opened()
                channel.send(f"message {round_number}")
            await until(lambda: len(got) == 4)
            assert signaling.log.count("ignored") >= 4
            assert impolite.connectionState == polite.connectionState == "connected"

    run(main())


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_no_candidate_of_an_old_generation_follows_an_offer_of_a_new_one(run: Run, delay: float) -> None:
    """Signaling fails on a candidate that cannot be added, other than one for an offer that was ignored."""

    async def main() -> None:
        for turns in range(15):
            async with pair() as (impolite, polite), Signaling(impolite, polite, delay) as signaling:
                impolite.createDataChannel("ours")
                polite.createDataChannel("theirs")
                for _ in range(turns):
                    await asyncio.sleep(0)
                impolite.restartIce()
                polite.restartIce()
                await signaling.stable()

    run(main())


@pytest.mark.parametrize("turns", range(8))
def test_what_was_found_is_told_before_the_next_generation_is_set(run: Run, turns: int) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            told: list[str | None] = []
            bob.on("icecandidate", lambda found: told.append(found and found.usernameFragment))
            await bob.setLocalDescription()
            assert bob.localDescription is not None
            await alice.setRemoteDescription(bob.localDescription)
            for _ in range(turns):
                await asyncio.sleep(0)
            bob.restartIce()
            await bob.setLocalDescription()
            assert bob.localDescription is not None
            ended = told.count(None)
            told.clear()
            await bob.gathering_complete()
            await settled()
            assert told
            assert set(told) <= {ufrag_of(bob.localDescription), None}
            assert ended + told.count(None) <= 2
            assert told[-1] is None

    run(main())


# Descriptions


def state_is_settled(pc: RTCPeerConnection) -> bool:
    return pc.pendingLocalDescription is None


def test_descriptions_are_pending_until_they_are_answered(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            assert (alice.localDescription, alice.remoteDescription) == (None, None)
            await alice.setLocalDescription()
            assert alice.pendingLocalDescription is not None
            assert alice.pendingLocalDescription.type == "offer"
            assert alice.currentLocalDescription is None
            assert alice.localDescription == alice.pendingLocalDescription
            await bob.setRemoteDescription(alice.pendingLocalDescription)
            assert (bob.signalingState, bob.pendingRemoteDescription is not None) == ("have-remote-offer", True)
            assert bob.canTrickleIceCandidates is True
            assert alice.canTrickleIceCandidates is None
            await bob.setLocalDescription()
            assert bob.pendingLocalDescription is bob.pendingRemoteDescription is None
            assert bob.currentLocalDescription is not None
            assert bob.currentLocalDescription.type == "answer"
            await alice.setRemoteDescription(bob.currentLocalDescription.toJSON())
            assert state_is_settled(alice)
            assert alice.currentRemoteDescription is not None
            assert alice.currentRemoteDescription.type == "answer"

    run(main())


def test_an_offer_can_be_rolled_back_by_hand_and_is_by_the_peer_s(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("a")
            bob.createDataChannel("b")
            await alice.setLocalDescription()
            await alice.setLocalDescription(RTCSessionDescription(type="rollback"))
            assert (alice.signalingState, alice.localDescription) == ("stable", None)
            with pytest.raises(InvalidStateError):
                await alice.setLocalDescription(RTCSessionDescription(type="rollback"))
            await alice.setLocalDescription()
            await bob.setLocalDescription()
            assert bob.localDescription is not None
            happened = recorded(alice, "signalingstatechange")
            await alice.setRemoteDescription(bob.localDescription)
            assert alice.signalingState == "have-remote-offer"
            assert state_is_settled(alice)
            assert happened[-1] == "signalingstatechange: have-remote-offer"
            await alice.setRemoteDescription(RTCSessionDescription(type="rollback"))
            assert alice.signalingState == "stable"
            await bob.setLocalDescription(RTCSessionDescription(type="rollback"))
            await connect(alice, bob)

    run(main())


def test_descriptions_that_do_not_fit_the_state_are_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            with pytest.raises(InvalidStateError):
                await alice.createAnswer()
            answer = RTCSessionDescription(sdp="v=0", type="answer")
            with pytest.raises(InvalidStateError):
                await alice.setRemoteDescription(answer)
            with pytest.raises(InvalidStateError):
                await alice.setLocalDescription(answer)
            offer = await alice.createOffer()
            with pytest.raises(InvalidModificationError):
                await alice.setLocalDescription(RTCSessionDescription(sdp=offer.sdp + "a=x\r\n", type="offer"))
            await bob.setRemoteDescription(offer)
            with pytest.raises(InvalidStateError):
                await bob.createOffer()
            assert alice.signalingState == "stable"

    run(main())


def test_operations_are_carried_out_one_after_the_other(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            offer = await alice.createOffer()
            # Nobody waits for anything here; W3C's chain puts them in order.
            first = asyncio.ensure_future(bob.setRemoteDescription(offer))
            second = asyncio.ensure_future(bob.addIceCandidate(RTCIceCandidate(CANDIDATE, "0", 0)))
            third = asyncio.ensure_future(bob.setLocalDescription())
            await asyncio.gather(first, second, third)
            assert bob.remoteDescription is not None
            assert CANDIDATE in bob.remoteDescription.sdp
            assert bob.signalingState == "stable"

    run(main())


def test_candidates_that_cannot_be_added_raise_what_w3c_names(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            with pytest.raises(TypeError):
                await bob.addIceCandidate(RTCIceCandidate(CANDIDATE))
            with pytest.raises(InvalidStateError):
                await bob.addIceCandidate(RTCIceCandidate(CANDIDATE, "0"))
            with pytest.raises(InvalidStateError):
                await bob.addIceCandidate(None)
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            for bad in (
                RTCIceCandidate(CANDIDATE, "7"),
                RTCIceCandidate(CANDIDATE, None, 7),
                RTCIceCandidate(CANDIDATE, "0", 0, "nobody"),
                RTCIceCandidate("candidate:nonsense", "0"),
            ):
                with pytest.raises(OperationError):
                    await bob.addIceCandidate(bad)
            with pytest.raises(TypeError):
                await bob.addIceCandidate({"candidate": 7})
            await bob.addIceCandidate(RTCIceCandidate(CANDIDATE, "0", 0).toJSON())
            await bob.addIceCandidate(RTCIceCandidate("", "0"))
            await bob.addIceCandidate({"candidate": "", "sdpMid": None, "sdpMLineIndex": None})
            await bob.addIceCandidate()
            assert bob.remoteDescription is not None
            assert bob.remoteDescription.sdp.count("a=end-of-candidates") == 1
            await bob.close()
            with pytest.raises(InvalidStateError):
                await bob.addIceCandidate(RTCIceCandidate(CANDIDATE, "0"))

    run(main())


def test_after_the_end_everything_is_refused_and_the_descriptions_stay(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            await alice.close()
            for refused in (
                alice.createOffer(), alice.createAnswer(), alice.setLocalDescription(),
                alice.setRemoteDescription(RTCSessionDescription()),
            ):  # fmt: skip
                with pytest.raises(InvalidStateError):
                    await refused
            with pytest.raises(InvalidStateError):
                alice.createDataChannel("late")
            with pytest.raises(InvalidStateError):
                alice.setConfiguration(LOOPBACK)
            alice.restartIce()  # W3C: harmless
            assert alice.currentLocalDescription is not None
            assert (await alice.getStats())["P"].dataChannelsOpened == 1

    run(main())


# Configuration


def test_the_configuration_that_cannot_change_does_not(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            for other in (
                configured(bundlePolicy="max-bundle"),
                configured(legacy_peers=True),
                configured(certificates=[RTCCertificate.generate()]),
            ):
                with pytest.raises(InvalidModificationError):
                    alice.setConfiguration(other)
            with pytest.raises(InvalidModificationError):
                alice.setConfiguration({"bundlePolicy": "max-bundle"})
            with pytest.raises(SyntaxError_):
                alice.setConfiguration({"iceServers": [{"urls": "http://example.org"}]})
            with pytest.raises(InvalidAccessError):
                alice.setConfiguration({"iceServers": [{"urls": "turn:turn.example.org"}]})
            with pytest.raises(TypeError):
                alice.setConfiguration({"iceTransportPolicy": "public"})
            with pytest.raises(NotSupportedError):
                alice.setConfiguration({"rtcpMuxPolicy": "negotiate"})
            assert not alice.getConfiguration().iceServers
            alice.setConfiguration(alice.getConfiguration())

    run(main())


def test_the_size_of_the_pool_changes_until_a_local_description_is_set(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            alice.setConfiguration(configured(iceCandidatePoolSize=1))
            await alice.setLocalDescription()
            alice.setConfiguration(configured(iceCandidatePoolSize=1))
            with pytest.raises(InvalidModificationError, match="iceCandidatePoolSize"):
                alice.setConfiguration(configured(iceCandidatePoolSize=2))
            assert alice.getConfiguration().iceCandidatePoolSize == 1

    run(main())


def test_the_configuration_that_can_change_is_told_back(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            servers = [RTCIceServer(urls=["stun:127.0.0.1:9"])]
            alice.setConfiguration(configured(iceServers=servers, iceTransportPolicy="relay"))
            told = alice.getConfiguration()
            assert told.iceServers == servers
            assert told.iceTransportPolicy == "relay"
            assert told.certificates
            alice.setConfiguration({"iceServers": [{"urls": "stun:127.0.0.1:10"}]})
            told = alice.getConfiguration()
            assert told.iceTransportPolicy == "all"  # W3C: what a dictionary leaves out has its default
            assert told.interfaces == ["lo"]
            assert told.iceServers is not None
            assert told.iceServers[0].urls == ["stun:127.0.0.1:10"]

    run(main())


@pytest.mark.parametrize("other", [{"iceTransportPolicy": "relay"}, {"iceServers": [{"urls": "stun:127.0.0.1:9"}]}])
def test_after_a_change_of_servers_or_policy_the_next_offer_restarts_ice(run: Run, other: dict[str, object]) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            before = await alice.createOffer()
            alice.setConfiguration(other)
            after = await alice.createOffer()
            assert ufrag_of(before) != ufrag_of(after)
            alice.setConfiguration(alice.getConfiguration())

    run(main())


@pytest.mark.parametrize(
    "settings",
    [
        {"interfaces": ["lo", "missing"]},
        {"include_loopback": True},
        {"addresses": ["127.0.0.0/8"]},
        {"port_range": (20_000, 60_000)},
        {"authority": "authority.pem"},
    ],
    ids=str,
)
def test_after_a_change_of_addresses_and_ports_the_next_offer_restarts_ice(run: Run, settings: dict[str, Any]) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            before = await alice.createOffer()
            alice.setConfiguration(configured())  # the same
            assert ufrag_of(await alice.createOffer()) == ufrag_of(before)
            alice.setConfiguration(configured(**settings))
            assert ufrag_of(await alice.createOffer()) != ufrag_of(before)

    run(main())


def test_after_a_change_of_ports_and_addresses_the_connection_goes_on_over_those(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            bob.on("datachannel", lambda channel: channel.on("message", channel.send))
            channel = alice.createDataChannel("echo")
            await connect(alice, bob)
            await channel.opened()
            # Never among those that the system gives away by itself.
            alice.setConfiguration(configured(port_range=(21_000, 22_000), addresses=["127.0.0.0/8"]))
            await connect(alice, bob)
            assert [(base.host, base.port in range(21_000, 22_001)) for base in alice._driver.bases] == [
                ("127.0.0.1", True)
            ]
            channel.send("hello")
            assert await asyncio.wait_for(channel.receive(), PATIENCE) == "hello"
            found = (await alice.getStats()).of_type("local-candidate")
            # One that connects by TCP has no port of its own.
            ports = [stats.port for stats in found if stats.get("tcpType") != "active"]
            assert {port in range(21_000, 22_001) for port in ports} == {True}

    run(main())


@pytest.mark.parametrize("told_back", [False, True], ids=["given", "told back"])
def test_a_configuration_that_the_program_changes_counts_when_it_is_set_and_not_before(
    run: Run, told_back: bool
) -> None:
    """IC-8: with the very object that the connection was made from, and with the one that it told."""

    async def main() -> None:
        given = configured(iceServers=[RTCIceServer(urls=["stun:127.0.0.1:9"])])
        async with pair(given) as (alice, _):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            before = alice.localDescription
            assert before is not None
            assert " typ host" in before.sdp
            changed = alice.getConfiguration() if told_back else given
            changed.iceTransportPolicy = "relay"
            assert isinstance(changed.iceServers, list)
            assert isinstance(changed.iceServers[0].urls, list)
            changed.iceServers[0].urls.append("stun:127.0.0.1:10")
            changed.iceServers.append(RTCIceServer(urls="stun:127.0.0.1:11"))
            now = alice.getConfiguration()
            assert now.iceTransportPolicy == "all"
            assert now.iceServers == [RTCIceServer(urls=["stun:127.0.0.1:9"])]
            alice.setConfiguration(changed)
            assert alice.getConfiguration().iceServers == changed.iceServers
            await alice.setLocalDescription(RTCSessionDescription(type="rollback"))
            await alice.setLocalDescription()
            await alice.gathering_complete()
            after = alice.localDescription
            assert after is not None
            assert ufrag_of(after) != ufrag_of(before)
            assert " typ host" not in after.sdp

    run(main())


def test_servers_added_to_the_list_that_was_told_restart_ice(run: Run) -> None:
    async def main() -> None:
        async with pair(configured(iceServers=[])) as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            told = alice.getConfiguration()
            assert isinstance(told.iceServers, list)
            told.iceServers.append(RTCIceServer(urls="stun:127.0.0.1:9"))
            alice.setConfiguration(told)
            assert alice.localDescription is not None
            assert ufrag_of(await alice.createOffer()) != ufrag_of(alice.localDescription)

    run(main())


def ufrag_of(description: RTCSessionDescription) -> str:
    return description.sdp.partition("a=ice-ufrag:")[2].partition("\r")[0]


# Channels


def test_arguments_of_channels_that_w3c_refuses_are_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            for bad in (
                {"maxPacketLifeTime": 1, "maxRetransmits": 1}, {"negotiated": True}, {"negotiated": True, "id": 65535},
                {"negotiated": True, "id": 70000}, {"negotiated": True, "id": -1}, {"maxRetransmits": 65536},
                {"maxRetransmits": -1}, {"maxPacketLifeTime": 65536}, {"protocol": "x" * 65536},
            ):  # fmt: skip
                with pytest.raises(TypeError):
                    alice.createDataChannel("chat", **bad)
            with pytest.raises(TypeError):
                alice.createDataChannel("ü" * 40_000)
            assert not alice._channels_by_number
            alice.createDataChannel("chat", negotiated=True, id=65534)
            with pytest.raises(OperationError):
                alice.createDataChannel("chat", negotiated=True, id=65534)
            channel = alice.createDataChannel("ü" * 32_767, id=65535, protocol="p" * 65535, maxRetransmits=65535)
            assert channel.id is None  # an id is for negotiated channels alone
            assert alice.createDataChannel("", maxPacketLifeTime=0).maxPacketLifeTime == 0

    run(main())


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (5, {}),
        (None, {}),
        ("chat", {"protocol": None}),
        ("chat", {"maxRetransmits": 1.5}),
        ("chat", {"maxPacketLifeTime": "9"}),
        ("chat", {"negotiated": True, "id": 1.5}),
    ],
)
def test_arguments_of_channels_of_another_type_are_refused(run: Run, label: Any, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            with pytest.raises(TypeError, match=r"expected str|whole number"):
                alice.createDataChannel(label, **options)
            assert not alice._channels_by_number

    run(main())


def test_arguments_of_operations_of_another_type_are_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            nothing: Any = None
            text: Any = "text"
            with pytest.raises(TypeError, match="expected RTCSessionDescription"):
                await alice.setRemoteDescription(nothing)
            with pytest.raises(TypeError, match="expected RTCSessionDescription"):
                await alice.setLocalDescription(text)
            with pytest.raises(TypeError, match="expected RTCIceCandidate"):
                await alice.addIceCandidate(text)
            with pytest.raises(TypeError, match="expected RTCConfiguration"):
                alice.setConfiguration(text)

    run(main())


@pytest.mark.parametrize(
    "settings",
    [
        {"iceServers": "stun:127.0.0.1:9"},
        {"iceServers": ["stun:127.0.0.1:9"]},
        {"iceServers": {"urls": "stun:127.0.0.1:9"}},
        {"iceServers": [RTCIceServer(urls=[7])]},  # type: ignore[list-item]
        {"certificates": ["a certificate"]},
        {"interfaces": "lo"},
        {"iceCandidatePoolSize": 1.5},
    ],
)
def test_settings_of_another_type_are_refused(run: Run, settings: dict[str, object]) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            with pytest.raises(TypeError):
                RTCPeerConnection(configured(**settings))
            with pytest.raises(TypeError):
                alice.setConfiguration(configured(**settings))

    run(main())


def test_mappings_are_taken_for_servers_and_for_our_own_description(run: Run) -> None:
    async def main() -> None:
        async with pair(configured(iceServers=[{"urls": "stun:127.0.0.1:9"}])) as (alice, _):
            assert alice.getConfiguration().iceServers == [RTCIceServer(urls=["stun:127.0.0.1:9"])]
            alice.createDataChannel("chat")
            await alice.setLocalDescription((await alice.createOffer()).toJSON())
            assert alice.signalingState == "have-local-offer"
            await alice.setLocalDescription({"type": "rollback"})
            assert alice.signalingState == "stable"

    run(main())


def test_half_a_surrogate_pair_is_replaced_in_labels_and_in_messages(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            bob.on("datachannel", announced.set_result)
            channel = alice.createDataChannel("\ud800", protocol="a\udc00")
            assert (channel.label, channel.protocol) == ("\ufffd", "a\ufffd")
            await connect(alice, bob)
            await channel.opened()
            theirs = await announced
            assert (theirs.label, theirs.protocol) == ("\ufffd", "a\ufffd")
            channel.send("\ud800x")
            assert await theirs.receive() == "\ufffdx"

    run(main())


def test_channels_that_both_have_negotiated_say_nothing_and_open(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: list[RTCDataChannel] = []
            bob.on("datachannel", announced.append)
            ours, theirs = (peer.createDataChannel("agreed", negotiated=True, id=7) for peer in (alice, bob))
            await connect(alice, bob)
            await asyncio.gather(ours.opened(), theirs.opened())
            assert ours.id == theirs.id == 7
            theirs.send("hello")
            assert await ours.receive() == "hello"
            assert announced == []

    run(main())


def test_what_comes_before_anybody_listens_is_kept_for_who_listens_later(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            got: list[object] = []
            late = asyncio.Event()

            @bob.on("datachannel")
            async def announced(channel: RTCDataChannel) -> None:
                await late.wait()
                channel.on("message", got.append)

            ours = alice.createDataChannel("chat")

            @ours.on("open")
            def opened() -> None:
                for number in range(5):
                    ours.send(str(number))

            await connect(alice, bob)
            await asyncio.sleep(0.1)
            assert got == []
            late.set()
            await settled()
            ours.send("5")
            await until(lambda: len(got) == 6)
            assert got == [str(number) for number in range(6)]

    run(main())


# The end


def test_a_hundred_messages_before_the_end_all_arrive(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            got: list[object] = []
            bob.on("datachannel", lambda channel: channel.on("message", got.append))
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            for number in range(100):
                channel.send(b"%d" % number * 3000)
            await alice.close()
            assert got == [b"%d" % number * 3000 for number in range(100)]
            assert channel.readyState == "closed"
            assert channel.bufferedAmount == 0

    run(main())


def test_the_end_comes_once_however_often_it_is_asked_for(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            happened = recorded(alice, "connectionstatechange")
            alice.createDataChannel("chat")
            await connect(alice, bob)
            await asyncio.gather(*(alice.close() for _ in range(5)))
            await alice.close(timeout=0)
            assert happened.count("connectionstatechange: closed") == 1

    run(main())


def test_the_end_of_one_who_never_began_is_immediate(run: Run) -> None:
    async def main() -> None:
        for _ in range(3):
            async with pair():
                pass
        never = RTCPeerConnection(LOOPBACK)
        await never.close(timeout=0)
        assert never.connectionState == "closed"

    run(main())


def test_the_end_does_not_wait_for_a_peer_that_is_gone(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            bob._driver.abandon()  # as a process that is killed
            channel.send(bytes(1000))
            begun = asyncio.get_running_loop().time()
            await alice.close(timeout=0.3)
            assert asyncio.get_running_loop().time() - begun < 2.0
            assert alice.connectionState == "closed"
            await bob.close(timeout=0)

    run(main())


def test_with_no_time_what_is_queued_is_lost_and_the_peer_still_hears_of_it(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            theirs: list[RTCDataChannel] = []
            bob.on("datachannel", theirs.append)
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            await until(lambda: theirs)
            for _ in range(100):
                channel.send(bytes(100_000))
            await alice.close(timeout=0)
            assert channel.readyState == "closed"
            await until(lambda: theirs[0].readyState == "closed")

    run(main())


def test_the_peer_s_end_closes_the_channels_and_ends_who_waits(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            closed = asyncio.Event()
            channel.on("close", closed.set)
            waiting = asyncio.ensure_future(channel.receive())
            await bob.close()
            await asyncio.wait_for(closed.wait(), PATIENCE)
            with pytest.raises(TransportClosedError):
                await waiting
            assert [message async for message in channel] == []

    run(main())


def test_another_thread_can_begin_the_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            threading.Thread(target=alice.close_threadsafe).start()
            await until(lambda: alice.connectionState == "closed")
            await alice.close()

    run(main())


def test_waiting_for_a_connection_ends_with_it(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            waiting = asyncio.ensure_future(alice.connected())
            with pytest.raises(TimeoutError):
                await alice.connected(0.01)
            await alice.close()
            with pytest.raises(TransportClosedError):
                await waiting

    run(main())


def test_nothing_of_a_connection_is_left_when_it_is_closed_and_forgotten(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            forgotten = weakref.ref(alice._engine)
        del alice, bob
        await settled()
        gc.collect()
        assert forgotten() is None

    run(main())


# Handlers


def test_what_handlers_raise_is_counted_and_disturbs_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            caplog.set_level(logging.CRITICAL, "icelane")

            async def fails(*_: object) -> None:
                raise RuntimeError("out of order")

            def fails_at_once(*_: object) -> None:
                raise RuntimeError("out of order")

            for event in alice.EVENTS:
                alice.on(event, fails)
                bob.on(event, fails_at_once)
            channel = alice.createDataChannel("chat")
            for event in channel.EVENTS:
                channel.on(event, fails_at_once)
            await connect(alice, bob)
            await channel.opened()
            await settled()
            assert alice.handler_errors >= 6
            assert bob.handler_errors >= 6
            assert channel.handler_errors == 1

    run(main())


def test_a_handler_may_close_the_connection_that_calls_it(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.on("connectionstatechange", lambda: alice.close() if alice.connectionState == "connected" else None)
            alice.createDataChannel("chat")
            await exchange(alice, bob)
            await until(lambda: alice.connectionState == "closed")
            assert not alice.handler_errors

    run(main())


def test_an_event_that_does_not_exist_cannot_be_subscribed_to(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            with pytest.raises(LocalProtocolError):
                alice.on("icestatechange", print)

    run(main())


def test_a_configuration_may_be_what_a_browser_takes(run: Run) -> None:
    async def main() -> None:
        async with RTCPeerConnection({"iceServers": [], "iceTransportPolicy": "relay"}) as alice:
            assert alice.getConfiguration().iceTransportPolicy == "relay"
        with pytest.raises(TypeError):
            RTCPeerConnection({"iceServers": "stun:stun.example.org"})
        with pytest.raises(SyntaxError_):
            RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(urls=[])]))

    run(main())
