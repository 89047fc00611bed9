"""What the grants `publish` and `subscribe` mean where no media passes: which way it may go in what somebody describes.

A description says for each section whether its writer sends, receives, both or neither (RFC 8866 section 6.7). Whoever
may not publish writes none that sends, whoever may not subscribe none that receives; the answers that he can give then
hold the other side to it as well. Data channels are in no grant: they carry what two have agreed on.
"""

from __future__ import annotations

from typing import Final

from icelane.sdp.attributes import AttributeList
from icelane.sdp.media import MediaDescription
from icelane.sdp.session import parse_session
from icelane.signaling.admitted import Grant

_SENDING: Final = frozenset({"sendrecv", "sendonly"})
_RECEIVING: Final = frozenset({"sendrecv", "recvonly"})
_DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
# Where nothing is written.
_DEFAULT: Final = frozenset({"sendrecv"})
_DATA: Final = "application"


def missing_grant(sdp: str, grants: frozenset[Grant]) -> Grant | None:
    """The grant without which this may not be described; None when there are all that it needs.

    Raises MalformedError for what does not parse, but not where nothing needs to be known.
    """
    if Grant.PUBLISH in grants and Grant.SUBSCRIBE in grants:
        return None
    session = parse_session(sdp)
    overall = _written(session, _DEFAULT)
    for media in session.media:
        # Of several directions readers take the first or the last: each has to be allowed.
        directions = _written(media, overall)
        if _is_media(media) and Grant.PUBLISH not in grants and directions & _SENDING:
            return Grant.PUBLISH
        if _is_media(media) and Grant.SUBSCRIBE not in grants and directions & _RECEIVING:
            return Grant.SUBSCRIBE
    return None


def _is_media(media: MediaDescription) -> bool:
    return media.kind != _DATA or media.is_rtp or "rtp" in media.protocol.lower()


def _written(owner: AttributeList, otherwise: frozenset[str]) -> frozenset[str]:
    """Every direction that a reader may find there; `otherwise` where he may find none.

    Whoever reads strictly passes over one in other letters or with a value, and whoever does not takes it.
    """
    names = [(one.name, one.name.strip().lower(), one.value) for one in owner.attributes]
    strict = frozenset(name for name, _, value in names if name in _DIRECTIONS and value is None)
    return (strict or otherwise) | frozenset(lowered for _, lowered, _ in names if lowered in _DIRECTIONS)
