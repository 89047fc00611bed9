"""Signaling: who is in which room, and what they tell each other (`icelane.signal.v1`, JSON over WebSocket).

    messages      every frame, both ways; `parse_client_frame` and `encode_frame`
    close_code    why a connection ends, and whether to come back
    admitted      what admission grants, as the hub sees it
    limits        every bound, with its default

`Client` is `icelane.SignalClient`, imported when somebody asks for it: a server needs none of it.

What is left out on purpose: long polling, which needs sticky sessions; and media, which does not pass here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icelane.signaling.client import SignalClient as Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from icelane.signaling.client import SignalClient

        globals()[name] = SignalClient
        return SignalClient
    raise AttributeError(f"module 'icelane.signaling' has no attribute {name!r}")
