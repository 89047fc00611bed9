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
    overall = _written(session) or _DEFAULT
    for media in session.media:
        # Of several directions readers take the first or the last: each has to be allowed.
        directions = _written(media) or overall
        if _is_media(media) and Grant.PUBLISH not in grants and directions & _SENDING:
            return Grant.PUBLISH
        if _is_media(media) and Grant.SUBSCRIBE not in grants and directions & _RECEIVING:
            return Grant.SUBSCRIBE
    return None


def _is_media(media: MediaDescription) -> bool:
    return media.kind != _DATA or media.is_rtp


def _written(owner: AttributeList) -> frozenset[str]:
    return frozenset(one.name for one in owner.attributes if one.name in _DIRECTIONS)
