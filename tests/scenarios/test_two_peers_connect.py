"""Two peers meet: offer, answer, candidates, checks, DTLS, SCTP, a channel, and the end. No sockets, no waiting.

alice                              bob
  offer             -->
                    <--   answer
  candidates        <->   candidates      over the application's signaling, here without loss
  Binding           <->   Binding         ICE
  ClientHello ...   <->   ...             DTLS, from the answerer
  INIT ...          <->   ...             SCTP
  OPEN, message     -->
                    <--   ACK, message
"""

from __future__ import annotations

from functools import partial

from icelane.core.net import Path, SocketAddress, Transport
from icelane.datachannel.event import ChannelAnnounced, ChannelClosed
from icelane.dtls.connection import DtlsState
from icelane.ice.event import IceRole, IceState
from icelane.peer.connection_event import ConnectionState, ConnectionStateChanged, SignalingStateChanged
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import PeerHost, signal


def two_peers() -> tuple[VirtualNetwork, PeerHost, PeerHost]:
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.02))
    return network, PeerHost(network, "192.0.2.1", seed=1), PeerHost(network, "198.51.100.1", seed=2)


def collected(network: VirtualNetwork, peer: PeerHost) -> list[tuple[bytes, Path]]:
    """What arrives at `peer` from now on, for who gives it to the engine in batches."""
    batch: list[tuple[bytes, Path]] = []

    def collect(data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        batch.append((data, Path(destination, source, Transport.UDP)))

    assert peer.engine.transport is not None
    for base in peer.engine.transport.ice.bases:
        network.detach(base)
        network.attach(base, collect)
    return batch


def test_a_message_arrives_a_quarter_of_a_second_after_the_call_began() -> None:
    network, alice, bob = two_peers()
    begun = network.clock.now
    chat = alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened)
    alice.send(chat, "hello")
    network.run_until(lambda: bob.messages)
    assert bob.messages == [(bob.opened[0], "hello")]
    # Checks 1 round trip, DTLS 2, SCTP 2, the message half of one; each is 40 ms here.
    assert network.clock.now - begun <= 0.25


def test_both_ends_go_through_the_states_of_w3c() -> None:
    network, alice, bob = two_peers()
    alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened)
    for peer in (alice, bob):
        states = [event.state for event in peer.events if isinstance(event, ConnectionStateChanged)]
        assert states == [ConnectionState.CONNECTING, ConnectionState.CONNECTED]
        assert peer.engine.transport is not None
        assert peer.engine.transport.state is DtlsState.CONNECTED
    network.run_for(1.0)
    assert alice.engine.ice_state is bob.engine.ice_state is IceState.COMPLETED
    signaling = [event.state.value for event in alice.events if isinstance(event, SignalingStateChanged)]
    assert signaling == ["have-local-offer", "stable"]
    assert alice.engine.transport is not None
    assert alice.engine.transport.ice.agent.role is IceRole.CONTROLLING


def test_a_channel_keeps_its_label_and_its_promises() -> None:
    network, alice, bob = two_peers()
    alice.create_channel("Grüße 🌍", protocol="soap", ordered=False, max_retransmits=2)
    signal(alice, bob)
    network.run_until(lambda: bob.opened)
    (announced,) = [event for event in bob.events if isinstance(event, ChannelAnnounced)]
    assert (announced.label, announced.protocol, announced.ordered, announced.max_retransmits) == (
        "Grüße 🌍",
        "soap",
        False,
        2,
    )


def test_a_hundred_messages_that_are_queued_before_the_end_all_arrive() -> None:
    network, alice, bob = two_peers()
    chat = alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened)
    for number in range(100):
        alice.send(chat, b"%d" % number * 1000)
    alice.run(alice.engine.close)
    network.run_until(lambda: alice.engine.is_closed)
    assert [data for _, data in bob.messages] == [b"%d" % number * 1000 for number in range(100)]
    network.run_for(1.0)
    assert [event.error for event in bob.events if isinstance(event, ChannelClosed)] == [None]
    assert bob.engine.transport is not None
    assert bob.engine.transport.state is DtlsState.CLOSED


def test_both_can_end_at_the_same_moment() -> None:
    network, alice, bob = two_peers()
    alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened)
    for peer in (alice, bob):
        peer.run(peer.engine.close)
    network.run_until(lambda: alice.engine.is_closed and bob.engine.is_closed, timeout=2.0)
    for peer in (alice, bob):
        assert peer.engine.next_timeout() is None
        assert peer.engine.connection_state is ConnectionState.CLOSED


def test_what_is_gathered_in_advance_is_told_with_the_description() -> None:
    network, alice, bob = two_peers()
    alice.run(lambda _: alice.engine.gather_in_advance())
    network.run_for(1.0)
    assert not alice.take_candidates()
    alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened, timeout=1.0)


def test_both_can_end_at_the_same_moment_where_a_socket_wakes_for_many_datagrams_at_once() -> None:
    """The peer's close_notify is then seen before the SHUTDOWN COMPLETE that came with it."""
    network, alice, bob = two_peers()
    alice.create_channel("chat")
    signal(alice, bob)
    network.run_until(lambda: alice.opened and bob.opened)
    batches = [(peer, collected(network, peer)) for peer in (alice, bob)]
    for peer in (alice, bob):
        peer.run(peer.engine.close)
    for _ in range(10):
        for peer, batch in batches:  # one after the other, as on one machine
            network.run_for(0.03)
            taken = batch.copy()
            batch.clear()
            peer.run(partial(peer.engine.handle_batch, taken))
    assert alice.engine.is_closed
    assert bob.engine.is_closed
