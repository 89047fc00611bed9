"""RTCSessionDescription, as aiortc has it: not frozen, and both arguments are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TYPES: Final = ("offer", "pranswer", "answer", "rollback")


@dataclass
class RTCSessionDescription:
    """A description. Raises ValueError for a type that there is not."""

    sdp: str
    type: str

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise ValueError(f"the type of a description is one of {', '.join(_TYPES)}, not {self.type!r}")
