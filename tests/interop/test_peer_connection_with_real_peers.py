"""Our RTCPeerConnection with Chromium, Firefox, aiortc and wrtc, each of them calling and called.

They are on two machines of a network of its own; see `tests/interop/peers/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.interop.peers.calls import assert_bytes_arrive_unchanged, carried_signals, connect, in_order, negotiate
from tests.interop.peers.remote import Description, RemotePeer
from tests.interop.peers.stage import TRANSPORTS, Stage, stage

pytestmark = pytest.mark.interop

OURS: Final = "icelane"
KINDS: Final = ("chromium", "firefox", "aiortc", "wrtc")
PAYLOAD: Final = 10_000_000  # bytes each way
SMALL_PAYLOAD: Final = 1_000_000  # where the way is the point and not the traffic
LARGEST_MESSAGE: Final = 262144  # bytes; what all of them but Firefox, which takes more, say they take
TEXTS: Final = ("", "\0", "Grüße, 世界 🌍", "x" * 65536)

kinds = pytest.mark.parametrize("kind", KINDS)
directions = pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@asynccontextmanager
async def started(scene: Stage, kind: str) -> AsyncIterator[tuple[RemotePeer, RemotePeer]]:
    """Our peer and one of `kind`, which reach each other directly."""
    async with scene.started(kind, OURS) as (theirs, ours):
        yield ours, theirs


@kinds
@directions
@pytest.mark.parametrize("trickle", [True, False], ids=["trickle", "no trickle"])
def test_bytes_and_texts_arrive_unchanged_both_ways(scene: Stage, kind: str, we_offer: bool, trickle: bool) -> None:
    async def call() -> None:
        async with started(scene, kind) as (ours, theirs):
            offer, answer = await connect(*in_order(ours, theirs, we_offer), trickle=trickle)
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            for text in TEXTS:
                await asyncio.gather(ours.send_text(text), theirs.send_text(text))
                for peer in (ours, theirs):
                    assert await peer.receive_text() == text
            assert await ours.connection_state() == await theirs.connection_state() == "connected"
            if not trickle:
                assert (offer if we_offer else answer).candidates

    scene.run(call())


@kinds
def test_the_largest_messages_that_they_take_arrive_unchanged(scene: Stage, kind: str) -> None:
    async def call() -> None:
        async with started(scene, kind) as (ours, theirs):
            await connect(ours, theirs, trickle=True)
            total = 8 * LARGEST_MESSAGE
            digests = await asyncio.gather(
                ours.send_bytes(total, chunk=LARGEST_MESSAGE),
                theirs.receive_bytes(total),
                theirs.send_bytes(total, chunk=LARGEST_MESSAGE),
                ours.receive_bytes(total),
            )
            assert digests[0::2] == digests[1::2]

    scene.run(call())


@kinds
def test_channels_that_both_agreed_on_beforehand_open(scene: Stage, kind: str) -> None:
    async def call() -> None:
        options = {"negotiated": True, "id": 7, "ordered": False, "maxRetransmits": 3, "protocol": "agreed"}
        async with started(scene, kind) as (ours, theirs):
            await asyncio.gather(*(peer.create_channel("agreed", options) for peer in (ours, theirs)))
            await negotiate(theirs, ours, trickle=True)
            await theirs.send_text("there", label="agreed")
            await ours.send_text("back", label="agreed")
            assert await ours.receive_text(label="agreed") == "there"
            assert await theirs.receive_text(label="agreed") == "back"

    scene.run(call())


@kinds
@directions
def test_who_answered_first_offers_next_and_nobody_takes_another_dtls_role(
    scene: Stage, kind: str, we_offer: bool
) -> None:
    async def call() -> None:
        async with started(scene, kind) as (ours, theirs):
            offerer, answerer = in_order(ours, theirs, we_offer)
            before = await connect(offerer, answerer, trickle=True)
            if restarts := kind != "aiortc":  # which cannot
                await answerer.restart_ice()
            after = await negotiate(answerer, offerer, trickle=restarts)
            assert before[1].lines("setup") == ["active"]
            # Of the first answerer, who offers now: the role of before, or the choice where it leaves that.
            assert after[0].lines("setup") == ["actpass" if we_offer else "active"]
            assert after[1].lines("setup") == ["passive"]
            await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)
            assert await ours.connection_state() == await theirs.connection_state() == "connected"

    scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox", "wrtc"])  # aiortc cannot
@directions
def test_ice_restarts_under_an_open_channel(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with started(scene, kind) as (ours, theirs):
            offerer, answerer = in_order(ours, theirs, we_offer)
            before = await connect(offerer, answerer, trickle=True)
            await offerer.restart_ice()
            after = await negotiate(offerer, answerer, trickle=True)
            for old, new in zip(before, after, strict=True):
                assert old.ice_ufrag != new.ice_ufrag
                assert old.lines("fingerprint") == new.lines("fingerprint")
            await assert_selected(ours, (after[1] if we_offer else after[0]).ice_ufrag)
            await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)
            assert await ours.connection_state() == "connected"

    scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
@pytest.mark.parametrize("policy", ["max-bundle", "balanced", "max-compat"])
def test_data_behind_media_that_we_do_not_take_goes_on_through_restarts(scene: Stage, kind: str, policy: str) -> None:
    async def call() -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            await ours.start()
            await theirs.start(bundlePolicy=policy, media=["audio", "video"])
            await connect(theirs, ours, trickle=True)
            await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)
            for we_offer in (False, True):
                offerer, answerer = in_order(ours, theirs, we_offer)
                await offerer.restart_ice()
                after = await negotiate(offerer, answerer, trickle=True)
                await assert_selected(ours, (after[1] if we_offer else after[0]).ice_ufrag)
                await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)

    scene.run(call())


async def assert_selected(ours: RemotePeer, their_ufrag: str) -> None:
    """The old pair goes on carrying data until the checks of the restart have found one of their own."""
    pair = None
    for _ in range(50):
        pair = await ours.selected_pair()
        if pair is not None and pair.remote_ufrag == their_ufrag:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the restart has selected nothing: {pair}")


@kinds
@directions
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_relay_only_both_ends_reach_each_other_through_our_server(
    scene: Stage, kind: str, transport: str, we_offer: bool
) -> None:
    async def call() -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            # Whoever cannot be told whom to trust takes TCP while we take TLS.
            can = transport != "tls" or theirs.abilities.trusts_our_authority
            their_transport = transport if can else "tcp"
            await ours.start([scene.relay_by(transport)], "relay")
            await theirs.start([scene.relay_by(their_transport)], "relay")
            offer, answer = await connect(*in_order(ours, theirs, we_offer), trickle=False)
            assert_names_only_the_relay(scene, offer if we_offer else answer)
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            await assert_relayed(scene, ours, transport)
            await assert_relayed(scene, theirs, their_transport)

    scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
@directions
def test_relay_strict_asks_for_no_way_to_a_browser_but_over_its_relay(scene: Stage, kind: str, we_offer: bool) -> None:
    """IC-8: though the browser offers all that it has."""

    async def call() -> None:
        async with scene.peers(kind, OURS) as (theirs, ours):
            await ours.start([scene.relay_by("udp")], "relay-strict")
            await theirs.start([scene.relay_by("udp")])
            offer, answer = await connect(*in_order(ours, theirs, we_offer), trickle=False)
            assert_names_only_the_relay(scene, offer if we_offer else answer)
            await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)
            pair = await ours.selected_pair()
            assert pair is not None
            assert (pair.local, pair.remote) == ("relay", "relay")
            assert (pair.local_address, pair.remote_address) == (scene.relay.host, scene.relay.host)

    scene.run(call())


def assert_names_only_the_relay(scene: Stage, description: Description) -> None:
    """Nothing in it tells where our peer is."""
    assert description.candidates
    assert all(" typ relay" in candidate for candidate in description.candidates)
    right = scene.lab["right"]
    assert not [host for host in (right.ipv4, right.ipv6) if host is None or host in description.sdp]


async def assert_relayed(scene: Stage, peer: RemotePeer, transport: str) -> None:
    pair = await peer.selected_pair()
    assert pair is not None
    assert pair.local == "relay"
    assert pair.remote in ("relay", "prflx")  # the latter when a check came before the candidate
    assert (pair.local_address, pair.remote_address) == (scene.relay.host, scene.relay.host)
    if peer.abilities.tells_relay_protocol:
        assert pair.relay_protocol == transport


@pytest.mark.parametrize("we_are_polite", [True, False], ids=["we are polite", "we are impolite"])
@pytest.mark.parametrize("kind", ["chromium", "firefox", "wrtc"])  # aiortc cannot
def test_offers_that_meet_are_settled_by_perfect_negotiation(scene: Stage, kind: str, we_are_polite: bool) -> None:
    async def call() -> None:
        async with started(scene, kind) as (ours, theirs):
            polite, impolite = (ours, theirs) if we_are_polite else (theirs, ours)
            async with carried_signals(polite, impolite):
                await asyncio.gather(polite.create_channel("polite"), impolite.create_channel("impolite"))
                for label in ("polite", "impolite"):
                    await asyncio.gather(polite.wait_open(label), impolite.wait_open(label))
                    await polite.send_text("there", label=label)
                    assert await impolite.receive_text(label=label) == "there"
                    await impolite.send_text("back", label=label)
                    assert await polite.receive_text(label=label) == "back"
            for peer in (ours, theirs):
                assert (await peer.states())["signaling"] == "stable"

    scene.run(call())


@directions
def test_a_browser_that_hides_its_addresses_behind_names_is_reached(scene: Stage, we_offer: bool) -> None:
    async def call() -> None:
        async with started(scene, "chromium that hides its addresses") as (ours, theirs):
            offer, answer = await connect(*in_order(ours, theirs, we_offer), trickle=False)
            their_description = answer if we_offer else offer
            assert their_description.candidates
            assert all(".local " in candidate for candidate in their_description.candidates)
            await assert_bytes_arrive_unchanged(ours, theirs, SMALL_PAYLOAD)

    scene.run(call())
