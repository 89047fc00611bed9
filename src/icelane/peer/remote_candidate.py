"""Candidates that come after their description: which of the peer's sections they belong to (W3C section 4.4.1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from icelane.errors import MalformedError, OperationError
from icelane.peer.candidate_text import CandidateText, parse_candidate_text
from icelane.sdp.attribute import Attribute
from icelane.sdp.session import SessionDescription

# Candidates of one description, whatever their section; more that trickle in are neither shown nor used. ICE has a
# smaller bound of its own; this one is for the memory that a peer can make us keep.
MAX_RECORDED_CANDIDATES: Final = 1000


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """A candidate for the transport, to be given to ICE now."""

    text: str
    username_fragment: str


@dataclass(frozen=True, slots=True)
class EndOfRemoteCandidates:
    """The peer has no more candidates for this generation of the transport."""

    username_fragment: str


@dataclass(frozen=True, slots=True)
class TrickledCandidate:
    """What `add_remote_candidate` was given, parsed; `candidate` is None for the end of candidates.

    `index` is the section in question, None for all of them. `username_fragment` is None when nobody named it.
    """

    candidate: CandidateText | None
    index: int | None
    username_fragment: str | None


def parse_trickled(
    text: str,
    sdp_mid: str | None,
    sdp_mline_index: int | None,
    username_fragment: str | None,
    remote: SessionDescription,
) -> TrickledCandidate:
    """Raises TypeError when nothing names a section, OperationError for what is no candidate of `remote`."""
    if text and sdp_mid is None and sdp_mline_index is None:
        raise TypeError("a candidate needs sdpMid or sdpMLineIndex")
    index = _find_section(remote, sdp_mid, sdp_mline_index)
    candidate = None
    if text:
        try:
            candidate = parse_candidate_text(text)
        except MalformedError as error:
            raise OperationError(f"the candidate cannot be added: {error}") from error
        username_fragment = username_fragment or candidate.username_fragment
    return TrickledCandidate(candidate, index, username_fragment or None)


def of_newest_generation(trickled: TrickledCandidate, newest: SessionDescription) -> TrickledCandidate:
    """`trickled` with the ufrag of `newest`, if nobody named one: then the candidate is for what was said last."""
    if trickled.username_fragment is not None:
        return trickled
    transports = newest.transports()
    found = transports if trickled.index is None else [transports[trickled.index]]
    credentials = (one.ice_credentials for one in found if not one.media.is_rejected)
    ufrags = {ice.ufrag for ice in credentials if ice is not None}
    # The end of all candidates, where sections have transports of their own: each section has its own ufrag.
    return replace(trickled, username_fragment=ufrags.pop()) if len(ufrags) == 1 else trickled


def record(session: SessionDescription, index: int, trickled: TrickledCandidate) -> bool:
    """Write the candidate into the description that is shown. False when it is there already, or is one too many."""
    section = session.media[index]
    if trickled.candidate is None:
        if section.end_of_candidates:
            return False
        section.add(Attribute("end-of-candidates"))
        return True
    value = trickled.candidate.attribute_value
    recorded = sum(len(one.get_all("candidate")) for one in session.media)
    if value in section.get_all("candidate") or recorded >= MAX_RECORDED_CANDIDATES:
        return False
    section.add(Attribute("candidate", value))
    return True


def sections_meant(session: SessionDescription, trickled: TrickledCandidate) -> list[int]:
    """The sections of `session` that the candidate is for: alive, and of its generation where it names one."""
    indices: Sequence[int] = range(len(session.media)) if trickled.index is None else [trickled.index]
    transports = session.transports()
    meant = []
    for index in indices:
        if index >= len(transports) or transports[index].media.is_rejected:
            continue
        ice = transports[index].ice_credentials
        if trickled.username_fragment is None or (ice is not None and ice.ufrag == trickled.username_fragment):
            meant.append(index)
    return meant


def _find_section(remote: SessionDescription, sdp_mid: str | None, sdp_mline_index: int | None) -> int | None:
    if sdp_mid is not None:
        for index, section in enumerate(remote.media):
            if section.mid == sdp_mid:
                return index
        raise OperationError("no section has this sdpMid")
    if sdp_mline_index is not None and not 0 <= sdp_mline_index < len(remote.media):
        raise OperationError("no section has this sdpMLineIndex")
    return sdp_mline_index
