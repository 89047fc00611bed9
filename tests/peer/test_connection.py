"""The engine of a peer connection at its end: the last words of the peer, in whatever batches they come."""

from __future__ import annotations

import pytest

from icelane.core.net import Path, Transport
from icelane.datachannel.event import ChannelClosed
from icelane.testing.peer import PeerHost
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
