"""RTCSessionDescription and RTCIceCandidate: what a program carries between two peers (W3C sections 4.6 and 4.8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icelane.errors import MalformedError, SyntaxError_
from icelane.ice.candidate import Candidate, parse_candidate

_TYPES: Final = ("offer", "pranswer", "answer", "rollback")


@dataclass(frozen=True, slots=True)
class RTCSessionDescription:
    """A description. Its text holds an ICE password, so `repr` leaves it out."""

    sdp: str = field(default="", repr=False)
    type: str = "offer"

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise TypeError(f"the type of a description is one of {', '.join(_TYPES)}, not {self.type!r}")

    def toJSON(self) -> dict[str, str]:  # noqa: N802  (W3C name)
        """What `json.dumps` takes and a browser's setRemoteDescription too."""
        return {"type": self.type, "sdp": self.sdp}

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> RTCSessionDescription:
        """From what a browser's `JSON.stringify(description)` gives. Raises SyntaxError_ for another shape."""
        kind, sdp = body.get("type"), body.get("sdp", "")
        if not isinstance(kind, str) or kind not in _TYPES or not isinstance(sdp, str):
            raise SyntaxError_("a description has a type and an sdp, both strings")
        return cls(sdp=sdp, type=kind)


@dataclass(frozen=True, slots=True)
class RTCIceCandidate:
    """A candidate as text, and the section of the description that it is for.

    What the text says can be asked for by the W3C's names; it is None where the text is empty (the end of candidates)
    or does not parse.
    """

    candidate: str = ""
    sdpMid: str | None = None  # noqa: N815  (W3C names)
    sdpMLineIndex: int | None = None  # noqa: N815
    usernameFragment: str | None = None  # noqa: N815
    url: str | None = None
    relayProtocol: str | None = None  # noqa: N815

    def toJSON(self) -> dict[str, str | int | None]:  # noqa: N802  (W3C name)
        """What `json.dumps` takes and a browser's addIceCandidate too."""
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdpMid,
            "sdpMLineIndex": self.sdpMLineIndex,
            "usernameFragment": self.usernameFragment,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> RTCIceCandidate:
        """From what a browser's `JSON.stringify(candidate)` gives. Raises SyntaxError_ for another shape."""
        text, mid = body.get("candidate", ""), body.get("sdpMid")
        index, fragment = body.get("sdpMLineIndex"), body.get("usernameFragment")
        strings_fit = isinstance(text, str) and all(isinstance(word, str | None) for word in (mid, fragment))
        if not strings_fit or not isinstance(index, int | None):
            raise SyntaxError_("a candidate has strings candidate, sdpMid and usernameFragment, and a number")
        return cls(
            candidate=str(text),
            sdpMid=None if mid is None else str(mid),
            sdpMLineIndex=index,
            usernameFragment=None if fragment is None else str(fragment),
        )

    @property
    def parsed(self) -> Candidate | None:
        """What the text says."""
        try:
            return parse_candidate(self.candidate)
        except MalformedError:
            return None
