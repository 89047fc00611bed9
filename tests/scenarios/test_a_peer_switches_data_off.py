"""A peer takes the data section out of the session: what we had at a TURN server is given back, and serves again.

Criteria: the server holds nothing a round trip later; a channel that is wanted at once, from the same socket, is open
within 10 s, through an allocation that stays.
"""

from __future__ import annotations

import re

import pytest

from icelane.core.net import SocketAddress
from icelane.peer.connection_options import PeerOptions
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType
from icelane.stun.message import Method, looks_like_stun, parse_message
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import (
    CONNECTED_WITHIN,
    SERVER,
    Internet,
    assert_data_flows,
    assert_everything_is_given_back,
    connect,
    is_relayed,
    run_until,
    settle,
)

# From the client to the server takes as long as back.
ROUND_TRIP = 0.04


def call(seed: int) -> tuple[Internet, PeerHost, PeerHost]:
    """Alice, behind the relay, has called Bob, who has none."""
    internet = Internet(seed=seed)
    alice = internet.peer(1, options=PeerOptions(relay_only=True))
    bob = internet.peer(2)
    bob._relays = ()
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert len(internet.server.relays) == 1
    return internet, alice, bob


def switch_data_off(alice: PeerHost, bob: PeerHost) -> None:
    """Alice offers once more, and the answer has port 0 where the section for data was."""
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    offer = alice.engine.negotiation.local_description
    assert offer is not None
    bob.run(lambda now: bob.engine.set_remote_description(offer, now))
    answer = re.sub(r"m=application \d+", "m=application 0", bob.engine.create_answer().sdp)
    answer = re.sub(r"a=group:BUNDLE.*\r\n", "", answer)
    alice.run(lambda now: alice.engine.set_remote_description(Description(DescriptionType.ANSWER, answer), now))
    assert alice.engine.transport is None
    bob.run(bob.engine.abort)
    alice.events.clear()


def test_the_server_hears_that_the_address_is_given_back_and_its_answer_is_heard() -> None:
    internet, alice, bob = call(61)
    switch_data_off(alice, bob)
    internet.network.run_for(2 * ROUND_TRIP + 0.01)
    assert internet.server.empty
    assert alice.engine.idle
    assert alice.engine.next_timeout() is None
    alice.run(alice.engine.close)
    assert alice.engine.is_closed


@pytest.mark.parametrize("pause", [0.0, 0.03, 5.0])
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_channel_that_is_wanted_again_gets_an_address_that_stays(pause: float, is_answered: bool) -> None:
    internet, alice, bob = call(62)
    stops = 0 if is_answered else 3
    send = internet.network.send

    def lossy(data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        """The first answers to the farewell are lost, so that it is repeated from the same port."""
        nonlocal stops
        if stops and source == SERVER and looks_like_stun(data) and parse_message(data).method == Method.REFRESH:
            stops -= 1
            return
        send(data, source, destination)

    internet.network.send = lossy  # type: ignore[method-assign]
    switch_data_off(alice, bob)
    internet.network.run_for(pause)
    carol = internet.peer(3)
    carol._relays = ()
    alice.create_channel("again")
    connect(alice, carol, within=CONNECTED_WITHIN)
    settle(alice, carol)
    assert is_relayed(alice)
    run_until(alice, carol, lambda: alice.opened and carol.opened, 5.0)
    relays = internet.server.relays
    assert len(relays) == 1
    internet.network.run_for(60.0)
    assert internet.server.relays == relays
    assert alice.is_connected
    assert_data_flows(alice, carol)
    assert_everything_is_given_back(internet, alice, carol)


def test_a_socket_that_goes_takes_along_what_was_being_given_back_from_it() -> None:
    internet, alice, bob = call(63)
    internet.network.detach(SERVER)
    switch_data_off(alice, bob)
    assert not alice.engine.idle
    base = next(iter(alice._bases_by_host.values()))
    alice.create_channel("again")
    alice.engine.gather_in_advance()
    assert alice.engine.poll_command() is not None
    alice.run(lambda now: alice.engine.remove_base(base, now))
    assert alice.engine.idle
