"""Batches through the transport: only what came from where the peer was found reaches DTLS, whatever is beside it."""

from __future__ import annotations

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.dtls.connection import DtlsState
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import Internet, connect

pytestmark = pytest.mark.twin

Batch = list[tuple[bytes, Path]]


def two_connected_peers() -> tuple[PeerHost, PeerHost]:
    internet = Internet(seed=1, has_servers=False)
    alice, bob = internet.peer(1), internet.peer(2)
    connect(alice, bob)
    internet.network.run_until(lambda: alice.opened and bob.opened)
    internet.network.run_for(1.0)
    return alice, bob


def take_records(peer: PeerHost) -> Batch:
    """What the engine has to send, as the other end would get it; the network gets none of it."""
    return [
        (transmit.data, Path(transmit.path.remote, transmit.path.local, Transport.UDP))
        for transmit in peer.engine.take_transmits()
    ]


def send_off_the_network(peer: PeerHost, count: int) -> Batch:
    now = peer.network.clock.now
    for number in range(count):
        peer.engine.send(peer.opened[0], b"%d" % number * 100, now, more=True)
    assert peer.engine.take_transmits() == [], "nothing leaves before the next verb"
    peer.engine.flush(now)
    return take_records(peer)


def test_messages_that_were_sent_with_more_leave_together_in_full_packets() -> None:
    alice, bob = two_connected_peers()
    records = send_off_the_network(alice, 40)
    assert len(records) < 20
    bob.run(lambda now: bob.engine.handle_batch(records, now))
    assert [data for _, data in bob.messages] == [b"%d" % number * 100 for number in range(40)]


def test_records_from_elsewhere_are_dropped_in_the_midst_of_a_batch() -> None:
    """DT-2: who replays the peer's records from another address reaches nobody, beside the peer as well as alone."""
    alice, bob = two_connected_peers()
    transport = bob.engine.transport
    assert transport is not None
    records = send_off_the_network(alice, 40)
    elsewhere = Path(records[0][1].local, SocketAddress("203.0.113.66", 9), Transport.UDP)
    batch: Batch = []
    for data, path in records:
        batch += [(data, elsewhere), (data, path), (data, elsewhere), (b"", path), (b"\xff", path)]
    received, discarded = transport.packets_received, transport.discarded
    bob.run(lambda now: bob.engine.handle_batch(batch, now))
    assert len(bob.messages) == 40
    assert transport.packets_received == received + len(batch)
    assert transport.discarded == discarded + 4 * len(records)


def test_a_goodbye_in_the_midst_of_a_batch_ends_it_and_what_follows_is_dropped() -> None:
    alice, bob = two_connected_peers()
    before = send_off_the_network(alice, 3)
    after = send_off_the_network(alice, 3)
    assert alice.engine.transport is not None
    alice.engine.transport.close(alice.network.clock.now)
    goodbye = take_records(alice)
    assert goodbye
    bob.run(lambda now: bob.engine.handle_batch([*before, *goodbye, *after], now))
    assert bob.engine.transport is not None
    assert bob.engine.transport.state is DtlsState.CLOSED
    assert len(bob.messages) == 3
