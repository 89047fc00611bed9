"""What two peers do with each other: the signaling that the test carries, and the traffic that it compares."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from tests.interop.peers.remote import Description, RemotePeer

T = TypeVar("T")


async def negotiate(
    offerer: RemotePeer,
    answerer: RemotePeer,
    *,
    trickle: bool,
    change: Callable[[Description], Description] = lambda description: description,
) -> tuple[Description, Description]:
    """Offer and answer, the first time or again; returns both descriptions as they were carried.

    With `trickle` each candidate is carried when it comes, after the description; without, the descriptions hold them,
    and are passed on as `change` returns them.
    """
    offer = await offerer.offer()
    if not trickle:
        offer = change(await offerer.wait_complete_description())
        await answerer.accept_offer(offer)
        answer = change(await answerer.wait_complete_description())
        await offerer.accept_answer(answer)
        return offer, answer
    async with asyncio.TaskGroup() as carrying:
        answer = await answerer.accept_offer(offer)
        carrying.create_task(_carry_candidates(offerer, answerer))
        await offerer.accept_answer(answer)
        carrying.create_task(_carry_candidates(answerer, offerer))
    return offer, answer


async def connect(
    offerer: RemotePeer,
    answerer: RemotePeer,
    *,
    trickle: bool,
    change: Callable[[Description], Description] = lambda description: description,
) -> tuple[Description, Description]:
    """The first negotiation of two peers that have started, up to an open channel of the default label."""
    await offerer.create_channel()
    descriptions = await negotiate(offerer, answerer, trickle=trickle, change=change)
    await asyncio.gather(offerer.wait_open(), answerer.wait_open())
    return descriptions


def in_order(ours: T, theirs: T, we_offer: bool) -> tuple[T, T]:
    """Offerer and answerer."""
    return (ours, theirs) if we_offer else (theirs, ours)


def without_udp(description: Description) -> Description:
    """The same for somebody whom no datagrams of this peer reach."""
    lines = description.sdp.splitlines(keepends=True)
    kept = [line for line in lines if not (line.startswith("a=candidate:") and " udp " in line.lower())]
    return Description(description.type, "".join(kept))


async def assert_bytes_arrive_unchanged(one: RemotePeer, other: RemotePeer, total: int) -> None:
    """`total` bytes each way at once, compared by their hashes."""
    sent, received, sent_back, received_back = await asyncio.gather(
        one.send_bytes(total, seed=1),
        other.receive_bytes(total),
        other.send_bytes(total, seed=2),
        one.receive_bytes(total),
    )
    assert (received, received_back) == (sent, sent_back)


@contextlib.asynccontextmanager
async def carried_signals(polite: RemotePeer, impolite: RemotePeer) -> AsyncIterator[None]:
    """In this block both negotiate by themselves, and what either says is carried to the other.

    The first offers of both meet: neither is carried before both are made.
    """
    await polite.negotiate_by_itself(polite=True)
    await impolite.negotiate_by_itself(polite=False)
    offers_made = asyncio.Barrier(2)

    async def carry(source: RemotePeer, target: RemotePeer) -> None:
        first = await source.next_signal()
        assert first["description"]["type"] == "offer"
        await offers_made.wait()
        await target.deliver(first)
        while True:
            await target.deliver(await source.next_signal())

    async with asyncio.TaskGroup() as carrying:
        tasks = [carrying.create_task(carry(*pair)) for pair in ((polite, impolite), (impolite, polite))]
        yield
        for task in tasks:
            task.cancel()


async def _carry_candidates(source: RemotePeer, target: RemotePeer) -> None:
    while candidate := await source.next_local_candidate():
        await target.add_candidate(candidate)
    await target.add_candidate(None)
