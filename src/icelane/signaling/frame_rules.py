"""What admission has to say about frames of those who are in, as the hub asks it."""

from __future__ import annotations

from typing import Protocol

from icelane.core.clock import Duration


class FrameRules(Protocol):
    """Bounds beyond those of one connection, and whether a hook wants to hear of a frame.

    Both are asked about each frame anew, so that a reload counts from the next one on, and so that nobody else has to
    know which hooks there are: a hook that is not asked would let everything pass.
    """

    @property
    def asks_about_joins(self) -> bool:
        """Whether AskJoin is to be asked before somebody enters a room."""
        ...

    @property
    def asks_about_messages(self) -> bool:
        """Whether AskMessage is to be asked before something is passed on."""
        ...

    def message_wait(self, identity: str, room: str, kind: str) -> Duration | None:
        """Count a frame (`join`, `update`, `signal`, `message`); the seconds to wait when it is one too many."""
        ...
