"""ICE restarts under a transfer: the address moves, either side begins, the path is dead, the offer is taken back.

Criterion: the peers are connected again within 10 s, and the hash over what was sent before, during and after is right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from icelane.core.entropy import Entropy
from icelane.ice.event import IceState
from icelane.peer.connection_event import ConnectionState
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType
from icelane.testing.entropy import SeededEntropy
from icelane.testing.nat import ADDRESS_AND_PORT_DEPENDENT, ENDPOINT_INDEPENDENT
from icelane.testing.network import Link
from icelane.testing.peer import PeerHost, pass_candidates, signal
from tests.scenarios.internet import (
    CONNECTED_WITHIN,
    SERVER,
    SIGNALING_DELAY,
    Internet,
    connect,
    is_relayed,
    run_until,
    settle,
)

PIECE = 16_000
PIECES = 150  # 2.4 MB
GONE = Link(loss=1.0)


class Transfer:
    """One channel's worth of random bytes from `sender` to `receiver`, a few pieces at a time, hashed at both ends."""

    def __init__(self, sender: PeerHost, receiver: PeerHost) -> None:
        self._sender = sender
        self._receiver = receiver
        self._sent = hashlib.sha256()
        self._pieces = self._random(SeededEntropy(77))
        self._count = 0

    def _random(self, entropy: Entropy) -> Iterator[bytes]:
        for _ in range(PIECES):
            yield entropy.token(PIECE)

    def go_on(self) -> bool:
        """Keep some queued; whether all has arrived."""
        channel = self._sender.opened[0]
        while self._sender.engine.buffered_amount(channel) < 4 * PIECE:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._sent.update(piece)
            self._count += 1
            self._sender.send(channel, piece)
        return len(self._receiver.messages) == PIECES

    @property
    def share(self) -> float:
        """How much has arrived."""
        return len(self._receiver.messages) / PIECES

    def assert_right(self) -> None:
        """What arrived is what was sent, in its order."""
        arrived = hashlib.sha256()
        for _, data in self._receiver.messages:
            assert isinstance(data, bytes)
            arrived.update(data)
        assert self._count == PIECES
        assert arrived.digest() == self._sent.digest()


def call(internet: Internet, alice: PeerHost, bob: PeerHost) -> None:
    """A call with an open channel and a selected path."""
    connect(alice, bob)
    settle(alice, bob)
    run_until(alice, bob, lambda: alice.opened and bob.opened, 5.0)
    internet.network.run_for(0.5)


def restart(offerer: PeerHost, answerer: PeerHost) -> None:
    """The application's reaction to `negotiationneeded`."""
    offerer.run(lambda _: offerer.engine.restart_ice())
    signal(offerer, answerer)


def generation(peer: PeerHost) -> str:
    assert peer.engine.transport is not None
    return peer.engine.transport.ice.agent.credentials.ufrag


def is_settled(alice: PeerHost, bob: PeerHost) -> bool:
    """Whether both have selected the same path, of the newest generation."""
    paths = []
    for peer in (alice, bob):
        assert peer.engine.transport is not None
        agent = peer.engine.transport.ice.agent
        if agent._previous is not None or agent.selected is None:
            return False
        paths.append(agent.selected)
    return True


@pytest.mark.parametrize("who_restarts", ["who moved", "the other"])
@pytest.mark.parametrize("who_sends", ["who moved", "the other"])
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_transfer_survives_a_change_of_address(who_sends: str, who_restarts: str, loss: float) -> None:
    internet = Internet(seed=20)
    alice, bob = internet.peer(1), internet.peer(2)
    call(internet, alice, bob)
    for host in (*alice.hosts, "203.0.114.77"):
        internet.network.connect(host, bob.hosts[0], Link(delay=0.02, loss=loss))
    transfer = Transfer(*((alice, bob) if who_sends == "who moved" else (bob, alice)))
    run_until(alice, bob, lambda: transfer.go_on() or transfer.share > 0.3, 30.0)
    assert transfer.share < 0.9
    before = generation(alice)
    alice.move_to("203.0.114.77")
    internet.network.run_for(0.3)
    moved = internet.clock.now
    restart(*((alice, bob) if who_restarts == "who moved" else (bob, alice)))
    run_until(alice, bob, lambda: transfer.go_on() is None or is_settled(alice, bob), CONNECTED_WITHIN)
    assert internet.clock.now - moved <= CONNECTED_WITHIN
    assert generation(alice) != before
    run_until(alice, bob, transfer.go_on, 60.0)
    transfer.assert_right()
    assert {base.host for base in alice.bases} == {"203.0.114.77"}
    assert alice.engine.connection_state is bob.engine.connection_state is ConnectionState.CONNECTED


@pytest.mark.parametrize("offerer", ["caller", "callee"])
def test_a_restart_under_traffic_interrupts_nothing(offerer: str) -> None:
    internet = Internet(seed=21)
    alice, bob = internet.peer(1), internet.peer(2)
    call(internet, alice, bob)
    transfer = Transfer(alice, bob)
    run_until(alice, bob, lambda: transfer.go_on() or transfer.share > 0.2, 30.0)
    states = len(alice.events)
    for _ in range(3):
        before = generation(alice), generation(bob)
        restart(*((alice, bob) if offerer == "caller" else (bob, alice)))
        run_until(alice, bob, lambda: transfer.go_on() is None or is_settled(alice, bob), CONNECTED_WITHIN)
        assert generation(alice) != before[0]
        assert generation(bob) != before[1]
    run_until(alice, bob, transfer.go_on, 30.0)
    transfer.assert_right()
    changed = [type(event).__name__ for event in alice.events[states:]]
    assert "ConnectionStateChanged" not in changed
    assert "DtlsStateChanged" not in changed


def test_a_move_into_a_network_that_only_reaches_the_relay() -> None:
    internet = Internet(seed=22)
    alice = internet.peer(1)
    bob = internet.behind_nat(2, ADDRESS_AND_PORT_DEPENDENT)
    call(internet, alice, bob)
    transfer = Transfer(bob, alice)
    run_until(alice, bob, lambda: transfer.go_on() or transfer.share > 0.2, 30.0)
    hosts = ("203.0.114.2", "203.0.115.2", "10.2.0.2")
    for host in hosts:
        internet.network.connect("203.0.114.88", host, GONE)
    alice.move_to("203.0.114.88")
    restart(alice, bob)
    run_until(alice, bob, lambda: transfer.go_on() is None or is_settled(alice, bob), CONNECTED_WITHIN)
    run_until(alice, bob, transfer.go_on, 60.0)
    transfer.assert_right()
    assert is_relayed(alice)


@pytest.mark.parametrize("pause", [3.0, 20.0, 40.0], ids=["at once", "disconnected", "failed"])
def test_a_restart_where_the_path_is_dead_finds_another(pause: float) -> None:
    internet = Internet(seed=23)
    alice, bob = internet.peer(1, "203.0.114.1", "203.0.116.1"), internet.peer(2)
    call(internet, alice, bob)
    transfer = Transfer(alice, bob)
    run_until(alice, bob, lambda: transfer.go_on() or transfer.share > 0.2, 30.0)
    assert alice.engine.transport is not None
    used = alice.engine.transport.ice.agent.selected
    assert used is not None
    internet.network.connect(used.local.host, bob.hosts[0], GONE)
    internet.network.run_for(pause)
    restart(bob, alice)
    run_until(alice, bob, lambda: transfer.go_on() is None or is_settled(alice, bob), CONNECTED_WITHIN)
    selected = alice.engine.transport.ice.agent.selected
    assert selected is not None
    assert selected.local.host != used.local.host
    run_until(alice, bob, transfer.go_on, 70.0)
    transfer.assert_right()


def test_a_restart_that_is_taken_back_leaves_everything_as_it_was() -> None:
    internet = Internet(seed=24)
    alice, bob = internet.peer(1), internet.peer(2)
    call(internet, alice, bob)
    transfer = Transfer(alice, bob)
    run_until(alice, bob, lambda: transfer.go_on() or transfer.share > 0.2, 30.0)
    before = generation(alice)
    assert alice.engine.transport is not None
    selected = alice.engine.transport.ice.agent.selected
    for _ in range(3):
        alice.run(lambda _: alice.engine.restart_ice())
        alice.run(lambda now: alice.engine.set_local_description(None, now))
        internet.network.run_for(SIGNALING_DELAY)
        assert generation(alice) != before
        rollback(alice)
        assert generation(alice) == before
    alice.take_candidates()
    internet.network.run_for(5.0)
    assert alice.engine.transport.ice.agent.selected == selected
    assert alice.engine.ice_state in (IceState.CONNECTED, IceState.COMPLETED)
    run_until(alice, bob, transfer.go_on, 30.0)
    transfer.assert_right()
    # And the restart that was wanted can still be had.
    signal(alice, bob)
    run_until(alice, bob, lambda: is_settled(alice, bob), CONNECTED_WITHIN)
    assert generation(alice) != before


def test_an_address_that_goes_during_a_restart_that_is_taken_back_does_not_come_back() -> None:
    internet = Internet(seed=25)
    alice, bob = internet.peer(1, "203.0.114.1", "203.0.114.9"), internet.peer(2)
    call(internet, alice, bob)
    assert alice.engine.transport is not None
    (gone,) = [base for base in alice.engine.transport.ice.bases if base.host == "203.0.114.9"]
    alice.run(lambda _: alice.engine.restart_ice())
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    alice.run(lambda now: alice.engine.remove_base(gone, now))
    rollback(alice)
    assert {local.base.host for local in alice.engine.transport.ice.local_reports} == {"203.0.114.1", SERVER.host}


def rollback(peer: PeerHost) -> None:
    """The application takes its offer back."""
    peer.run(lambda now: peer.engine.set_local_description(Description(DescriptionType.ROLLBACK, ""), now))


def test_two_restarts_at_once_end_in_one() -> None:
    """Glare: the callee is polite."""
    internet = Internet(seed=25)
    alice, bob = internet.peer(1), internet.peer(2)
    call(internet, alice, bob)
    before = generation(alice), generation(bob)
    for peer in (alice, bob):
        peer.run(lambda _, peer=peer: peer.engine.restart_ice())  # type: ignore[misc]
        peer.run(lambda now, peer=peer: peer.engine.set_local_description(None, now))  # type: ignore[misc]
    bob.take_candidates()
    offer = alice.engine.negotiation.local_description
    assert offer is not None
    bob.run(lambda now: bob.engine.set_remote_description(offer, now))
    bob.take_candidates()
    bob.run(lambda now: bob.engine.set_local_description(None, now))
    answer = bob.engine.negotiation.local_description
    assert answer is not None
    alice.run(lambda now: alice.engine.set_remote_description(answer, now))
    pass_candidates(alice, bob)
    run_until(alice, bob, lambda: is_settled(alice, bob), CONNECTED_WITHIN)
    assert generation(alice) != before[0]
    assert generation(bob) != before[1]
    alice.send(alice.opened[0], b"through")
    run_until(alice, bob, lambda: bob.messages, 5.0)


def test_a_restart_asks_the_servers_again_that_did_not_answer_the_first_time() -> None:
    """A relay that was down when the call began is found by a restart; without it there would be no way."""
    internet = Internet(seed=26)
    alice = internet.behind_nat(1, ENDPOINT_INDEPENDENT)
    bob = internet.peer(2)
    internet.network.connect("203.0.115.1", SERVER.host, GONE)
    call(internet, alice, bob)
    internet.network.run_for(15.0)
    assert all("typ host" in candidate.line for candidate in alice.told)
    internet.network.connect("203.0.115.1", SERVER.host, Link(delay=0.02))
    alice.told.clear()
    restart(alice, bob)
    run_until(alice, bob, lambda: is_settled(alice, bob), CONNECTED_WITHIN)
    internet.network.run_for(1.0)
    kinds = {candidate.line.partition(" typ ")[2].partition(" ")[0] for candidate in alice.told}
    assert kinds == {"host", "srflx", "relay"}
