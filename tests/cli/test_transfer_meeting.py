"""How the two find each other, and who is found out: others in the room, guesses, and somebody in between."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import cast

import pytest

from icelane import SignalClient
from icelane.cli.file_transfer import TransferCutError
from icelane.cli.transfer_code import TransferCode
from icelane.cli.transfer_key import CodeExchange, Side, TransferKey
from icelane.cli.transfer_meeting import (
    KEY,
    MAX_AFTER_CUT,
    CodesLeft,
    ImpostorError,
    NobodyError,
    WrongCodeError,
    await_receiver,
    confirm_certificates,
    find_sender,
    take_number,
)
from icelane.peer.security_report import SecurityReport
from icelane.signaling.client_event import Peer
from tests.cli.test_file_transfer import FakeChannel, connected

CODE = TransferCode(7, "blue-otter")


def person(name: str, **meta: object) -> Peer:
    return Peer(id=f"p_{name}", room="demo", identity=name, polite=True, meta=dict(meta))


class FakeSignal:
    """A room of which the test decides who is there and what they say."""

    def __init__(self, me: Peer) -> None:
        self.me = me
        self.others: dict[str, FakeSignal] = {}
        self.inbox: asyncio.Queue[tuple[object, Peer | None]] = asyncio.Queue()
        self.rooms: tuple[str, ...] = ()
        self.members_by_room: dict[str, tuple[Peer, ...]] = {}

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(other.me for other in self.others.values())

    def peer(self, peer_id: str) -> Peer | None:
        other = self.others.get(peer_id)
        return None if other is None else other.me

    def peers_in(self, room: str) -> tuple[Peer, ...]:
        return self.members_by_room.get(room, ())

    async def join(self, room: str, meta: object) -> tuple[Peer, ...]:
        self.rooms += (room,)
        return self.peers_in(room)

    async def leave(self, room: str) -> None:
        self.rooms = tuple(one for one in self.rooms if one != room)

    async def update(self, meta: object, room: str) -> None:
        pass

    async def send(self, data: object, to: Peer) -> None:
        self.others[to.id].inbox.put_nowait((json.loads(json.dumps(data)), self.me))

    async def receive(self) -> tuple[object, Peer | None]:
        return await self.inbox.get()

    def on(self, event: str, handler: object) -> None:
        pass

    def remove_listener(self, event: str, handler: object) -> None:
        pass

    def hears(self, peer: Peer | None, **body: object) -> None:
        """Something of this transfer."""
        self.inbox.put_nowait(({KEY: {"number": CODE.number, **body}}, peer))

    def as_client(self) -> SignalClient:
        return cast(SignalClient, self)


def room(*names: str) -> list[FakeSignal]:
    """Everybody in it."""
    members = [FakeSignal(person(name)) for name in names]
    for one in members:
        one.others = {other.me.id: other for other in members if other is not one}
    return members


async def meet(sender: FakeSignal, receiver: FakeSignal, theirs: TransferCode = CODE) -> list[object]:
    """What comes of it at both ends."""
    async with asyncio.timeout(10):
        return list(
            await asyncio.gather(
                await_receiver(sender.as_client(), CODE),
                find_sender(receiver.as_client(), theirs, 5.0),
                return_exceptions=True,
            )
        )


def test_two_with_one_code_find_each_other_among_others() -> None:
    async def run() -> None:
        sender, receiver, _ = room("ann", "bob", "eve")
        ours, theirs = await meet(sender, receiver)
        assert isinstance(ours, tuple)
        assert isinstance(theirs, tuple)
        assert (ours[0].identity, theirs[0].identity) == ("bob", "ann")
        assert ours[1].proof(Side.SENDER) == theirs[1].proof(Side.SENDER)

    asyncio.run(run())


def test_what_others_say_is_passed_over_and_costs_no_try() -> None:
    async def run() -> None:
        sender, receiver, eve = room("ann", "bob", "eve")
        for noise in ("hello", None, {KEY: 7}, {KEY: {"number": 8, "pake": "00"}}):
            sender.inbox.put_nowait((noise, eve.me))
        sender.hears(eve.me, pake="nonsense")
        sender.hears(eve.me, proof="early")
        sender.hears(None, pake="of nobody")
        receiver.hears(eve.me, pake="without a proof")
        ours, theirs = await meet(sender, receiver)
        assert isinstance(ours, tuple), ours
        assert isinstance(theirs, tuple), theirs

    asyncio.run(run())


def test_a_wrong_code_ends_both_sides_at_the_first_try() -> None:
    async def run() -> None:
        sender, receiver = room("ann", "bob")
        ours, theirs = await meet(sender, receiver, TransferCode(7, "red-otter"))
        assert isinstance(ours, WrongCodeError)
        assert isinstance(theirs, WrongCodeError)

    asyncio.run(run())


def test_somebody_who_does_not_know_the_code_is_shown_no_more_than_one_proof() -> None:
    """The receiver proves nothing to a sender whose own proof is wrong."""

    async def run() -> None:
        receiver, eve = room("bob", "eve")
        looking = asyncio.ensure_future(find_sender(receiver.as_client(), CODE, 5.0))
        await eve.inbox.get()
        guess = CodeExchange(TransferCode(7, "red-otter"), Side.SENDER)
        receiver.hears(eve.me, pake=guess.first(), proof="0" * 64)
        with pytest.raises(WrongCodeError):
            await looking
        answer, _ = await eve.inbox.get()
        assert answer == {KEY: {"number": 7, "failed": True}}
        assert eve.inbox.empty()

    asyncio.run(run())


def test_nobody_with_the_code_is_told_after_the_time() -> None:
    async def run() -> None:
        with pytest.raises(NobodyError, match="spent, mistyped, or of another node"):
            await find_sender(room("bob")[0].as_client(), CODE, 0.01)

    asyncio.run(run())


def test_a_number_that_somebody_has_is_not_taken() -> None:
    async def run() -> None:
        alone = FakeSignal(person("ann"))
        alone.members_by_room = {f"send-{number}": (person("bob", **{KEY: number}),) for number in range(1, 9)}
        code = await take_number(alone.as_client(), None, (9,) * 200)
        assert code.number == 9
        assert alone.rooms == ("send-9",)
        shared = FakeSignal(person("ann"))
        shared.rooms = ("demo",)
        shared.members_by_room = {"demo": tuple(person(str(number), **{KEY: number}) for number in range(1, 10))}
        with pytest.raises(NobodyError, match="all numbers"):
            await take_number(shared.as_client(), "demo", (9,) * 20)

    asyncio.run(run())


@dataclass
class FakeConnection:
    """What one end sees of the certificates."""

    ours: str
    theirs: str

    def security_report(self) -> SecurityReport:
        nothing: dict[str, None] = dict.fromkeys(
            (
                "cipher_suite",
                "srtp_profile",
                "local_candidate_type",
                "remote_candidate_type",
                "selected_pair",
                "relay_url",
            )
        )
        return SecurityReport(
            protocol="DTLSv1.2", local_fingerprint=self.ours, remote_fingerprint=self.theirs, **nothing
        )


def keys() -> tuple[TransferKey, TransferKey]:
    sender, receiver = CodeExchange(CODE, Side.SENDER), CodeExchange(CODE, Side.RECEIVER)
    return sender.finish(receiver.first()), receiver.finish(sender.first())


def confirmed(sender: FakeConnection, receiver: FakeConnection) -> list[object]:
    """Both ends, when what they say goes through unchanged."""

    async def run() -> list[object]:
        left, right = connected()
        ours, theirs = keys()
        work = (
            confirm_certificates(sender, left, ours, Side.SENDER),
            confirm_certificates(receiver, right, theirs, Side.RECEIVER),
        )
        return list(await asyncio.gather(*work, return_exceptions=True))

    return asyncio.run(run())


def test_two_that_see_each_other_s_certificates_are_content() -> None:
    assert confirmed(FakeConnection("A", "B"), FakeConnection("B", "A")) == [None, None]


def test_a_node_that_stands_in_between_with_certificates_of_its_own_is_found_out_at_both_ends() -> None:
    """It passes on what the two say of the code, which is right, and cannot make what they say of the certificates."""
    outcome = confirmed(FakeConnection("A", "M1"), FakeConnection("B", "M2"))
    assert [type(one) for one in outcome] == [ImpostorError, ImpostorError]


@pytest.mark.parametrize("said", ["{}", "no JSON", b"bytes", '{"binding": 7}', "[" * 50_000, "9" * 5000])
def test_what_is_no_confirmation_is_none(said: str | bytes) -> None:
    async def run() -> None:
        channel = FakeChannel()
        channel.says(said)
        with pytest.raises(ImpostorError):
            await confirm_certificates(FakeConnection("A", "B"), channel, keys()[0], Side.SENDER)

    asyncio.run(run())


def test_our_own_confirmation_that_comes_back_is_none() -> None:
    async def run() -> None:
        channel = FakeChannel()
        channel.other = channel
        with pytest.raises(ImpostorError):
            await confirm_certificates(FakeConnection("A", "A"), channel, keys()[0], Side.SENDER)

    asyncio.run(run())


def test_a_second_guess_ends_the_sending() -> None:
    """Each further code is a further guess for somebody who has none."""
    left = CodesLeft()
    left.take_after(WrongCodeError("a guess"))
    with pytest.raises(WrongCodeError):
        left.take_after(WrongCodeError("another guess"))


def test_guesses_cost_no_code_that_a_cut_transfer_goes_on_with() -> None:
    left = CodesLeft()
    for _ in range(MAX_AFTER_CUT):
        left.take_after(TransferCutError("gone"))
    left.take_after(WrongCodeError("a guess"))
    with pytest.raises(TransferCutError):
        left.take_after(TransferCutError("gone"))
