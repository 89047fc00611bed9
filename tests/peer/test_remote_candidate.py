"""Candidates of the peer that come after its description (W3C section 4.4.1.6)."""

from __future__ import annotations

import pytest

from icelane.errors import InvalidStateError, OperationError
from icelane.peer.description import Description
from icelane.peer.media_section import MAX_REMOTE_CANDIDATES
from icelane.peer.remote_candidate import MAX_RECORDED_CANDIDATES, EndOfRemoteCandidates, RemoteCandidate
from icelane.peer.signaling_state import DescriptionType
from tests.peer.descriptions import offer
from tests.peer.negotiating import CANDIDATE, OTHER_CANDIDATE, Peer, connected, exchange, pair


def ufrag_of(peer: Peer) -> str:
    """The ufrag that the peer uses now."""
    assert peer.transport.local is not None
    return peer.transport.local.ufrag


def shown(peer: Peer) -> str:
    """The remote description as `peer` shows it."""
    description = peer.negotiation.remote_description
    assert description is not None
    return description.sdp


def offered() -> tuple[Peer, Peer]:
    """An offer is out and set on the other side; nothing is answered."""
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    return offerer, answerer


@pytest.mark.parametrize(("mid", "index"), [("0", None), (None, 0), ("0", 0), ("0", 7)])
def test_a_candidate_is_handed_on_and_shown(mid: str | None, index: int | None) -> None:
    offerer, answerer = connected()
    added = answerer.negotiation.add_remote_candidate(CANDIDATE, mid, index, ufrag_of(offerer))
    assert added == RemoteCandidate(CANDIDATE, ufrag_of(offerer))
    assert shown(answerer).endswith(f"a={CANDIDATE}\r\n")


def test_a_candidate_that_is_known_is_not_handed_on_again() -> None:
    _, answerer = connected()
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0") is not None
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0") is None
    assert answerer.negotiation.add_remote_candidate(f"a={CANDIDATE}", "0") is None
    assert shown(answerer).count("a=candidate") == 1


def test_before_the_answer_candidates_wait_in_the_offer() -> None:
    _, answerer = offered()
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0") is None
    assert answerer.negotiation.add_remote_candidate("", "0") is None
    answerer.set_local()
    assert answerer.transport.remote is not None
    assert answerer.transport.remote.candidates == (CANDIDATE,)
    assert answerer.transport.remote.end_of_candidates
    assert answerer.negotiation.add_remote_candidate(OTHER_CANDIDATE, "0") is not None


@pytest.mark.parametrize("named", [{}, {"sdp_mid": "0"}, {"sdp_mline_index": 0}])
def test_an_empty_candidate_ends_them(named: dict[str, str | int]) -> None:
    offerer, answerer = connected()
    mid, index = named.get("sdp_mid"), named.get("sdp_mline_index")
    assert mid is None or isinstance(mid, str)
    assert index is None or isinstance(index, int)
    end = EndOfRemoteCandidates(ufrag_of(offerer))
    assert answerer.negotiation.add_remote_candidate("", mid, index) == end
    assert answerer.negotiation.add_remote_candidate("", mid, index) is None
    assert shown(answerer).count("a=end-of-candidates") == 1


def test_a_candidate_that_names_no_section_is_a_type_error() -> None:
    for negotiation in (pair()[0].negotiation, connected()[0].negotiation):
        with pytest.raises(TypeError):
            negotiation.add_remote_candidate(CANDIDATE)


def test_without_a_remote_description_there_is_nothing_to_add_to() -> None:
    offerer, _ = offered()
    for text in (CANDIDATE, ""):
        with pytest.raises(InvalidStateError):
            offerer.negotiation.add_remote_candidate(text, "0")


@pytest.mark.parametrize(
    ("text", "mid", "index", "ufrag"),
    [
        (CANDIDATE, "1", None, None),
        (CANDIDATE, "1", 0, None),
        (CANDIDATE, None, 1, None),
        (CANDIDATE, None, -1, None),
        (CANDIDATE, "0", None, "other"),
        (f"{CANDIDATE} ufrag other", "0", None, None),
        ("", "0", None, "other"),
        ("candidate:nonsense", "0", None, None),
        (f"{CANDIDATE}\r\na=ice-lite", "0", None, None),
    ],
)
def test_what_fits_no_section_is_an_operation_error(
    text: str, mid: str | None, index: int | None, ufrag: str | None
) -> None:
    _, answerer = connected()
    before = shown(answerer)
    with pytest.raises(OperationError):
        answerer.negotiation.add_remote_candidate(text, mid, index, ufrag)
    assert shown(answerer) == before


def test_candidates_of_before_a_restart_are_refused_after_it() -> None:
    offerer, answerer = connected()
    old = ufrag_of(offerer)
    exchange(offerer, answerer, ice_restart=True)
    with pytest.raises(OperationError):
        answerer.negotiation.add_remote_candidate(CANDIDATE, "0", 0, old)
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0", 0, ufrag_of(offerer)) is not None


def test_during_a_restart_both_generations_are_taken_each_to_its_own() -> None:
    offerer, answerer = connected()
    old = ufrag_of(offerer)
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=True))
    answerer.set_remote(offerer.local)
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0", 0, old) == RemoteCandidate(CANDIDATE, old)
    # Without a ufrag it is for what was said last, which waits for its answer.
    assert answerer.negotiation.add_remote_candidate(OTHER_CANDIDATE, "0") is None
    pending = answerer.negotiation.pending_remote_description
    current = answerer.negotiation.current_remote_description
    assert pending is not None
    assert current is not None
    assert (CANDIDATE in current.sdp, OTHER_CANDIDATE in current.sdp) == (True, False)
    assert (CANDIDATE in pending.sdp, OTHER_CANDIDATE in pending.sdp) == (False, True)
    answerer.set_local()
    assert answerer.transport.remote is not None
    assert answerer.transport.remote.candidates == (OTHER_CANDIDATE,)


def test_during_a_re_offer_without_a_restart_candidates_are_handed_on_at_once() -> None:
    offerer, answerer = connected()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    assert answerer.negotiation.add_remote_candidate(CANDIDATE, "0") is not None
    assert CANDIDATE in shown(answerer)
    answerer.set_local()
    assert CANDIDATE in shown(answerer)


def test_candidates_of_a_bundle_s_first_section_reach_the_transport_though_we_reject_it() -> None:
    peer = Peer(1)
    peer.set_remote(offer("max_bundle_offer"))
    peer.set_local()
    assert peer.negotiation.add_remote_candidate(CANDIDATE, "a", 0) == RemoteCandidate(CANDIDATE, "Ab12")


def test_candidates_of_a_section_with_another_transport_are_shown_and_not_handed_on() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    audio = offer("max_bundle_offer").sdp.partition("m=audio")[2].partition("m=application")[0]
    text = offerer.local.sdp + f"m=audio{audio}"
    answerer.set_remote(Description(DescriptionType.OFFER, text))
    answerer.set_local()
    assert answerer.negotiation.add_remote_candidate(OTHER_CANDIDATE, "a") is None
    assert OTHER_CANDIDATE in shown(answerer)


def test_candidates_of_a_section_that_the_peer_switched_off_are_ignored() -> None:
    peer = Peer(1)
    peer.set_remote(offer("chromium_stopped_offer"))
    rejected = next(i for i, line in enumerate(_media_lines(peer)) if line.split()[1] == "0")
    before = shown(peer)
    assert peer.negotiation.add_remote_candidate(CANDIDATE, None, rejected) is None
    assert shown(peer) == before


def _media_lines(peer: Peer) -> list[str]:
    return [line for line in shown(peer).splitlines() if line.startswith("m=")]


def test_a_flood_of_candidates_is_bounded() -> None:
    """IC-6, the descriptions: more than MAX_RECORDED_CANDIDATES are neither shown nor handed on."""
    _, answerer = connected()
    texts = [
        CANDIDATE.replace("candidate:1 ", f"candidate:{number} ") for number in range(MAX_RECORDED_CANDIDATES + 50)
    ]
    taken = [answerer.negotiation.add_remote_candidate(text, "0") for text in texts]
    assert sum(one is not None for one in taken) == MAX_RECORDED_CANDIDATES
    assert shown(answerer).count("a=candidate") == MAX_RECORDED_CANDIDATES


def test_a_description_with_very_many_candidates_yields_some() -> None:
    """IC-6, the descriptions: of one with 1,000 the first MAX_REMOTE_CANDIDATES are looked at."""
    offerer, answerer = pair()
    offerer.set_local()
    lines = [f"a={CANDIDATE}\r\n".replace("candidate:1 ", f"candidate:{number} ") for number in range(1000)]
    answerer.set_remote(Description(DescriptionType.OFFER, offerer.local.sdp + "".join(lines)))
    answerer.set_local()
    assert answerer.transport.remote is not None
    assert len(answerer.transport.remote.candidates) == MAX_REMOTE_CANDIDATES
