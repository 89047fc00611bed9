"""The engine of a peer connection at its end: the last words of the peer, in whatever batches they come."""

from __future__ import annotations

import pytest

from icelane.core.net import Path, Transport
from icelane.datachannel.event import ChannelClosed, ChannelId
from icelane.errors import TransportClosedError
from icelane.peer.connection_event import ConnectionState
from icelane.testing.peer import PeerHost, signal
from tests.peer.wire import Wire, connected_peers


def overheard(wire: Wire, sender: PeerHost) -> list[bytes]:
    """What `sender` sends from now on; it reaches nobody."""
    taken: list[bytes] = []

    def stop(data: bytes, source: object, _destination: object) -> bool:
        if source in sender.bases:
            taken.append(data)
            return True
        return False

    wire.stops = stop
    return taken


def hand_over(batch: list[bytes], sender: PeerHost, receiver: PeerHost) -> None:
    """All of it in one wake."""
    path = Path(receiver.bases[0], sender.bases[0], Transport.UDP)
    receiver.run(lambda now: receiver.engine.handle_batch([(data, path) for data in batch], now))


def test_messages_that_come_in_one_wake_with_the_goodbye_are_delivered() -> None:
    wire = Wire()
    alice, bob = connected_peers(wire)
    taken = overheard(wire, alice)
    for number in range(5):
        alice.send(alice.opened[0], b"%d" % number)
    alice.run(alice.engine.abort)
    hand_over(taken, alice, bob)
    assert [data for _, data in bob.messages] == [b"0", b"1", b"2", b"3", b"4"]
    assert [event for event in bob.events if isinstance(event, ChannelClosed)]


@pytest.mark.parametrize("batched", [False, True])
def test_both_end_at_once_and_the_last_packets_come_together(batched: bool) -> None:
    wire = Wire()
    alice, bob = connected_peers(wire)
    for peer in (alice, bob):
        peer.run(peer.engine.close)
    if batched:
        wire.run_for(0.03)  # the SHUTDOWNs have crossed
        taken = overheard(wire, alice)
        wire.run_for(0.03)
        hand_over(taken, alice, bob)
        wire.stops = lambda *_: False
    wire.run_until(lambda: alice.engine.is_closed and bob.engine.is_closed, timeout=2.0)
    for peer in (alice, bob):
        assert peer.engine.next_timeout() is None


def test_who_is_ending_ends_when_the_peer_does() -> None:
    """The peer's goodbye comes before it has confirmed ours."""
    wire = Wire()
    alice, bob = connected_peers(wire)
    taken = overheard(wire, bob)
    alice.run(alice.engine.close)
    bob.run(bob.engine.abort)
    wire.stops = lambda *_: False
    hand_over(taken, bob, alice)
    assert alice.engine.is_closed
    assert [event.error for event in alice.events if isinstance(event, ChannelClosed)]


def closed(peer: PeerHost, channel: ChannelId) -> ChannelClosed | None:
    return next((event for event in peer.events if isinstance(event, ChannelClosed) and event.channel == channel), None)


def left_behind(wire: Wire) -> PeerHost:
    """Alice, whose peer has said goodbye and is gone."""
    alice, bob = connected_peers(wire)
    bob.run(bob.engine.abort)
    wire.run_for(1.0)
    assert closed(alice, alice.opened[0])
    return alice


def test_a_channel_that_comes_after_the_peer_s_goodbye_is_closed_at_once() -> None:
    wire = Wire()
    alice = left_behind(wire)
    event = closed(alice, alice.create_channel("late"))
    assert event is not None
    assert isinstance(event.error, TransportClosedError)
    wire.run_for(60.0)
    assert alice.engine.connection_state is ConnectionState.FAILED
    event = closed(alice, alice.create_channel("later"))
    assert event is not None


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_channel_for_a_peer_that_came_back_waits_for_its_dtls(asked_first: bool) -> None:
    wire = Wire()
    alice = left_behind(wire)
    alice.run(lambda _: alice.engine.restart_ice())
    if not asked_first:
        alice.run(lambda now: alice.engine.set_local_description(None, now))
    channel = alice.create_channel("for carol")
    assert not closed(alice, channel)
    carol = PeerHost(wire, "198.51.100.3", seed=3)
    signal(alice, carol)
    wire.run_until(lambda: channel in alice.opened)
    alice.send(channel, b"hello")
    wire.run_until(lambda: carol.messages)


def test_a_channel_whose_exchange_brings_no_other_dtls_is_closed_when_that_ends() -> None:
    wire = Wire()
    alice, bob = connected_peers(wire)
    before = bob.engine.negotiation
    assert alice.engine.transport is not None
    alice.engine.transport._dtls.close(wire.clock.now)  # type: ignore[union-attr]  # both say goodbye, and stay
    alice.run(lambda now: alice.engine.flush(now))
    wire.run_for(1.0)
    assert closed(bob, bob.opened[0])
    bob.run(lambda now: bob.engine.set_local_description(None, now))
    channel = bob.create_channel("late")
    assert not closed(bob, channel)
    signal(bob, alice)
    assert bob.engine.negotiation is before
    assert closed(bob, channel)
