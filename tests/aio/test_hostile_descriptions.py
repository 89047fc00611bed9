"""SD-2: hostile text through signaling into a connection that stands: a typed error, and everything goes on."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import pytest

from fuzz.mutator import Mutator
from fuzz.targets.sdp import DICTIONARY
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
from icelane.errors import IcelaneError
from tests.aio.peers import LOOPBACK, connect, pair
from tests.loops import Run
from tests.peer.descriptions import OFFERS
from tests.sdp.test_session import HEAVY, HOSTILE

ROLLBACK: Final = RTCSessionDescription(type="rollback")
CANDIDATES: Final = (
    "candidate:", "candidate:1", "candidate:1 1 udp", "x" * 100_000, "candidate:1 1 udp 1 \0 9 typ host",
    "candidate:1 1 udp 99999999999999999999 1.2.3.4 9 typ host", "candidate:1 1 udp -1 1.2.3.4 9 typ host",
    "candidate:1 1 udp 1 1.2.3.4 99999 typ host", "candidate:1 1 udp 1 999.1.1.1 9 typ host",
    "candidate:1 1 udp 1 ::1%eth0 9 typ host", "candidate:1 1 udp 1 1.2.3.4 9 typ ghost",
    "candidate:1 1 udp 1 1.2.3.4 9 typ host\r\na=ice-lite", "candidate:1 1 udp 1 1.2.3.4 9 typ srflx raddr x rport y",
    "candidate:1 " + "9" * 5000 + " udp 1 1.2.3.4 9 typ host", "candidate:1 1 udp 1 224.0.0.1 9 typ host",
    "candidate:1 1 udp 1 0.0.0.0 0 typ host", "candidate:1 1 udp 1 255.255.255.255 9 typ host", "candidate:\ud800",
    "candidate:1 1 tcp 1 1.2.3.4 9 typ host tcptype odd", "candidate:1 1 udp 1 " + "a." * 5000 + "local 9 typ host",
)  # fmt: skip


class Refusals:
    """Gives text to a connection, and lets nothing but typed errors pass."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self.pc = pc
        self.refused = self.taken = 0

    async def offer(self, text: str) -> None:
        """As an offer, in a state in which one may come; taken back if it is taken."""
        try:
            await self.pc.setRemoteDescription(RTCSessionDescription(text, "offer"))
        except IcelaneError as error:
            self._note(error)
            return
        self.taken += 1
        await self.pc.setRemoteDescription(ROLLBACK)

    async def answer(self, text: str) -> bool:
        """As an answer to an offer that is out; whether it was taken."""
        try:
            await self.pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        except IcelaneError as error:
            self._note(error)
            return False
        self.taken += 1
        return True

    async def candidate(self, text: str) -> None:
        """As a candidate."""
        try:
            await self.pc.addIceCandidate(RTCIceCandidate(text, "0"))
        except IcelaneError as error:
            self._note(error)
        else:
            self.taken += 1

    def _note(self, error: IcelaneError) -> None:
        assert len(str(error)) < 1000  # nothing hostile is repeated at length
        self.refused += 1


async def talk(ours: RTCDataChannel, theirs: RTCDataChannel) -> None:
    """What is sent arrives, both ways."""
    for one, other in ((ours, theirs), (theirs, ours)):
        one.send("still here")
        assert await asyncio.wait_for(other.receive(), 5.0) == "still here"


def test_hostile_offers_answers_and_candidates_leave_the_connection_alive(run: Run) -> None:
    """SD-2: every text of the corpus, in every state, into a connection with an open channel."""

    async def main() -> None:
        async with pair() as (alice, bob):
            announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            bob.on("datachannel", announced.set_result)
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            theirs = await announced
            before = bob.currentRemoteDescription
            trial = Refusals(bob)
            for text in (*HOSTILE.values(), *HEAVY.values(), *OFFERS.values(), "", "\0", "v=0", "☃" * 10_000):
                await trial.offer(text)
                await bob.setLocalDescription()
                assert not await trial.answer(text) or text in OFFERS.values()
                assert bob.signalingState in ("have-local-offer", "stable")
                if bob.signalingState == "have-local-offer":
                    await bob.setLocalDescription(ROLLBACK)
            for text in CANDIDATES:
                await trial.candidate(text)
            assert trial.refused > 2 * len(HOSTILE)
            assert bob.signalingState == "stable"
            assert bob.connectionState == alice.connectionState == "connected"
            assert before is not None
            assert bob.currentRemoteDescription is not None
            await talk(ours, theirs)
            await connect(alice, bob)  # and negotiates as ever
            await talk(ours, theirs)

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_mutations_of_the_peer_s_own_descriptions_leave_the_connection_alive(run: Run, seed: int) -> None:
    """SD-2: as offers they are refused or can be taken back."""

    async def main() -> None:
        async with pair() as (alice, bob):
            announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            bob.on("datachannel", announced.set_result)
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            theirs = await announced
            offer = (await alice.createOffer()).sdp.encode()
            mutator = Mutator(random.Random(seed), DICTIONARY)
            trial = Refusals(bob)
            await trial.offer(offer.decode())
            assert trial.taken == 1, "the offer itself is a good one"
            for _ in range(150):
                await trial.offer(mutator.mutate(offer, offer).decode("utf-8", "replace"))
            assert trial.refused > 10
            await talk(ours, theirs)

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_mutations_of_answers_are_refused_or_taken_and_raise_nothing_else(run: Run, seed: int) -> None:
    """SD-2: what is taken may well end in no connection, but in no exception either."""

    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            answer = (await bob.createAnswer()).sdp.encode()
            mutator = Mutator(random.Random(100 + seed), DICTIONARY)
            trial = Refusals(alice)
            for _ in range(60):
                if await trial.answer(mutator.mutate(answer, answer).decode("utf-8", "replace")):
                    await alice.setLocalDescription()
            assert trial.refused > 5
            await asyncio.sleep(0.05)
            await alice.close(timeout=0)

    run(main())


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_offers_of_other_programs_can_be_answered_by_a_fresh_connection(run: Run, name: str) -> None:
    """SD-2: and the answer can be replaced by a second exchange."""

    async def main() -> None:
        async with RTCPeerConnection(LOOPBACK) as pc:
            for _ in range(2):
                await pc.setRemoteDescription(RTCSessionDescription(OFFERS[name], "offer"))
                await pc.setLocalDescription()
                assert pc.localDescription is not None
                assert pc.localDescription.type == "answer"
            await pc.close(timeout=0)

    run(main())
