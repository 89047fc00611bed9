"""Of an offer there is left what cannot lead anywhere, before anything is begun with it."""

from __future__ import annotations

import asyncio

import pytest

from icelane import RTCIceServer, RTCPeerConnection
from icelane.diagnostics.echo import MAX_CANDIDATES, MAX_OFFER, EchoPeers, OfferRefusedError, _apart
from icelane.sdp.session import parse_session

LURE = "a=candidate:1 1 {} 99 {} 9 typ {}"


async def offered(*lines: str) -> str:
    """An offer of data channels, with lines after it."""
    async with RTCPeerConnection() as connection:
        connection.createDataChannel("echo")
        offer = (await connection.createOffer()).sdp
    kept = [line for line in offer.splitlines() if not line.startswith("a=candidate")]
    return "\r\n".join([*kept, *lines]) + "\r\n"


def apart(*lines: str) -> tuple[str, list[str]]:
    return _apart(asyncio.run(offered(*lines)))


def test_no_candidate_stays_in_the_description_whatever_it_is() -> None:
    lines = [LURE.format("udp", "127.0.0.1", kind) for kind in ("host", "srflx", "prflx", "relay")]
    sdp, _ = apart(*lines, "a=remote-candidates:1 127.0.0.1 9", "a=end-of-candidates")
    (media,) = parse_session(sdp).media
    assert not any(media.has(name) for name in ("candidate", "remote-candidates", "end-of-candidates"))
    assert "typ" not in sdp


def test_relayed_ones_over_udp_alone_are_looked_at_later() -> None:
    relayed = LURE.format("udp", "198.51.100.1", "relay")
    lines = [
        relayed,
        LURE.format("tcp", "198.51.100.2", "relay"),
        LURE.format("udp", "198.51.100.3", "host"),
        LURE.format("udp", "name.local", "host"),
    ]
    assert apart(*lines)[1] == [relayed.removeprefix("a=")]


def test_candidates_of_one_offer_have_a_bound() -> None:
    lines = [LURE.format("udp", f"198.51.100.{number}", "relay") for number in range(MAX_CANDIDATES + 9)]
    assert len(apart(*lines)[1]) == MAX_CANDIDATES


@pytest.mark.parametrize("more", ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"])
def test_a_second_section_is_refused(more: str) -> None:
    with pytest.raises(OfferRefusedError, match="of data channels"):
        apart(more)


def test_a_long_offer_is_refused_before_it_is_read() -> None:
    with pytest.raises(OfferRefusedError, match="characters at most"):
        _apart("v=0\r\n" * MAX_OFFER)


def test_a_session_that_cannot_begin_leaves_nothing_behind() -> None:
    async def story() -> None:
        peers = EchoPeers(lambda name: RTCIceServer(urls="turn:127.0.0.1:9", username=name, credential="x"))
        with pytest.raises(OfferRefusedError):
            await peers.answer("v=0\r\n", "alice")
        assert len(peers) == 0
        assert [task for task in asyncio.all_tasks() if task.get_name() == "echo session"] == []

    asyncio.run(story())
