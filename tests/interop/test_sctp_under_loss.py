"""Our SCTP with other people's on a network that loses datagrams both ways: dcsctp of Chromium and wrtc, usrsctp of
Firefox. Hashes are equal and the channel is still open in the end, so nobody has aborted.

The short form is for every run; ten minutes at each loss are for `make test-long`. What to expect of their stacks
is in docs/assumptions/sctp.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import pytest

from tests.interop.conftest import need_program
from tests.interop.peers.calls import connect
from tests.interop.peers.loss import Losses, losing, losses
from tests.interop.peers.remote import RemotePeer
from tests.interop.peers.stage import Stage, stage

pytestmark = pytest.mark.interop

OURS: Final = "icelane"
KINDS: Final = ("chromium", "firefox", "wrtc")
MINUTES: Final = 10.0

# Bytes of one round in each direction by what is lost (%). Without loss it is as fast as the machine is; at 30 % their
# timeouts of many seconds are all there is to wait for.
OUR_ROUND: Final = {0: 10_000_000, 10: 1_000_000, 30: 200_000}
THEIR_ROUND: Final = {0: 10_000_000, 10: 300_000, 30: 20_000}
SHORT: Final = 10.0  # seconds
PATIENCE: Final = 120.0  # seconds for the rest of a round when nothing is lost any more; usrsctp may be silent for 60

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    need_program("nft", "nftables")
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


async def send_rounds(source: RemotePeer, target: RemotePeer, total: int, until: float) -> int:
    """Rounds of `total` bytes until the time is over, one at least; the hash of each is compared. Returns how many."""
    loop = asyncio.get_running_loop()
    rounds = 0
    while not rounds or loop.time() < until:
        sent, received = await asyncio.gather(
            source.send_bytes(total, seed=rounds + 1),
            target.receive_bytes(total),
        )
        assert sent == received, f"round {rounds} from {source.name} to {target.name}"
        rounds += 1
    return rounds


async def send_both_ways(ours: RemotePeer, theirs: RemotePeer, percent: int, until: float) -> tuple[int, int]:
    """Rounds of the sizes for that loss; returns how many each way, ours first. Nobody has closed the channel."""
    async with asyncio.TaskGroup() as sending:
        there = sending.create_task(send_rounds(ours, theirs, OUR_ROUND[percent], until))
        back = sending.create_task(send_rounds(theirs, ours, THEIR_ROUND[percent], until))
    for peer in (ours, theirs):
        assert await peer.channel_state() == "open"
    return there.result(), back.result()


def losing_both_ways(scene: Stage, percent: int, *, only_dtls: bool = False) -> contextlib.AbstractContextManager[None]:
    return losing(percent, scene.lab["left"], scene.lab["right"], only_dtls=only_dtls)


def assert_lost(scene: Stage, percent: int) -> list[Losses]:
    """The network did lose about as much as it was told to, both ways."""
    found = [losses(scene.lab[name]) for name in ("left", "right")]
    for each in found:
        assert percent / 2 <= 100 * each.lost / each.arrived <= percent * 1.5, found
    return found


@kinds
def test_bytes_arrive_unchanged_where_a_tenth_of_everything_is_lost(scene: Stage, kind: str) -> None:
    """SC-8 in short: ICE, DTLS and SCTP from their first packets on. Without loss: the tests of the peer connection."""

    async def call() -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            ours.patience = theirs.patience = PATIENCE
            with losing_both_ways(scene, 10):
                await ours.start()
                await theirs.start()
                await connect(ours, theirs, trickle=True)
                await send_both_ways(ours, theirs, 10, until=0.0)
                assert_lost(scene, 10)

    scene.run(call())


@kinds
def test_bytes_arrive_unchanged_over_an_open_channel_that_loses_30_percent(scene: Stage, kind: str) -> None:
    """SC-8 in short. What is left after some seconds comes when nothing is lost any more."""

    async def call() -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            ours.patience = theirs.patience = PATIENCE
            await ours.start()
            await theirs.start()
            await connect(theirs, ours, trickle=True)
            with losing_both_ways(scene, 30, only_dtls=True):
                sending = asyncio.create_task(send_both_ways(ours, theirs, 30, until=0.0))
                await asyncio.wait([sending], timeout=SHORT)
                assert_lost(scene, 30)
            await sending

    scene.run(call())


@pytest.mark.long
@pytest.mark.parametrize("percent", [0, 10, 30])
def test_bytes_arrive_unchanged_for_ten_minutes(scene: Stage, percent: int) -> None:
    """SC-8, with all of them at once. The rounds that are under way in the end are finished without loss."""
    seconds = 60 * MINUTES

    async def call(kind: str, until: float) -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            ours.patience = theirs.patience = seconds + PATIENCE
            await ours.start()
            await theirs.start()
            await connect(ours, theirs, trickle=True)
            there, back = await send_both_ways(ours, theirs, percent, until)
            print(
                f"{kind}, {percent} % lost: {there * OUR_ROUND[percent]} bytes to it, "
                f"{back * THEIR_ROUND[percent]} bytes from it"
            )

    async def calls() -> None:
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as calling:
            # Not the checks of ICE: Firefox makes six of consent in the 30 s that it lasts, and half of all would fail.
            with losing_both_ways(scene, percent, only_dtls=True):
                for kind in KINDS:
                    calling.create_task(call(kind, until))
                await asyncio.sleep(seconds)
                print(assert_lost(scene, percent))

    scene.run(calls())
