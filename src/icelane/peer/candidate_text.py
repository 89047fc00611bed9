"""A candidate as text, looked at no closer than a description needs; ICE parses it for good.

candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 ufrag EsAw
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from icelane.errors import LocalProtocolError, MalformedError

# The longest that is of use has a name of 253 characters as its address.
MAX_CANDIDATE_TEXT: Final = 1024

# Printable ASCII only: a line end would smuggle lines into the description that shows the candidate.
_CANDIDATE: Final = re.compile(
    r"(?:a=)?(candidate:[!-~]+ [0-9]+ [!-~]+ [0-9]+ ([!-~]+) [0-9]+ typ ([!-~]+)((?: [!-~]+)*)) *"
)
_NEUTRAL_ADDRESSES: Final = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class CandidateText:
    """`text` begins with `candidate:`. `username_fragment` is that of the extension `ufrag`, None without one."""

    text: str
    type: str
    related_address: str | None
    username_fragment: str | None

    @property
    def attribute_value(self) -> str:
        """What stands behind `a=candidate:`."""
        return self.text.removeprefix("candidate:")


def parse_candidate_text(text: str) -> CandidateText:
    """Raises MalformedError when `text`, with or without `a=`, is no candidate."""
    if len(text) > MAX_CANDIDATE_TEXT or (match := _CANDIDATE.fullmatch(text)) is None:
        raise MalformedError("the text is no candidate")
    words = match[4].split()
    # RFC 8839 section 5.1: extensions are pairs of a name and a value.
    extensions = dict(zip(words[::2], words[1::2], strict=False))
    return CandidateText(match[1], match[3], extensions.get("raddr"), extensions.get("ufrag"))


def check_is_relayed(candidate: CandidateText) -> None:
    """Raises LocalProtocolError unless `candidate` tells nothing of this machine but its relay's address.

    With `iceTransportPolicy: "relay"` nothing else is gathered; this is the last door before the description.
    """
    if candidate.type != "relay" or candidate.related_address not in (None, *_NEUTRAL_ADDRESSES):
        raise LocalProtocolError("only relayed candidates, without a related address, may be shown")
