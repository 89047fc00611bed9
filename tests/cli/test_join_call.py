"""What one run of `icelane join` keeps, however many come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from icelane import RTCPeerConnection, SignalClient
from icelane.cli.join_call import MAX_CALLS, MAX_OVER, JoinOptions, _Visit
from icelane.cli.join_source import Source
from icelane.cli.join_view import PeerFigures
from icelane.cli.output import Output
from icelane.signaling.client_event import Peer


class FakeSignal:
    """A room that so many come into."""

    def __init__(self, count: int) -> None:
        self.coming = [
            Peer(id=f"p_{number}", room="demo", identity=f"user {number}", polite=True) for number in range(count)
        ]
        self.connected = 0

    def on(self, event: str, handler: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Peer]:
        for peer in self.coming:
            yield peer

    def connect_peer(self, peer: Peer) -> RTCPeerConnection:
        self.connected += 1
        return cast(RTCPeerConnection, None)


def visit(signal: FakeSignal) -> _Visit:
    options = JoinOptions(publish="none", loop=False, record=None, seconds=None, name="bot")
    return _Visit(Output(as_json=False), cast(SignalClient, signal), Source(), options, asyncio.Event(), "demo")


def figures(peer: Peer) -> PeerFigures:
    return PeerFigures(
        peer=peer.id, name=peer.identity, state="closed", path="", received=(), sent=(), kbit_in=None,
        kbit_out=None, loss=None, round_trip=None, packets_received=0, packets_lost=0,
    )  # fmt: skip


def test_more_peers_than_it_can_call_are_said_and_not_called(capsys: pytest.CaptureFixture[str]) -> None:
    signal = FakeSignal(MAX_CALLS + 2)
    asyncio.run(visit(signal)._meet())
    assert signal.connected == MAX_CALLS
    assert f"user {MAX_CALLS + 1} is one too many" in capsys.readouterr().err


def test_of_those_who_have_left_the_last_thousand_are_kept_and_no_connection() -> None:
    async def story() -> None:
        signal = FakeSignal(0)
        here = visit(signal)
        for peer in FakeSignal(MAX_OVER + 5).coming:
            signal.coming = [peer]
            await here._meet()
            here._calls[peer.id].last = figures(peer)
            here._left(peer, "gone")
        assert here._calls == {}
        assert [one.peer for one in here._over][:: MAX_OVER - 1] == ["p_5", f"p_{MAX_OVER + 4}"]

    asyncio.run(story())
