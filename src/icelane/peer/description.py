"""What the application carries from one peer to the other: a description's type and its text."""

from __future__ import annotations

from dataclasses import dataclass, field

from icelane.peer.signaling_state import DescriptionType


@dataclass(frozen=True, slots=True)
class Description:
    """RTCSessionDescription. The text holds an ICE password, so `repr` leaves it out."""

    type: DescriptionType
    sdp: str = field(default="", repr=False)
