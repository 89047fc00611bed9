"""RTCSessionDescription and RTCIceCandidate: what a program carries between two peers (W3C sections 4.6 and 4.8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from icelane.aio.arguments import expect
from icelane.errors import MalformedError
from icelane.ice.candidate import Candidate, parse_candidate

# Texts whose meaning is remembered: a program that looks at a candidate asks for several of its parts.
_PARSED: Final = 256
_TYPES: Final = ("offer", "pranswer", "answer", "rollback")


@dataclass(frozen=True, slots=True)
class RTCSessionDescription:
    """A description. Its text holds an ICE password, so `repr` leaves it out."""

    sdp: str = field(default="", repr=False)
    type: str = "offer"

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise TypeError(f"the type of a description is one of {', '.join(_TYPES)}, not {self.type!r}")
        expect(self.sdp, str)

    def toJSON(self) -> dict[str, str]:  # noqa: N802  (W3C name)
        """What `json.dumps` takes and a browser's setRemoteDescription too."""
        return {"type": self.type, "sdp": self.sdp}

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> RTCSessionDescription:
        """From what a browser's `JSON.stringify(description)` gives. Raises TypeError for another shape."""
        kind, sdp = body.get("type"), body.get("sdp", "")
        if not isinstance(kind, str) or kind not in _TYPES or not isinstance(sdp, str):
            raise TypeError("a description has a type and an sdp, both strings")
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

    def __post_init__(self) -> None:
        expect(self.candidate, str)

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
        """From what a browser's `JSON.stringify(candidate)` gives. Raises TypeError for another shape."""
        text, mid = body.get("candidate", ""), body.get("sdpMid")
        index, fragment = body.get("sdpMLineIndex"), body.get("usernameFragment")
        strings_fit = isinstance(text, str) and all(isinstance(word, str | None) for word in (mid, fragment))
        if not strings_fit or not isinstance(index, int | None):
            raise TypeError("a candidate has strings candidate, sdpMid and usernameFragment, and a number")
        return cls(
            candidate=str(text),
            sdpMid=None if mid is None else str(mid),
            sdpMLineIndex=index,
            usernameFragment=None if fragment is None else str(fragment),
        )

    @property
    def foundation(self) -> str | None:
        return self._said.foundation if self._said else None

    @property
    def component(self) -> str | None:
        """`rtp` for component 1, `rtcp` for 2."""
        return {1: "rtp", 2: "rtcp"}.get(self._said.component) if self._said else None

    @property
    def priority(self) -> int | None:
        return self._said.priority if self._said else None

    @property
    def address(self) -> str | None:
        """An IP address, or the name that stands for one."""
        return self._said.host if self._said else None

    @property
    def port(self) -> int | None:
        return self._said.port if self._said else None

    @property
    def protocol(self) -> str | None:
        """`udp` or `tcp`."""
        return self._said.transport if self._said else None

    @property
    def type(self) -> str | None:
        """`host`, `srflx`, `prflx` or `relay`."""
        return self._said.type.value if self._said else None

    @property
    def tcpType(self) -> str | None:  # noqa: N802
        return self._said.tcp_type if self._said else None

    @property
    def relatedAddress(self) -> str | None:  # noqa: N802
        return self._said.related.host if self._said and self._said.related else None

    @property
    def relatedPort(self) -> int | None:  # noqa: N802
        return self._said.related.port if self._said and self._said.related else None

    @property
    def _said(self) -> Candidate | None:
        return _parse(self.candidate)


@lru_cache(maxsize=_PARSED)
def _parse(text: str) -> Candidate | None:
    try:
        return parse_candidate(text)
    except MalformedError:
        return None
